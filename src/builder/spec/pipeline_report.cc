#include "builder/spec/pipeline_report.h"

#include "base/byte_size.h"
#include "builder/spec/quantity.h"
#include "builder/spec/staging_schedule.h"
#include "formats/printable.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace neuros::builder {
namespace {

using Json = nlohmann::ordered_json;

const StageSpec& stage_at(const PipelineSpec& spec, int32_t place) {
  return spec.stages[static_cast<size_t>(place)];
}

std::vector<std::string> ids_of(const PipelineSpec& spec, const std::vector<int32_t>& stages) {
  std::vector<std::string> ids;
  for (const int32_t s : stages) ids.push_back(stage_at(spec, s).id);
  return ids;
}

std::string joined(const std::vector<std::string>& texts, const std::string& between) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : between) + text;
  return all;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

/// From one round at its shortest to all rounds at their longest.
LatencyRange tool_time(const PipelineSpec& spec, const StageGraph& graph, int32_t place) {
  const StageSpec& stage = stage_at(spec, place);
  if (!stage.tool || !stage.tool->latency) return {};
  return {stage.tool->latency->min_us,
          stage.tool->latency->max_us * rounds_max(spec, graph, place)};
}

/// Before models are measured only tools have a known cost. Of paths of equal cost the one of most
/// stages counts, so each stage adds less than a microsecond of a tool does.
CriticalPath path_by_tools(const PipelineSpec& spec, const StageGraph& graph) {
  std::vector<int64_t> costs;
  for (int32_t s = 0; s < graph.size(); ++s) {
    const auto stages = static_cast<int64_t>(spec.stages.size());
    costs.push_back(tool_time(spec, graph, s).max_us * (stages + 1) + 1);
  }
  return critical_path(graph, costs);
}

struct PathTime {
  LatencyRange tools;
  int32_t model_runs = 0;
};

PathTime time_on(const PipelineSpec& spec, const StageGraph& graph, const CriticalPath& path) {
  PathTime time;
  for (const int32_t s : path.stages) {
    const LatencyRange tool = tool_time(spec, graph, s);
    time.tools.min_us += tool.min_us;
    time.tools.max_us += tool.max_us;
    if (!stage_at(spec, s).tool) time.model_runs += rounds_max(spec, graph, s);
  }
  return time;
}

std::string describe_model(const ModelSpec& model) {
  std::string text = "  " + padded(model.id, 14) + padded(std::string(name(model.model_class)), 8) +
                     padded(std::string(name(model.priority)), 10) + formats::printable(model.file);
  if (model.context > 0) text += "; context " + tokens_text(model.context);
  if (model.context_min > 0) text += ", at least " + tokens_text(model.context_min);
  if (!model.precision.empty()) text += "; " + joined(model.precision, ", ");
  if (!model.calibration.empty()) text += " by " + formats::printable(model.calibration);
  if (model.parallel > 0) text += "; " + std::to_string(model.parallel) + " sequences";
  if (model.kv_dtype != base::DType::kF16)
    text += "; kv " + std::string(base::name(model.kv_dtype));
  if (model.scratch_bytes > 0) text += "; scratch " + base::bytes_text(model.scratch_bytes);
  if (model.pin) text += "; pinned to the device";
  if (model.residency) text += "; waits in " + std::string(name(*model.residency));
  return text + "\n";
}

struct NamedAmount {
  std::string_view name;
  std::optional<int64_t> amount;  ///< bytes or microseconds
};
std::array<NamedAmount, 5> rows_of(const MemorySpec& memory) {
  return {{{"device", memory.device},
           {"pinned", memory.pinned},
           {"pageable", memory.pageable},
           {"disk", memory.disk},
           {"kv_swap", memory.kv_swap}}};
}

std::array<NamedAmount, 6> times_of(const SloSpec& slo) {
  return {{{"ttft_p50", slo.ttft_us_p50},
           {"ttft_p99", slo.ttft_us_p99},
           {"token_p50", slo.token_us_p50},
           {"token_p99", slo.token_us_p99},
           {"total_p50", slo.total_us_p50},
           {"total_p99", slo.total_us_p99}}};
}

