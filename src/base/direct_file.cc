#include "base/direct_file.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace neuros::base {
namespace {

tl::unexpected<Error> io_error(const std::string& path, int number) {
  return fail(path + ": " + std::strerror(number),
              number == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo);
}

Result<> about(const std::string& path, Result<> result) {
  if (result) return result;
  return tl::unexpected(with_context(std::move(result).error(), path));
}

/// Claims the file's room; a file system that cannot do so only sets its length.
int claim(const Fd& fd, uint64_t bytes) {
  const auto length = static_cast<off_t>(bytes);
  if (::fallocate(fd.get(), 0, 0, length) == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  return ::ftruncate(fd.get(), length) == 0 ? 0 : errno;
}

}  // namespace

Result<DirectFile> DirectFile::open(const std::string& path) {
  Fd buffered(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!buffered.is_open()) return io_error(path, errno);
  struct stat status {};
  if (::fstat(buffered.get(), &status) != 0) return io_error(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(path + ": not a regular file");
  Fd direct(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT));
  return DirectFile(path, static_cast<uint64_t>(status.st_size), std::move(buffered),
                    std::move(direct));
}

Result<DirectFile> DirectFile::create(const std::string& path, uint64_t bytes) {
  Fd buffered(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!buffered.is_open()) return io_error(path, errno);
  if (const int number = claim(buffered, bytes); number != 0) {
    ::unlink(path.c_str());
    return io_error(path + ": no room for " + std::to_string(bytes) + " bytes", number);
  }
  Fd direct(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_DIRECT));
  return DirectFile(path, bytes, std::move(buffered), std::move(direct));
}

bool DirectFile::may_pass(uint64_t offset, std::span<const std::byte> memory) const {
  const auto bits = offset | reinterpret_cast<uintptr_t>(memory.data()) | memory.size();
  return is_direct() && bits % kAlignment == 0;
}

Result<> DirectFile::read(uint64_t offset, std::span<std::byte> to) const {
  if (may_pass(offset, to) && read_at(direct_, offset, to)) return {};
  return about(path_, read_at(buffered_, offset, to));
}

Result<> DirectFile::write(uint64_t offset, std::span<const std::byte> from) const {
  if (may_pass(offset, from) && write_at(direct_, offset, from)) return {};
  return about(path_, write_at(buffered_, offset, from));
}

}  // namespace neuros::base
