#pragma once

#include "base/result.h"

#include <string>

namespace neuros::device {

/// Bytes per second at which the disk gives the file's first gigabyte, past the page cache and as
/// loading reads it: the roof of loading. 0 where the file is smaller than what tells a rate.
base::Result<double> measure_read_rate(const std::string& path);

}  // namespace neuros::device
