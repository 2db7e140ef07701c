#pragma once

/// A built artefact, opened: docs/formats/artefact.md.

#include "base/direct_file.h"
#include "base/result.h"
#include "formats/artefact.h"
#include "pipeline/model_fleet.h"
#include "plan/fleet_plan.h"

#include <optional>
#include <string>

namespace neuros::pipeline {

class Artefact {
 public:
  /// nullopt: the file has nothing behind its executable, or is something else. Plan and
  /// specification are read and checked. Errors name the file.
  static base::Result<std::optional<Artefact>> find(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const plan::FleetPlan& plan() const { return plan_; }
  const std::string& specification() const { return specification_; }
  /// Reads the metadata of all models and the headers of their weights: what is left to do is boot.
  /// What is wrong with a model's weights alone is its own (PreparedModel::broken).
  base::Result<PreparedFleet> prepare() const;

 private:
  Artefact(base::DirectFile file, formats::ArtefactIndex index, plan::FleetPlan plan,
           std::string specification)
      : file_(std::move(file)),
        index_(std::move(index)),
        plan_(std::move(plan)),
        specification_(std::move(specification)) {}
  static base::Result<Artefact> read(base::DirectFile file,
                                     const formats::ArtefactTrailer& trailer);
  base::Result<PreparedModel> prepare(const formats::ArtefactModel& model,
                                      const plan::Plan& plan) const;
  base::Result<runtime::PackedWeightsFile> open_weights(const formats::ArtefactModel& model,
                                                        const plan::Plan& plan) const;
  base::Result<> check_weights_file() const;
  std::string weights_path() const;

  base::DirectFile file_;
  formats::ArtefactIndex index_;
  plan::FleetPlan plan_;
  std::string specification_;
};

}  // namespace neuros::pipeline
