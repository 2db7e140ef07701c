#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace neuros::formats {

/// A file written from front to back under a temporary name in the target's directory, and renamed
/// when it is complete. Move-only; destroyed before finish() it removes the temporary file.
/// Errors begin with the path; a full disk is kIo.
class OutputFile {
 public:
  static base::Result<OutputFile> create(const std::string& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  base::Result<> write(std::span<const std::byte> bytes);
  /// Writes out what is buffered, synchronises with the disk and renames.
  base::Result<> finish();

  const std::string& path() const { return path_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  OutputFile(std::string path, std::string temporary_path, base::Fd fd);

  base::Result<> flush();
  base::Result<> write_through(std::span<const std::byte> bytes);

  std::string path_;
  std::string temporary_path_;  ///< empty once renamed or moved from
  base::Fd fd_;
  std::vector<std::byte> buffer_;
  uint64_t bytes_written_ = 0;  ///< buffered ones included
};

}  // namespace neuros::formats
