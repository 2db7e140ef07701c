#include "device/disk_rate.h"

#include "base/check.h"
#include "base/direct_file.h"
#include "base/part_pipeline.h"
#include "device/read_rate.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <new>
#include <random>
#include <span>
#include <sstream>
#include <vector>

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace neuros::device {
namespace {

constexpr size_t kPartBytes = size_t{4} << 20;

/// Removes the file whatever happens.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& folder)
      : path_(folder + "/neuros-disk-rate-" + std::to_string(::getpid()) + ".tmp") {}
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A part that no file system makes smaller, aligned for direct writes.
class RandomPart {
 public:
  RandomPart() {
    std::mt19937_64 random(1);
    for (size_t at = 0; at < kPartBytes; at += sizeof(uint64_t)) {
      const uint64_t word = random();
      std::memcpy(data_ + at, &word, sizeof word);
    }
  }
  ~RandomPart() { ::operator delete(data_, kAlignment); }
  RandomPart(const RandomPart&) = delete;
  RandomPart& operator=(const RandomPart&) = delete;
  std::span<const std::byte> bytes() const { return {data_, kPartBytes}; }

 private:
  static constexpr std::align_val_t kAlignment{base::DirectFile::kAlignment};
  std::byte* data_ = static_cast<std::byte*>(::operator new(kPartBytes, kAlignment));
};

tl::unexpected<base::Error> no_rate(const std::string& why) {
  return base::fail(why, base::ErrorKind::kUnavailable);
}

std::string mib(uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

/// Room for the file, and as much again for whoever else writes.
base::Result<> check_room(const std::string& folder, uint64_t bytes) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return no_rate(folder + ": " + strerror(errno));
  const uint64_t free = uint64_t{status.f_bavail} * status.f_frsize;
  if (free >= 2 * bytes) return {};
  return no_rate(folder + ": " + mib(free) + " are free, measuring takes " + mib(2 * bytes));
}

base::Result<> fill(const base::DirectFile& file, size_t parts) {
  const RandomPart random;
  base::PartPipeline writing(parts, base::disk_threads(), [&](size_t part) {
    return file.write(part * kPartBytes, random.bytes());
  });
  writing.allow(parts);
  for (size_t part = 0; part < parts; ++part) TRY(writing.wait_for(part));
  return {};
}

}  // namespace

DiskProfile describe_disk(const std::string& folder) {
  DiskProfile disk{.path = folder, .device = {}, .file_system = {}};
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) return disk;
  const std::string wanted =
      std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");  // proc(5): fields up to "-" vary in number
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, word;
    fields >> id >> parent >> device;
    if (device != wanted) continue;
    while (fields >> word && word != "-") continue;
    fields >> disk.file_system >> disk.device;
  }
  return disk;
}

base::Result<double> measure_disk(const std::string& folder, uint64_t bytes) {
  CHECK(bytes % kPartBytes == 0, "the file is written in whole parts");
  TRY(check_room(folder, bytes));
  const TemporaryFile temporary(folder);
  {
    auto file = base::DirectFile::create(temporary.path(), bytes);
    if (!file) return no_rate(file.error().message);
    if (!file->is_direct()) return no_rate(folder + ": has no reads past the page cache");
    auto filled = fill(*file, bytes / kPartBytes);
    if (!filled) return no_rate(filled.error().message);
  }
  return measure_read_rate(temporary.path());
}

}  // namespace neuros::device
