#pragma once

#include "runtime/weight_loading.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace neuros::cli {

/// "weights: 1.32 GB packed from model.gguf in 0.81 s, 1.63 GB/s".
std::string load_report(const runtime::LoadReport& report);
/// The same against what the disk gives: "..., roof 4.20 GB/s, 39 %"; measures that.
std::string load_report_with_roof(const runtime::LoadReport& report);
nlohmann::ordered_json load_report_json(const runtime::LoadReport& report);

/// A progress bar for who loads weights; on a terminal only.
runtime::OnLoadProgress show_load_progress();

/// Warnings, and what was written to the user's disk, on standard error.
void tell_of_cache(const runtime::LoadReport& report);

}  // namespace neuros::cli
