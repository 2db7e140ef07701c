#include "kernels/testing/memory.h"

#include "base/check.h"
#include "kernels/testing/cuda_table.h"

#include <map>
#include <memory>

namespace neuros::kernels::testing {
namespace {

/// A device's host memory as std::pmr has it.
class HostMemory final : public std::pmr::memory_resource {
 public:
  explicit HostMemory(device::Device& device) : device_(device) {}

 private:
  void* do_allocate(size_t bytes, size_t alignment) override {
    // A pool asks for chunks aligned to their blocks, which may be more than the device gives.
    auto buffer = device_.reserve_host(bytes + alignment, "test buffers");
    CHECK(buffer.has_value(), buffer.error().message.c_str());
    void* address = buffer->data();
    size_t space = buffer->size();
    CHECK(std::align(alignment, bytes, address, space) != nullptr);
    buffers_.emplace(address, std::move(*buffer));
    return address;
  }
  void do_deallocate(void* address, size_t /*bytes*/, size_t /*alignment*/) override {
    buffers_.erase(address);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  device::Device& device_;
  std::map<void*, device::Buffer> buffers_;
};

}  // namespace

std::pmr::memory_resource& buffer_memory() {
  device::Device* gpu = test_gpu();
  if (gpu == nullptr) return *std::pmr::new_delete_resource();
  // Never destroyed: buffers of static tests may outlive it.
  static auto* host = new HostMemory(*gpu);
  static auto* pool = new std::pmr::synchronized_pool_resource(
      {.max_blocks_per_chunk = 0, .largest_required_pool_block = size_t{4} << 20}, host);
  return *pool;
}

}  // namespace neuros::kernels::testing
