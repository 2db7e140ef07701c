#include "pipeline/pipeline_app.h"

#include "base/check.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/stage_graph.h"
#include "pipeline/spec_fleet.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <utility>

namespace neuros::pipeline {
namespace {

bool speaks_of(const builder::Expression& condition, std::string_view variable) {
  return std::any_of(condition.nodes.begin(), condition.nodes.end(), [&](const auto& node) {
    return node.operation == builder::Operation::kVariable && node.text == variable;
  });
}

/// Whether any condition of a specification asks for it.
bool speaks_of(const builder::PipelineSpec& spec, std::string_view variable) {
  for (const builder::RouteSpec& route : spec.routes) {
    for (const auto& branch : route.branches) {
      if (speaks_of(branch.condition, variable)) return true;
    }
  }
  return std::any_of(spec.stages.begin(), spec.stages.end(), [&](const auto& stage) {
    return (stage.when && speaks_of(*stage.when, variable)) ||
           (stage.loop && speaks_of(stage.loop->until, variable));
  });
}

int hour_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return local.tm_hour;
}

base::Result<std::unique_ptr<ModelFleet>> open_fleet(const builder::PipelineSpec& spec,
                                                     const std::string& folder,
                                                     const ModelOptions& options) {
  const auto graph = builder::StageGraph::create(spec);
  CHECK(graph.has_value(), "load_pipeline has checked the stages");
  const std::vector<FleetModelOptions> models = TRY(fleet_models(spec, folder));
  return ModelFleet::open(models, fleet_options(spec, options), fleet_wishes(spec, *graph));
}

/// Clients ask for the pipeline by its name, and for models and routes by theirs.
base::Result<> check_name(const builder::PipelineSpec& spec) {
  if (spec.find_model(spec.name) != nullptr) {
    return base::fail("name: " + spec.name + ": a model has this id");
  }
  if (spec.find_route(spec.name) != nullptr) {
    return base::fail("name: " + spec.name + ": a route has this id");
  }
  return {};
}

std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace

bool is_pipeline_file(std::string_view path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

base::Result<std::unique_ptr<PipelineApp>> PipelineApp::open(const std::string& path,
                                                             ModelOptions options) {
  builder::PipelineSpec spec = TRY(builder::load_pipeline(path));
  std::unique_ptr<PipelineApp> app(new PipelineApp(std::move(spec)));
  const std::string folder = folder_of(path);
  const auto in_file = [&](base::Result<> result) -> base::Result<> {
    if (result) return {};
    return tl::unexpected(base::with_context(std::move(result).error(), path));
  };
  // Tools are cheap to check and models are not to open, so what is refused is refused first.
  if (!app->spec_.stages.empty()) {
    TRY(in_file(check_name(app->spec_)));
    TRY(in_file(check_tools(app->spec_, folder)));
  }
  auto fleet = open_fleet(app->spec_, folder, options);
  if (!fleet) return tl::unexpected(base::with_context(std::move(fleet).error(), path));
  app->fleet_ = std::move(*fleet);
  for (const builder::RouteSpec& route : app->spec_.routes) app->route_latency_[route.id];
  if (!app->spec_.stages.empty()) TRY(in_file(app->open_stages(folder, options)));
  return app;
}

base::Result<> PipelineApp::open_stages(const std::string& folder, const ModelOptions& options) {
  PipelineDefinition definition{.spec = spec_, .folder = folder};
  for (const auto& model : fleet_->models()) stage_models_.emplace_back(*model);
  for (LanguageStageModel& model : stage_models_) definition.models.push_back(&model);
  definition.expect = [&fleet = *fleet_](size_t model, bool expected) {
    fleet.expect(model, expected);
  };
  definition.requests_max = options.queue_max;
  executor_ = TRY(PipelineExecutor::create(std::move(definition)));
  return {};
}

LanguageModel& PipelineApp::model(std::string_view id) {
  const builder::ModelSpec* const found = spec_.find_model(id);
  CHECK(found != nullptr);
  return *fleet_->models()[static_cast<size_t>(found - spec_.models.data())];
}

void PipelineApp::drain() {
  if (executor_) executor_->drain();
  for (const auto& model : fleet_->models()) model->drain();
}

std::vector<LanguageModel*> PipelineApp::answering_models() {
  std::vector<LanguageModel*> models;
  if (!executor_) return models;
  const auto& stage = spec_.stages[static_cast<size_t>(executor_->answer_stage())];
  for (const std::string& id : spec_.models_of(stage)) models.push_back(&model(id));
  return models;
}

int64_t PipelineApp::count_tokens(std::string_view text) const {
  const auto ids = fleet_->models().front()->tokenizer().encode(
      text, {.add_special = false, .parse_special = false});
  return static_cast<int64_t>(ids.size());
}

RequestFacts PipelineApp::facts(std::string_view prompt, std::string_view context,
                                int64_t first_token_us_p50) const {
  RequestFacts facts{.hour = hour_of_day(), .first_token_us_p50 = first_token_us_p50};
  if (speaks_of(spec_, "prompt_len")) facts.prompt_tokens = count_tokens(prompt);
  if (speaks_of(spec_, "context_len")) facts.context_tokens = count_tokens(context);
  for (const auto& model : fleet_->models()) {
    facts.queue_depth += model->stats().scheduler.waiting;
  }
  return facts;
}

base::Result<LanguageModel*> PipelineApp::pick(const builder::RouteSpec& route,
                                               std::string_view prompt, std::string_view context) {
  const int64_t latency_us = route_latency(route.id).median_us();
  const RequestValues values(StageValue::of_text(std::string(prompt)),
                             facts(prompt, context, latency_us));
  const std::string id = TRY(builder::choose(route, values.source()));
  return &model(id);
}

}  // namespace neuros::pipeline
