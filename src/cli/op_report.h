#pragma once

#include "cli/roofs.h"
#include "pipeline/op_times.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::cli {

/// Two tables for people: a decode step against the bandwidth, a prompt's pass against the rate of
/// multiplication.
std::string op_report(const pipeline::OpProfile& profile, const Roofs& roofs);

nlohmann::ordered_json op_report_json(const pipeline::OpProfile& profile, const Roofs& roofs);

}  // namespace neuros::cli
