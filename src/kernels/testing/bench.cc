#include "kernels/testing/bench.h"

#include "base/check.h"
#include "base/float16.h"
#include "base/thread_pool.h"
#include "kernels/blocks.h"
#include "kernels/quantise.h"
#include "kernels/testing/cuda_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace neuros::kernels::testing {
namespace {

using base::DType;

/// Random bytes with sane scales. `largest` is the most that code and group scale make of d.
template <typename Block>
void fill_blocks(Random& random, float largest, float size, std::vector<std::byte>& bytes) {
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.bits());
  for (size_t at = 0; at < bytes.size(); at += sizeof(Block)) {
    Block block;
    std::memcpy(&block, bytes.data() + at, sizeof(Block));
    const auto scale = [&] {
      const float tenths = static_cast<float>(random.between(5, 10)) / 10.0f;
      return base::float_to_f16(tenths * size / largest);
    };
    block.d = scale();
    if constexpr (requires { block.m; }) block.m = base::float_to_f16(random.normal(size));
    if constexpr (requires { block.dmin; }) block.dmin = scale();
    std::memcpy(bytes.data() + at, &block, sizeof(Block));
  }
}

void fill(Random& random, DType dtype, float size, std::vector<std::byte>& bytes) {
  switch (dtype) {
    case DType::kQ4_0:
      return fill_blocks<BlockQ4_0>(random, 8, size, bytes);
    case DType::kQ4_1:
      return fill_blocks<BlockQ4_1>(random, 15, size, bytes);
    case DType::kQ5_0:
      return fill_blocks<BlockQ5_0>(random, 16, size, bytes);
    case DType::kQ5_1:
      return fill_blocks<BlockQ5_1>(random, 31, size, bytes);
    case DType::kQ8_0:
      return fill_blocks<BlockQ8_0>(random, 128, size, bytes);
    case DType::kQ2_K:
      return fill_blocks<BlockQ2_K>(random, 15 * 3, size, bytes);
    case DType::kQ3_K:
      return fill_blocks<BlockQ3_K>(random, 32 * 4, size, bytes);
    case DType::kQ4_K:
      return fill_blocks<BlockQ4_K>(random, 63 * 15, size, bytes);
    case DType::kQ5_K:
      return fill_blocks<BlockQ5_K>(random, 63 * 31, size, bytes);
    case DType::kQ6_K:
      return fill_blocks<BlockQ6_K>(random, 128 * 32, size, bytes);
    case DType::kIQ4_NL:
      return fill_blocks<BlockIQ4_NL>(random, 127, size, bytes);
    case DType::kIQ4_XS:
      return fill_blocks<BlockIQ4_XS>(random, 32 * 127, size, bytes);
    case DType::kTQ1_0:
      return fill_blocks<BlockTQ1_0>(random, 1, size, bytes);
    case DType::kTQ2_0:
      return fill_blocks<BlockTQ2_0>(random, 2, size, bytes);
    case DType::kQ2_0:
      return fill_blocks<BlockQ2_0>(random, 2, size, bytes);
    case DType::kQ2_0_128:
      return fill_blocks<BlockQ2_0_128>(random, 2, size, bytes);
    default:
      break;
  }
  const auto plain = static_cast<int64_t>(bytes.size()) / base::info(dtype).block_bytes;
  quantise(dtype, Floats::normal(random, plain, size).span(), {}, bytes.data());
}

class Workers final : public device::Stream {
 public:
  explicit Workers(int count) : pool_({.threads = count, .cpus = {}, .spin_us = 5}) {}
  base::Result<> synchronize() override { return {}; }
  void copy(std::byte* to, const std::byte* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  base::ThreadPool* cpu_workers() override { return &pool_; }

 private:
  base::ThreadPool pool_;
};

std::unique_ptr<device::Stream> stream_for(const OpTable& table, const OpLimits& limits) {
  if (table.stage_batch == nullptr) return std::make_unique<Workers>(limits.workers);
  auto stream = test_gpu()->create_stream();
  CHECK(stream.has_value(), stream.error().message.c_str());
  return std::move(*stream);
}

/// What a table keeps lies apart from what its ops work in.
int64_t scratch_for(const OpTable& table, const OpLimits& limits) {
  constexpr int64_t kGap = 4096;
  return table.scratch_bytes(limits) + (table.kept_bytes == nullptr ? 0 : kGap);
}

}  // namespace

Bench::Bench(const OpTable& table, const OpLimits& limits)
    : table_(table),
      limits_(limits),
      stream_(stream_for(table, limits)),
      scratch_(scratch_for(table, limits)),
      host_(table.host_bytes == nullptr ? 0 : table.host_bytes(limits)) {
  std::memset(scratch_.data(), 0, scratch_.span().size());
}

Bench::~Bench() = default;

OpContext Bench::context() {
  const auto kept =
      static_cast<size_t>(table_.kept_bytes == nullptr ? 0 : table_.kept_bytes(limits_));
  std::memset(scratch_.data() + kept, 0xff, scratch_.span().size() - kept);
  return {*stream_, scratch_.span(), host_.span(), limits_};
}

FileMatrix FileMatrix::random(Random& random, DType dtype, int64_t rows, int64_t cols) {
  FileMatrix out{dtype, rows, cols, {}};
  out.bytes.resize(static_cast<size_t>(base::bytes_of(dtype, cols) * rows));
  fill(random, dtype, 1.0f / std::sqrt(static_cast<float>(cols)), out.bytes);
  return out;
}

std::vector<float> FileMatrix::row(int64_t index) const {
  std::vector<float> out(static_cast<size_t>(cols));
  dequantise(dtype, bytes.data() + index * base::bytes_of(dtype, cols), out);
  return out;
}

double FileMatrix::row_length(int64_t index) const {
  double sum = 0.0;
  for (const float value : row(index)) sum += static_cast<double>(value) * value;
  return std::sqrt(sum);
}

PackedWeight::PackedWeight(const OpTable& table, const FileMatrix& file)
    : bytes_(table.linear_for(file.dtype).packed_bytes(file.rows, file.cols)),
      matrix_{file.dtype, file.rows, file.cols, bytes_.data()} {
  const LinearKernel& kernel = table.linear_for(file.dtype);
  CHECK(bytes_.span().size() % 64 == 0);
  constexpr int64_t kPiece = 32;
  for (int64_t first = (file.rows - 1) / kPiece * kPiece; first >= 0; first -= kPiece) {
    const int64_t count = std::min(kPiece, file.rows - first);
    kernel.pack(file.bytes.data() + first * base::bytes_of(file.dtype, file.cols), file.rows,
                file.cols, first, count, bytes_.data());
  }
}

double sum_tolerance(DType dtype, double row_length) {
  const bool exact = dtype == DType::kF32;
  const double per_element = exact ? 1e-6 : base::is_quantised(dtype) ? 0.007 : 0.003;
  return 10 * per_element * row_length + 1e-5;
}

int64_t random_cols(Random& random, DType dtype, int64_t most) {
  const int64_t block = base::info(dtype).block_elements;
  return block * random.between(1, std::max<int64_t>(most / block, 1));
}

}  // namespace neuros::kernels::testing
