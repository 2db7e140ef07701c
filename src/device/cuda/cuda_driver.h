#pragma once

#include "base/result.h"

#include <string>

#include <cuda.h>

namespace neuros::device {

/// The driver's functions that the runtime has no counterpart of. The program is not linked to the
/// driver, as it starts without a GPU too.
struct CudaDriver {
  decltype(&::cuGetErrorString) error_string = nullptr;
  decltype(&::cuMemAddressFree) address_free = nullptr;
  decltype(&::cuMemAddressReserve) address_reserve = nullptr;
  decltype(&::cuMemCreate) create = nullptr;
  decltype(&::cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&::cuMemMap) map = nullptr;
  decltype(&::cuMemRelease) release = nullptr;
  decltype(&::cuMemSetAccess) set_access = nullptr;
  decltype(&::cuMemUnmap) unmap = nullptr;

  /// Found once; the error names the function that this driver lacks.
  static base::Result<const CudaDriver*> get();
  /// "cuMemMap: invalid argument", or nothing.
  base::Result<> result(CUresult code, const std::string& what) const;
};

}  // namespace neuros::device
