#include "base/fd.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <unistd.h>

namespace neuros::base {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<> read_at(const Fd& fd, uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    const ssize_t got = ::pread(fd.get(), to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(std::string("cannot read: ") + std::strerror(errno), ErrorKind::kIo);
    if (got == 0) {
      return fail("ends at " + std::to_string(offset) + ", " + std::to_string(to.size()) +
                      " bytes before what was to be read",
                  ErrorKind::kIo);
    }
    offset += static_cast<uint64_t>(got);
    to = to.subspan(static_cast<size_t>(got));
  }
  return {};
}

Result<> write_at(const Fd& fd, uint64_t offset, std::span<const std::byte> from) {
  while (!from.empty()) {
    const ssize_t wrote = ::pwrite(fd.get(), from.data(), from.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0)
      return fail(std::string("cannot write: ") + std::strerror(errno), ErrorKind::kIo);
    offset += static_cast<uint64_t>(wrote);
    from = from.subspan(static_cast<size_t>(wrote));
  }
  return {};
}

}  // namespace neuros::base
