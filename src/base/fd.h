#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace neuros::base {

/// An owned file descriptor; closes on destruction.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Fills `to` from the file's bytes at `offset`. kIo where the system refuses or the file is
/// shorter; the error does not name the file.
Result<> read_at(const Fd& fd, uint64_t offset, std::span<std::byte> to);
/// Writes all of `from` at `offset`.
Result<> write_at(const Fd& fd, uint64_t offset, std::span<const std::byte> from);

}  // namespace neuros::base
