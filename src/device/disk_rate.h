#pragma once

#include "base/result.h"
#include "device/hardware_profile.h"

#include <cstdint>
#include <string>

namespace neuros::device {

/// What is mounted where the folder is; names are empty where the system does not say.
DiskProfile describe_disk(const std::string& folder);

/// Writes a file of random `bytes` into the folder, reads it past the page cache and removes it.
/// kUnavailable, with the reason, where that tells no rate: too little room, no direct reads.
base::Result<double> measure_disk(const std::string& folder, uint64_t bytes);

}  // namespace neuros::device
