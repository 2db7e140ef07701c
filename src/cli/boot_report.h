#pragma once

#include "pipeline/language_model.h"

#include <cstddef>
#include <memory>

namespace neuros::cli {

/// Tells on standard error of models as they come up: how long each took and where its weights came
/// from, or why it failed; at the end how long the first took, and all. May be told by any thread.
class BootReport {
 public:
  /// What a report is about: all of it, or models that failed only.
  enum class Scope { kAll, kFailures };

  explicit BootReport(Scope scope);

  /// For who boots; may outlive the report.
  pipeline::OnModelBoot listener() const;
  /// How many models there are, by their names, once that is known.
  void set_count(size_t names);

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace neuros::cli
