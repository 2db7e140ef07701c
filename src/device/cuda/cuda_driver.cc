#include "device/cuda/cuda_driver.h"

#include "device/cuda/cuda_error.h"

namespace neuros::device {
namespace {

template <typename Function>
base::Result<> find(const std::string& name, Function& function) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult query{};
  constexpr unsigned kVersion = 12000;
  TRY(cuda_result(
      cudaGetDriverEntryPointByVersion(name.c_str(), &found, kVersion, cudaEnableDefault, &query),
      name));
  if (query != cudaDriverEntryPointSuccess || found == nullptr) {
    return base::fail("the NVIDIA driver has no " + name, base::ErrorKind::kUnsupported);
  }
  function = reinterpret_cast<Function>(found);
  return {};
}

base::Result<CudaDriver> find_all() {
  CudaDriver driver;
  TRY(find("cuGetErrorString", driver.error_string));
  TRY(find("cuMemAddressFree", driver.address_free));
  TRY(find("cuMemAddressReserve", driver.address_reserve));
  TRY(find("cuMemCreate", driver.create));
  TRY(find("cuMemGetAllocationGranularity", driver.granularity));
  TRY(find("cuMemMap", driver.map));
  TRY(find("cuMemRelease", driver.release));
  TRY(find("cuMemSetAccess", driver.set_access));
  TRY(find("cuMemUnmap", driver.unmap));
  return driver;
}

}  // namespace

base::Result<const CudaDriver*> CudaDriver::get() {
  static const base::Result<CudaDriver> found = find_all();
  if (!found) return tl::unexpected(found.error());
  return &*found;
}

base::Result<> CudaDriver::result(CUresult code, const std::string& what) const {
  if (code == CUDA_SUCCESS) return {};
  const char* text = nullptr;
  if (error_string(code, &text) != CUDA_SUCCESS || text == nullptr) text = "unknown error";
  const auto kind =
      code == CUDA_ERROR_OUT_OF_MEMORY ? base::ErrorKind::kOutOfMemory : base::ErrorKind::kIo;
  return base::fail(what + ": " + text, kind);
}

}  // namespace neuros::device
