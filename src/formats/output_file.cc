#include "formats/output_file.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace neuros::formats {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

tl::unexpected<base::Error> io_error(const std::string& path, const std::string& what) {
  return base::fail(path + ": " + what + ": " + std::strerror(errno), base::ErrorKind::kIo);
}

std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return path + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

}  // namespace

base::Result<OutputFile> OutputFile::create(const std::string& path) {
  std::string temporary_path = temporary_name(path);
  base::Fd fd(::open(temporary_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd.is_open()) return io_error(path, "cannot create a file beside it");
  return OutputFile(path, std::move(temporary_path), std::move(fd));
}

OutputFile::OutputFile(std::string path, std::string temporary_path, base::Fd fd)
    : path_(std::move(path)), temporary_path_(std::move(temporary_path)), fd_(std::move(fd)) {
  buffer_.reserve(kBufferBytes);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_path_(std::exchange(other.temporary_path_, {})),
      fd_(std::move(other.fd_)),
      buffer_(std::move(other.buffer_)),
      bytes_written_(other.bytes_written_) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_path_, other.temporary_path_);
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  std::swap(bytes_written_, other.bytes_written_);
  return *this;
}

OutputFile::~OutputFile() {
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

base::Result<> OutputFile::write(std::span<const std::byte> bytes) {
  bytes_written_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) TRY(flush());
  if (bytes.size() >= kBufferBytes) return write_through(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return {};
}

base::Result<> OutputFile::flush() {
  TRY(write_through(buffer_));
  buffer_.clear();
  return {};
}

base::Result<> OutputFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd_.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return io_error(path_, "cannot write");
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return {};
}

base::Result<> OutputFile::finish() {
  TRY(flush());
  if (::fsync(fd_.get()) != 0) return io_error(path_, "cannot write");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0)
    return io_error(path_, "cannot rename the finished file to it");
  temporary_path_.clear();
  fd_ = base::Fd();
  return {};
}

}  // namespace neuros::formats
