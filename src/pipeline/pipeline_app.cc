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

base::Result<> check_stages(const builder::PipelineSpec& spec, const std::string& folder) {
  if (spec.stages.empty()) return {};
  TRY(check_name(spec));
  return check_tools(spec, folder);
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
  const std::string folder = folder_of(path);
  const int32_t requests_max = options.queue_max;
  const auto in_file = [&](base::Error error) {
    return base::with_context(std::move(error), path);
  };
  // Tools are cheap to check and models are not to open, so what is refused is refused first.
  if (auto checked = check_stages(spec, folder); !checked) {
    return tl::unexpected(in_file(std::move(checked).error()));
  }
  auto fleet = open_fleet(spec, folder, options);
  if (!fleet) return tl::unexpected(in_file(std::move(fleet).error()));
  auto app = over(std::move(spec), std::move(*fleet), folder, requests_max);
  if (!app) return tl::unexpected(in_file(std::move(app).error()));
  return app;
}

base::Result<std::unique_ptr<PipelineApp>> PipelineApp::over(builder::PipelineSpec spec,
                                                             std::unique_ptr<ModelFleet> fleet,
                                                             const std::string& folder,
                                                             int32_t requests_max) {
  TRY(check_stages(spec, folder));
  std::unique_ptr<PipelineApp> app(new PipelineApp(std::move(spec)));
  app->fleet_ = std::move(fleet);
  for (const builder::RouteSpec& route : app->spec_.routes) app->route_latency_[route.id];
  TRY(app->find_models());
  if (!app->spec_.stages.empty()) TRY(app->open_stages(folder, requests_max));
  return app;
}

/// A fleet names its models in an order of its own.
base::Result<> PipelineApp::find_models() {
  for (const builder::ModelSpec& model : spec_.models) {
    const auto& models = fleet_->models();
    const auto found = std::find_if(models.begin(), models.end(), [&](const auto& candidate) {
      return candidate->id() == model.id;
    });
    if (found == models.end()) return base::fail("models." + model.id + ": not in the fleet");
    place_.push_back(static_cast<size_t>(found - models.begin()));
  }
  return {};
}

base::Result<> PipelineApp::open_stages(const std::string& folder, int32_t requests_max) {
  PipelineDefinition definition{.spec = spec_, .folder = folder};
  for (const size_t place : place_) stage_models_.emplace_back(*fleet_->models()[place]);
  for (LanguageStageModel& model : stage_models_) definition.models.push_back(&model);
  definition.expect = [this](size_t model, bool expected) {
    fleet_->expect(place_[model], expected);
  };
  definition.requests_max = requests_max;
  executor_ = TRY(PipelineExecutor::create(std::move(definition)));
  return {};
}

LanguageModel& PipelineApp::model(std::string_view id) {
  const builder::ModelSpec* const found = spec_.find_model(id);
  CHECK(found != nullptr);
  return *fleet_->models()[place_[static_cast<size_t>(found - spec_.models.data())]];
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
