#pragma once

#include "pipeline/stages/pipeline_request.h"

#include <nlohmann/json_fwd.hpp>

namespace neuros::pipeline {

/// Where a stage's time went, for machines: times in milliseconds; model null for a tool, which has
/// no parts but its queue.
nlohmann::ordered_json stage_report_json(const StageReport& stage);

}  // namespace neuros::pipeline
