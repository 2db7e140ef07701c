#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace neuros::base {

/// A file that is read or written past the page cache (O_DIRECT), at the disk's speed where several
/// threads do so at once with parts of some MiB; through the page cache where its file system
/// or the kind of memory refuses, or where memory and offset are not multiples of kAlignment.
/// Errors name the file.
class DirectFile {
 public:
  /// Of offset, bytes and memory, for direct access.
  static constexpr size_t kAlignment = 4096;

  /// To read.
  static Result<DirectFile> open(const std::string& path);
  /// A new file of `bytes` to write to; a disk without room for them is an error here, where the
  /// file system can tell. Whoever fails later removes the file.
  static Result<DirectFile> create(const std::string& path, uint64_t bytes);

  Result<> read(uint64_t offset, std::span<std::byte> to) const;
  Result<> write(uint64_t offset, std::span<const std::byte> from) const;

  bool is_direct() const { return direct_.is_open(); }
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  DirectFile(std::string path, uint64_t size, Fd buffered, Fd direct)
      : path_(std::move(path)),
        size_(size),
        buffered_(std::move(buffered)),
        direct_(std::move(direct)) {}
  /// Whether a transfer may pass the page cache.
  bool may_pass(uint64_t offset, std::span<const std::byte> memory) const;

  std::string path_;
  uint64_t size_;
  Fd buffered_, direct_;
};

}  // namespace neuros::base
