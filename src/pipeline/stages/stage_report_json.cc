#include "pipeline/stages/stage_report_json.h"

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

using Json = nlohmann::ordered_json;

double ms(int64_t us) {
  return static_cast<double>(us) / 1e3;
}

}  // namespace

Json stage_report_json(const StageReport& stage) {
  Json json{{"stage", stage.stage},
            {"round", stage.round},
            {"model", stage.model.empty() ? Json(nullptr) : Json(stage.model)},
            {"start_ms", ms(stage.start_us)},
            {"end_ms", ms(stage.end_us)},
            {"queue_ms", ms(stage.times.queue_us)}};
  if (stage.model.empty()) return json;
  json["swap_ms"] = ms(stage.times.swap_us);
  json["prefill_ms"] = ms(stage.times.prefill_us);
  json["decode_ms"] = ms(stage.times.decode_us);
  json["prompt_tokens"] = stage.prompt_tokens;
  json["completion_tokens"] = stage.completion_tokens;
  json["cached_tokens"] = stage.cached_tokens;
  return json;
}

}  // namespace neuros::pipeline
