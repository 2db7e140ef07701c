#pragma once

/// How far the precision of a model's weights may be lowered, and what each step frees and loses.

#include "base/result.h"
#include "builder/builder.h"
#include "builder/demand.h"
#include "builder/importance.h"
#include "formats/checkpoint.h"
#include "kernels/op_table.h"
#include "plan/plan.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace neuros::builder {

/// ModelDemand::levels where nothing else was asked for.
inline constexpr const char* kAsInTheFile = "as in the file";

class PrecisionLevels {
 public:
  /// `precision`: names of type mixes, best first; none: as in the file. `plan` has every weight in
  /// the type of the file. Weights that their author has quantised keep their type at every level,
  /// and so do floats of at most 16 bits where floats are asked for. `importance` weighs what each
  /// step loses. Fails for a type that `ops` have no kernel for.
  static base::Result<PrecisionLevels> create(const formats::Checkpoint& checkpoint,
                                              const plan::Plan& plan, const kernels::OpTable& ops,
                                              const std::vector<std::string>& precision,
                                              const Importance& importance = {});

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<WeightGroup>& groups() const { return groups_; }
  /// Of each segment, the bytes that no level changes.
  const std::vector<int64_t>& segment_bytes() const { return segment_bytes_; }
  /// Whether some weights keep a type that is none of those asked for.
  bool has_published() const { return has_published_; }
  /// Types for PlanRequest, of one level for each group.
  WeightTypes types_of(std::span<const int32_t> levels) const;

 private:
  struct Matrix {
    std::string name;
    size_t group = 0;
    std::vector<base::DType> dtypes;  ///< at each level
  };
  size_t group_of(const plan::WeightPlacement& weight, int32_t layers, bool tied_head);
  base::Result<> add(const formats::Checkpoint& checkpoint, const plan::Plan& plan,
                     const plan::WeightPlacement& weight, const kernels::OpTable& ops,
                     std::span<const float> importance);

  std::vector<std::string> names_;
  std::vector<WeightGroup> groups_;
  std::vector<int64_t> elements_;  ///< of each group
  std::vector<Matrix> matrices_;
  std::vector<int64_t> segment_bytes_;
  bool has_published_ = false;
};

}  // namespace neuros::builder