std::string describe_limits(const PipelineSpec& spec) {
  std::vector<std::string> memory, slo;
  for (const NamedAmount& row : rows_of(spec.memory)) {
    if (row.amount) memory.push_back(std::string(row.name) + " " + base::bytes_text(*row.amount));
  }
  for (const NamedAmount& row : times_of(spec.slo)) {
    if (row.amount) slo.push_back(std::string(row.name) + " " + time_text(*row.amount));
  }
  if (spec.slo.tokens_per_s) {
    slo.push_back(Json(*spec.slo.tokens_per_s).dump() + " tokens/s");
  }
  std::string text;
  if (!memory.empty()) text += "memory      at most " + joined(memory, ", ") + "\n";
  if (spec.memory.boot) text += "boot        " + std::string(name(*spec.memory.boot)) + "\n";
  if (!slo.empty()) text += "promised    " + joined(slo, ", ") + "\n";
  return text;
}

std::string describe_stage(const PipelineSpec& spec, const StageGraph& graph, int32_t place) {
  const StageSpec& stage = stage_at(spec, place);
  const std::string does =
      stage.tool ? "tool " + formats::printable(stage.tool->name) : "run " + stage.run;
  const auto needs = ids_of(spec, graph.needs(place));
  std::string text = "  " + padded(stage.id, 14) + padded(does, 18) + "after " +
                     (needs.empty() ? "the request" : joined(needs, ", "));
  if (stage.when) text += "; when " + formats::printable(stage.when->source);
  if (stage.tool && stage.tool->latency) text += "; " + latency_text(*stage.tool->latency);
  if (stage.loop) {
    text += "; up to " + std::to_string(stage.loop->rounds_max) + " rounds until " +
            formats::printable(stage.loop->until.source);
    if (!stage.loop->body.empty()) text += " with " + joined(stage.loop->body, ", ");
  }
  if (stage.tool && !spec.models_of(stage).empty()) {
    text += "; models " + joined(spec.models_of(stage), ", ");
  }
  return text + "\n";
}

std::string describe_overlaps(const PipelineSpec& spec, const StageGraph& graph) {
  const CriticalPath path = path_by_tools(spec, graph);
  const PathTime time = time_on(spec, graph, path);
  std::string text = "longest     " + joined(ids_of(spec, path.stages), " -> ") + ": tools " +
                     latency_text(time.tools) + ", " + std::to_string(time.model_runs) +
                     " runs of models\n";
  for (const auto& group : parallel_groups(graph)) {
    text += "parallel    " + joined(ids_of(spec, group), ", ") + "\n";
  }
  for (const SharedBatch& batch : shared_batches(spec, graph)) {
    text += "one batch   " + batch.model + ": " + joined(ids_of(spec, batch.stages), ", ") + "\n";
  }
  for (const ToolWindow& window : tool_windows(spec, graph)) {
    text += "window      " + stage_at(spec, window.stage).id + " " + latency_text(window.latency);
    if (!window.stage_next.empty()) text += ": may stage " + joined(window.stage_next, ", ");
    if (!window.keep.empty()) text += "; keeps " + joined(window.keep, ", ");
    text += "\n";
  }
  return text;
}

std::string describe_staging(const PipelineSpec& spec, const StageGraph& graph) {
  std::string text;
  for (const StagingTrigger& trigger : staging_schedule(spec, graph)) {
    text += "expect      " + trigger.model + " for " + stage_at(spec, trigger.user).id + " when " +
            (trigger.at == StagingTrigger::kArrival ? "the request arrives"
                                                    : stage_at(spec, trigger.at).id + " starts");
    if (trigger.distance > 1) text += ", " + std::to_string(trigger.distance) + " stages ahead";
    if (trigger.window) text += ", within " + latency_text(*trigger.window);
    text += "\n";
  }
  return text;
}

Json range_json(const LatencyRange& range) {
  return {{"min_us", range.min_us}, {"max_us", range.max_us}};
}

Json model_json(const ModelSpec& model) {
  Json json{{"id", model.id},
            {"file", model.file},
            {"class", name(model.model_class)},
            {"priority", name(model.priority)},
            {"context", model.context},
            {"context_min", model.context_min},
            {"precision", model.precision},
            {"calibration", model.calibration},
            {"parallel", model.parallel},
            {"kv", base::name(model.kv_dtype)},
            {"scratch_bytes", model.scratch_bytes},
            {"pin", model.pin}};
  if (model.residency) json["residency"] = name(*model.residency);
  return json;
}

