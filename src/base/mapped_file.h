#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace neuros::base {

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
  /// Tells the kernel that these bytes are no longer needed in the page cache of this process.
  void drop(std::span<const std::byte> part) const;

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes)
      : path_(std::move(path)), bytes_(bytes) {}

  std::string path_;
  std::span<const std::byte> bytes_;
};

/// The whole of a (small) text file. Fails with kNotFound, kIo, or kInvalid above `bytes_max`.
Result<std::string> read_text_file(const std::string& path, size_t bytes_max = size_t{256} << 20);

}  // namespace neuros::base
