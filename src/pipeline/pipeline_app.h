#pragma once

/// A pipeline specification that is up: its models as one fleet, its stages over them. What serve/
/// and cli/ talk to. Thread-safe.

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"
#include "pipeline/language_stage_model.h"
#include "pipeline/model_fleet.h"
#include "pipeline/stages/latency_window.h"
#include "pipeline/stages/pipeline_executor.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::pipeline {

/// Whether a path names a specification: *.yaml or *.yml.
bool is_pipeline_file(std::string_view path);

class PipelineApp {
 public:
  /// Reads, checks, plans and boots. Errors name the file. `options` are those of all models, where
  /// the specification says nothing; options.queue_max limits the requests of the pipeline too.
  static base::Result<std::unique_ptr<PipelineApp>> open(const std::string& path,
                                                         ModelOptions options);
  /// Over models that are up, by the ids that the specification gives them. `folder`: where the
  /// programs of tools run; `requests_max`: under way at one time.
  static base::Result<std::unique_ptr<PipelineApp>> over(builder::PipelineSpec spec,
                                                         std::unique_ptr<ModelFleet> fleet,
                                                         const std::string& folder,
                                                         int32_t requests_max);
  PipelineApp(const PipelineApp&) = delete;
  PipelineApp& operator=(const PipelineApp&) = delete;

  const builder::PipelineSpec& spec() const { return spec_; }
  ModelFleet& fleet() { return *fleet_; }
  /// By its id in the specification.
  LanguageModel& model(std::string_view id);
  /// Null: a specification without stages.
  PipelineExecutor* executor() { return executor_.get(); }
  /// Refuses new work and waits for the running answers.
  void drain();
  /// Those that may give the answer; none: a tool gives it, or there are no stages.
  std::vector<LanguageModel*> answering_models();

  /// What conditions may ask of a request: `prompt` is its `$request`, `context` the conversation
  /// with it. `first_token_us_p50` is that of whom the request is for.
  RequestFacts facts(std::string_view prompt, std::string_view context,
                     int64_t first_token_us_p50) const;
  /// The model that a route gives for a request.
  base::Result<LanguageModel*> pick(const builder::RouteSpec& route, std::string_view prompt,
                                    std::string_view context);
  /// Times to the first token of requests that were for a route.
  LatencyWindow& route_latency(const std::string& route) { return route_latency_.at(route); }

 private:
  explicit PipelineApp(builder::PipelineSpec spec) : spec_(std::move(spec)) {}
  base::Result<> find_models();
  base::Result<> open_stages(const std::string& folder, int32_t requests_max);
  int64_t count_tokens(std::string_view text) const;

  builder::PipelineSpec spec_;
  std::unique_ptr<ModelFleet> fleet_;
  std::vector<size_t> place_;  ///< of each model of the specification, in the fleet
  std::vector<LanguageStageModel> stage_models_;
  std::map<std::string, LatencyWindow> route_latency_;  ///< an entry for each route
  std::unique_ptr<PipelineExecutor> executor_;          // ends before what it runs on
};

}  // namespace neuros::pipeline
