#include "device/open_device.h"

#include "device/cpu/cpu_device.h"
#include "device/cuda_device.h"

#include <charconv>

namespace neuros::device {
namespace {

constexpr std::string_view kCuda = "cuda";

}  // namespace

base::Result<int> gpu_index(const std::string& name) {
  if (name == kCuda) return 0;
  int index = -1;
  const char* end = name.data() + name.size();
  if (name.starts_with("cuda:")) {
    const auto parsed = std::from_chars(name.data() + kCuda.size() + 1, end, index);
    if (parsed.ec == std::errc() && parsed.ptr == end && index >= 0) return index;
  }
  return base::fail("device " + name + ": expected cpu, cuda or cuda:N",
                    base::ErrorKind::kUnsupported);
}

base::Result<std::unique_ptr<Device>> open_device(const std::string& name, DeviceOptions options) {
  if (name == "cpu") {
    return open_cpu_device({.threads = options.threads, .memory_bytes = options.memory_bytes});
  }
  const int index = TRY(gpu_index(name));
  return open_cuda_device({.index = index, .memory_bytes = options.memory_bytes});
}

}  // namespace neuros::device
