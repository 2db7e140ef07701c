#pragma once

#include "base/direct_file.h"
#include "base/result.h"

#include <cstdint>
#include <string>

namespace neuros::base {

/// A file of known length that appears under its name when it is complete. Destroyed before that it
/// leaves nothing. Move-only.
class NewFile {
 public:
  /// Claims the room under a temporary name in the same folder; errors name `path`.
  static Result<NewFile> create(const std::string& path, uint64_t bytes);

  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  const DirectFile& file() const { return file_; }

  enum class Mode { kData, kExecutable };
  /// What was written is on the disk when this returns.
  Result<> synchronise(Mode mode);
  /// Takes the name; another file of that name is replaced.
  Result<> publish();

 private:
  NewFile(std::string path, DirectFile file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;  ///< empty once published or moved from
  DirectFile file_;
};

}  // namespace neuros::base
