#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace neuros::base {

/// What changes when a file is written to or replaced.
struct FileIdentity {
  uint64_t bytes = 0, inode = 0;
  int64_t modified_ns = 0;
};

/// A whole file mapped read-only. Spans into it live as long as the MappedFile.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  bool contains(std::span<const std::byte> part) const;
  /// Copies a part of bytes(), which fills `to`, by reading the file: no page of it is mapped, and
  /// a file that has become shorter is an error.
  Result<> read(std::span<const std::byte> part, std::byte* to) const;
  Result<FileIdentity> identity() const;
  /// Tells the kernel that these bytes are no longer needed in the page cache of this process.
  void drop(std::span<const std::byte> part) const;

 private:
  MappedFile(std::string path, Fd fd, std::span<const std::byte> bytes)
      : path_(std::move(path)), fd_(std::move(fd)), bytes_(bytes) {}

  std::string path_;
  Fd fd_;
  std::span<const std::byte> bytes_;
};

/// The whole of a (small) text file. Fails with kNotFound, kIo, or kInvalid above `bytes_max`.
Result<std::string> read_text_file(const std::string& path, size_t bytes_max = size_t{256} << 20);

}  // namespace neuros::base
