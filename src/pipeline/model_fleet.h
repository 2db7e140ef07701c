#pragma once

/// Language models that share a device: planned together, booted together, their weights paged
/// where the device does not hold them all.

#include "base/dtype.h"
#include "base/result.h"
#include "builder/fleet_builder.h"
#include "formats/checkpoint.h"
#include "pipeline/language_model.h"
#include "plan/fleet_plan.h"
#include "runtime/fleet.h"
#include "runtime/packed_weights_io.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace neuros::pipeline {

struct OpenedModel;

/// One model of a fleet, and where it differs from what the options say for all.
struct FleetModelOptions {
  std::string path;
  std::string name{};    ///< id in the API; "": from the file
  int32_t context = 0;   ///< 0: as the options say
  int32_t parallel = 0;  ///< 0: as the options say
  std::optional<base::DType> kv_dtype{};
  int64_t scratch_bytes = 0;         ///< device memory on top of what its program needs
  builder::ModelTerms terms{};       ///< its id is the model's
  std::string calibration{};         ///< text file that precision is chosen by; "": none
  std::optional<plan::Home> home{};  ///< where its weights wait; none: the plan's choice
};

/// What a fleet is to do, beside its models.
struct FleetWishes {
  std::vector<std::vector<int32_t>> together{};  ///< models that run at the same time, by index
  int64_t onload_us_max = 0;  ///< the longest that a request may wait for weights; 0: not asked
  int64_t pinned_bytes = 0, pageable_bytes = 0;  ///< host memory for weights; 0: what there is
  /// Ids of models as they are to be ready; those it leaves out come after, as they were given. An
  /// id of none says nothing: a program built of a model file has a specification of its own.
  std::vector<std::string> boot_order{};
};

/// The plan ModelFleet::open would boot; reads no weights but samples of those that may have to be
/// quantised. Where precision has to be given up, models with a calibration text are run over it
/// first (measure_importance.h).
base::Result<plan::FleetPlan> plan_fleet(const std::vector<FleetModelOptions>& models,
                                         const ModelOptions& options,
                                         const FleetWishes& wishes = {});

/// A model of a fleet whose plan is made and whose weights are packed.
struct PreparedModel {
  std::string id;
  formats::Checkpoint metadata;  ///< without tensors
  std::shared_ptr<const runtime::PackedWeightsFile> weights;
  std::optional<base::Error> broken{};  ///< in place of weights: what is wrong with them
};

struct PreparedFleet {
  plan::FleetPlan plan;
  std::vector<PreparedModel> models;  ///< one per model of the plan
};

struct BootOptions {
  int32_t queue_max = 256;  ///< of each model
  runtime::OnLoadProgress on_progress;
  sched::BootMode boot = sched::BootMode::kEager;
  std::vector<std::string> order{};  ///< as FleetWishes::boot_order
  OnModelBoot on_model_boot{};
  std::string trace{};  ///< as ModelOptions::trace
};

class ModelFleet {
 public:
  /// `options` are those of every model, but for the name. Errors name the file. Two models with
  /// one id are an error; two of one file are one model with two names (shared_models.h).
  static base::Result<std::unique_ptr<ModelFleet>> open(
      const std::vector<FleetModelOptions>& models, ModelOptions options,
      const FleetWishes& wishes = {});
  /// Boots what was prepared: nothing is planned or packed.
  static base::Result<std::unique_ptr<ModelFleet>> boot(PreparedFleet prepared,
                                                        const BootOptions& options);
  ~ModelFleet();

  /// One for each name, in the order of open().
  const std::vector<std::unique_ptr<LanguageModel>>& models() const;
  /// Which model of plan() and fleet() a name is of.
  size_t planned_as(size_t model) const;
  const plan::FleetPlan& plan() const;
  runtime::Fleet& fleet();
  /// Whether a stage that uses models()[model] is about to start, as runtime::Fleet::expect. As
  /// often as it was expected it has to be no more.
  void expect(size_t model, bool expected);

 private:
  struct State;
  /// `state` has the device and the plan.
  static base::Result<std::unique_ptr<ModelFleet>> start(std::unique_ptr<State> state,
                                                         std::vector<OpenedModel> opened,
                                                         std::vector<runtime::FleetMember> members,
                                                         runtime::FleetOptions options);
  explicit ModelFleet(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace neuros::pipeline
