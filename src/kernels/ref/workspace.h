#pragma once

/// How the reference ops share work and memory: rows over the stream's workers, scratch in pieces.

#include "base/check.h"
#include "base/function_ref.h"
#include "kernels/op_context.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace neuros::kernels::ref {

int workers(const OpContext& context);

/// body(row, worker) for every row of [0, rows), each row by one worker.
void for_rows(const OpContext& context, int64_t rows,
              base::FunctionRef<void(int64_t row, int worker)> body);

/// Hands out an op's scratch memory from front to back, each piece aligned to 64 bytes.
class Workspace {
 public:
  explicit Workspace(const OpContext& context) : left_(context.scratch) {}

  template <typename T>
  std::span<T> take(int64_t count) {
    const size_t bytes = padded(static_cast<size_t>(count) * sizeof(T));
    CHECK(bytes <= left_.size(), "scratch: less than scratch_bytes() asked for");
    auto* piece = reinterpret_cast<T*>(left_.data());
    left_ = left_.subspan(bytes);
    return {piece, static_cast<size_t>(count)};
  }

  std::span<std::byte> rest() const { return left_; }

  static constexpr size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

 private:
  std::span<std::byte> left_;
};

/// Scratch that suffices for every reference op.
int64_t scratch_bytes(const OpLimits& limits);

}  // namespace neuros::kernels::ref