Json stage_json(const PipelineSpec& spec, const StageGraph& graph, int32_t place) {
  const StageSpec& stage = stage_at(spec, place);
  Json json{{"id", stage.id},
            {"needs", ids_of(spec, graph.needs(place))},
            {"level", graph.level(place)},
            {"models", spec.models_of(stage)}};
  if (stage.tool) {
    json["tool"] = stage.tool->name;
    if (stage.tool->latency) json["latency"] = range_json(*stage.tool->latency);
  } else {
    json["run"] = stage.run;
  }
  if (stage.when) json["when"] = stage.when->source;
  if (stage.loop) {
    json["loop"] = {{"until", stage.loop->until.source},
                    {"max", stage.loop->rounds_max},
                    {"with", stage.loop->body}};
  }
  return json;
}

Json overlaps_json(const PipelineSpec& spec, const StageGraph& graph) {
  const CriticalPath path = path_by_tools(spec, graph);
  const PathTime time = time_on(spec, graph, path);
  Json json;
  json["longest"] = {{"stages", ids_of(spec, path.stages)},
                     {"tools", range_json(time.tools)},
                     {"model_runs", time.model_runs}};
  json["parallel"] = Json::array();
  for (const auto& group : parallel_groups(graph)) json["parallel"].push_back(ids_of(spec, group));
  json["shared_batches"] = Json::array();
  for (const SharedBatch& batch : shared_batches(spec, graph)) {
    json["shared_batches"].push_back(
        {{"model", batch.model}, {"stages", ids_of(spec, batch.stages)}});
  }
  json["windows"] = Json::array();
  for (const ToolWindow& window : tool_windows(spec, graph)) {
    json["windows"].push_back({{"stage", stage_at(spec, window.stage).id},
                               {"latency", range_json(window.latency)},
                               {"stage_next", window.stage_next},
                               {"keep", window.keep}});
  }
  return json;
}

Json staging_json(const PipelineSpec& spec, const StageGraph& graph) {
  Json json = Json::array();
  for (const StagingTrigger& trigger : staging_schedule(spec, graph)) {
    Json entry{{"at", nullptr},
               {"model", trigger.model},
               {"user", stage_at(spec, trigger.user).id},
               {"distance", trigger.distance}};
    if (trigger.at != StagingTrigger::kArrival) entry["at"] = stage_at(spec, trigger.at).id;
    if (trigger.window) entry["window"] = range_json(*trigger.window);
    json.push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string describe(const PipelineSpec& spec, const StageGraph& graph) {
  std::string text = "pipeline    " + spec.name + "\n" + describe_limits(spec) + "models\n";
  for (const ModelSpec& model : spec.models) text += describe_model(model);
  if (!spec.routes.empty()) text += "routes\n";
  for (const RouteSpec& route : spec.routes) {
    text += "  " + padded(route.id, 14) + formats::printable(route.source) + "\n";
  }
  if (spec.stages.empty()) return text;
  text += "stages, in order\n";
  for (const int32_t s : graph.order()) text += describe_stage(spec, graph, s);
  return text + describe_overlaps(spec, graph) + describe_staging(spec, graph);
}

std::string describe_json(const PipelineSpec& spec, const StageGraph& graph) {
  Json json;
  json["name"] = spec.name;
  json["memory_bytes"] = Json::object();
  for (const NamedAmount& row : rows_of(spec.memory)) {
    if (row.amount) json["memory_bytes"][row.name] = *row.amount;
  }
  if (spec.memory.boot) json["boot"] = name(*spec.memory.boot);
  json["slo_us"] = Json::object();
  for (const NamedAmount& row : times_of(spec.slo)) {
    if (row.amount) json["slo_us"][row.name] = *row.amount;
  }
  if (spec.slo.tokens_per_s) json["tokens_per_s"] = *spec.slo.tokens_per_s;
  json["models"] = Json::array();
  for (const ModelSpec& model : spec.models) json["models"].push_back(model_json(model));
  json["routes"] = Json::object();
  for (const RouteSpec& route : spec.routes) json["routes"][route.id] = route.source;
  json["stages"] = Json::array();
  for (const int32_t s : graph.order()) json["stages"].push_back(stage_json(spec, graph, s));
  if (!spec.stages.empty()) {
    json.update(overlaps_json(spec, graph));
    json["staging"] = staging_json(spec, graph);
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace neuros::builder
