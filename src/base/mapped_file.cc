#include "base/mapped_file.h"

#include "base/fd.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace neuros::base {
namespace {

tl::unexpected<Error> io_error(const std::string& path, int number) {
  return fail(path + ": " + std::strerror(number),
              number == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo);
}

struct OpenFile {
  Fd fd;
  size_t size;
};

Result<OpenFile> open_regular(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return io_error(path, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return io_error(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(path + ": not a regular file");
  return OpenFile{std::move(fd), static_cast<size_t>(status.st_size)};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  OpenFile file = TRY(open_regular(path));
  if (file.size == 0) return MappedFile(path, std::move(file.fd), {});
  void* address = ::mmap(nullptr, file.size, PROT_READ, MAP_PRIVATE, file.fd.get(), 0);
  if (address == MAP_FAILED) return io_error(path, errno);
  return MappedFile(path, std::move(file.fd), {static_cast<const std::byte*>(address), file.size});
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::move(other.fd_)),
      bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

bool MappedFile::contains(std::span<const std::byte> part) const {
  const std::byte* end = bytes_.data() + bytes_.size();
  return std::less_equal<>()(bytes_.data(), part.data()) &&
         std::less_equal<>()(part.data() + part.size(), end);
}

Result<> MappedFile::read(std::span<const std::byte> part, std::byte* to) const {
  const auto offset = static_cast<uint64_t>(part.data() - bytes_.data());
  auto done = read_at(fd_, offset, {to, part.size()});
  if (!done) return tl::unexpected(with_context(std::move(done).error(), path_));
  return {};
}

Result<FileIdentity> MappedFile::identity() const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return io_error(path_, errno);
  return FileIdentity{static_cast<uint64_t>(status.st_size), status.st_ino,
                      status.st_mtim.tv_sec * int64_t{1'000'000'000} + status.st_mtim.tv_nsec};
}

void MappedFile::drop(std::span<const std::byte> part) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t last = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

Result<std::string> read_text_file(const std::string& path, size_t bytes_max) {
  OpenFile file = TRY(open_regular(path));
  if (file.size > bytes_max) {
    return fail(path + ": " + std::to_string(file.size) + " bytes, limit " +
                std::to_string(bytes_max));
  }
  std::string text(file.size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(file.fd.get(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error(path, errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

}  // namespace neuros::base
