#include "base/new_file.h"

#include "base/fd.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace neuros::base {
namespace {

tl::unexpected<Error> io_error(const std::string& path, const std::string& what) {
  return fail(path + ": " + what + ": " + std::strerror(errno), ErrorKind::kIo);
}

std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return path + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

/// Who may read a file may execute it.
mode_t executable(mode_t mode) {
  return mode | (mode & (S_IRUSR | S_IRGRP | S_IROTH)) >> 2;
}

}  // namespace

Result<NewFile> NewFile::create(const std::string& path, uint64_t bytes) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return fail(path + ": there is something that is no regular file");
  }
  DirectFile file = TRY(DirectFile::create(temporary_name(path), bytes));
  return NewFile(path, std::move(file));
}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)) {}

NewFile::~NewFile() {
  if (!path_.empty()) ::unlink(file_.path().c_str());
}

Result<> NewFile::synchronise(Mode mode) {
  const Fd fd(::open(file_.path().c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd.is_open() || ::fsync(fd.get()) != 0 || ::fstat(fd.get(), &status) != 0) {
    return io_error(path_, "cannot write");
  }
  if (mode == Mode::kExecutable && ::fchmod(fd.get(), executable(status.st_mode)) != 0) {
    return io_error(path_, "cannot make it executable");
  }
  return {};
}

Result<> NewFile::publish() {
  if (::rename(file_.path().c_str(), path_.c_str()) != 0) {
    return io_error(path_, "cannot rename the finished file to it");
  }
  path_.clear();
  return {};
}

}  // namespace neuros::base
