#pragma once

#include "device/hardware_profile.h"

#include <nlohmann/json_fwd.hpp>

namespace neuros::device {

/// The profile as JSON, with the keys of the YAML file. What is not known is left out.
nlohmann::ordered_json profile_json(HardwareProfile profile);

}  // namespace neuros::device
