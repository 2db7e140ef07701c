#include "device/cpu/cpu_frame_pool.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace neuros::device {
namespace {

constexpr size_t kFrameBytesLeast = size_t{64} << 10;
constexpr size_t kHugePageBytes = size_t{2} << 20;

tl::unexpected<base::Error> refused(const std::string& call) {
  const auto kind = errno == ENOMEM ? base::ErrorKind::kOutOfMemory : base::ErrorKind::kIo;
  return base::fail(call + ": " + std::strerror(errno), kind);
}

/// For kernels before 5.14, which cannot be asked for pages; one without memory then kills us.
void touch(std::byte* at, size_t bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  for (size_t offset = 0; offset < bytes; offset += page) {
    *const_cast<volatile std::byte*>(at + offset) = std::byte{0};
  }
}

class CpuFramePool final : public FramePool {
 public:
  CpuFramePool(FramePoolOptions options, std::function<void()> give_back)
      : FramePool("cpu", options, std::move(give_back)) {}

  static base::Result<> check(const FramePoolOptions& options) {
    return FramePool::check(options, kFrameBytesLeast);
  }

 protected:
  /// Aligned as frames are, up to the size of a huge page.
  base::Result<std::byte*> reserve(size_t bytes) override {
    const size_t alignment = std::min(frame_bytes(), kHugePageBytes);
    void* found = ::mmap(nullptr, bytes + alignment, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) return refused(std::to_string(bytes >> 20) + " MiB of addresses");
    auto* const begin = static_cast<std::byte*>(found);
    const size_t before = -reinterpret_cast<uintptr_t>(begin) % alignment;
    if (before > 0) ::munmap(begin, before);
    if (before < alignment) ::munmap(begin + before + bytes, alignment - before);
    // Of a huge page, a smaller frame could not be given back alone.
    const bool is_huge = frame_bytes() >= kHugePageBytes;
    ::madvise(begin + before, bytes, is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return begin + before;
  }

  void release(std::byte* addresses, size_t bytes) override { ::munmap(addresses, bytes); }

  base::Result<> map(std::byte* at, FrameIds frames) override {
    const size_t bytes = frames.size() * frame_bytes();
    if (::mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0) return refused("mprotect");
    if (::madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return {};
    if (errno == EINVAL) {
      touch(at, bytes);
      return {};
    }
    auto error = refused(std::to_string(bytes >> 20) + " MiB");
    static_cast<void>(unmap(at, frames));
    return error;
  }

  base::Result<> unmap(std::byte* at, FrameIds frames) override {
    const size_t bytes = frames.size() * frame_bytes();
    if (::madvise(at, bytes, MADV_DONTNEED) != 0) return refused("madvise");
    if (::mprotect(at, bytes, PROT_NONE) != 0) return refused("mprotect");
    return {};
  }
};

}  // namespace

base::Result<std::unique_ptr<FramePool>> create_cpu_frame_pool(FramePoolOptions options,
                                                               std::function<void()> give_back) {
  TRY(CpuFramePool::check(options));
  return std::make_unique<CpuFramePool>(options, std::move(give_back));
}

}  // namespace neuros::device
