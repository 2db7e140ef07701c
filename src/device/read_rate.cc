#include "device/read_rate.h"

#include "base/direct_file.h"
#include "base/part_pipeline.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include <sys/mman.h>

namespace neuros::device {
namespace {

constexpr uint64_t kPartBytes = uint64_t{4} << 20;  // as loading reads its weights
constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr uint64_t kBytesLeast = uint64_t{64} << 20, kBytesMost = uint64_t{1} << 30;

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

}  // namespace

base::Result<double> measure_read_rate(const std::string& path) {
  const base::DirectFile file = TRY(base::DirectFile::open(path));
  if (file.size() < kBytesLeast) return 0.0;
  const size_t parts = std::min(file.size(), kBytesMost) / kPartBytes;
  const auto places = static_cast<size_t>(2 * base::disk_threads());
  const size_t bytes = places * kPartBytes;
  const std::unique_ptr<std::byte, Free> memory(
      static_cast<std::byte*>(std::aligned_alloc(kHugePageBytes, bytes)));
  if (memory == nullptr)
    return base::fail(path + ": no memory to read it", base::ErrorKind::kOutOfMemory);
  ::madvise(memory.get(), bytes, MADV_HUGEPAGE);  // as the arena: a request has few pieces then
  const auto start = std::chrono::steady_clock::now();
  base::PartPipeline reading(parts, base::disk_threads(), [&](size_t part) {
    return file.read(part * kPartBytes, {memory.get() + part % places * kPartBytes, kPartBytes});
  });
  for (size_t part = 0; part < parts; ++part) {
    reading.allow(part + places);
    TRY(reading.wait_for(part));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return static_cast<double>(parts * kPartBytes) / seconds.count();
}

}  // namespace neuros::device
