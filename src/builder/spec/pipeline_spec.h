#pragma once

/// What is wanted of a machine: models, and stages that use them for each request. The text form is
/// docs/formats/pipeline.md; pipeline_yaml.h reads it and checks every limit and reference.

#include "base/dtype.h"
#include "builder/spec/expression.h"
#include "builder/spec/prompt_template.h"
#include "builder/spec/route.h"
#include "sched/boot_mode.h"
#include "sched/ids.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace neuros::builder {

enum class ModelClass : uint8_t { kLlm, kEmbed, kRerank, kSpeech };
enum class Tier : uint8_t { kDevice, kPinned, kPageable, kDisk };

/// Names in the order of the enum.
inline constexpr std::array<std::string_view, 4> kModelClassNames{"llm", "embed", "rerank",
                                                                  "speech"};
inline constexpr std::array<std::string_view, 4> kTierNames{"device", "pinned", "pageable", "disk"};
using sched::kPriorityNames;

inline std::string_view name(ModelClass value) {
  return kModelClassNames[static_cast<size_t>(value)];
}
inline std::string_view name(Tier value) {
  return kTierNames[static_cast<size_t>(value)];
}
using sched::name;

/// Models of one file are one, with several names (pipeline/shared_models.h).
struct ModelSpec {
  std::string id;
  std::string file;
  ModelClass model_class = ModelClass::kLlm;
  int32_t context = 0;                 ///< tokens; 0: the Builder's default
  int32_t context_min = 0;             ///< may be shortened down to this; 0: not at all
  std::vector<std::string> precision;  ///< names of type mixes, best first; empty: as in the file
  std::string calibration;             ///< text file that shows where precision matters; "": none
  sched::Priority priority = sched::Priority::kMedium;
  int32_t parallel = 0;  ///< sequences in one batch; 0: the Builder's choice
  base::DType kv_dtype = base::DType::kF16;
  int64_t scratch_bytes = 0;      ///< device memory on top of what the program needs
  bool pin = false;               ///< weights never leave the device
  std::optional<Tier> residency;  ///< where weights wait when idle

  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
};

/// Bytes at most; absent: what the machine has free.
struct MemorySpec {
  std::optional<int64_t> device, pinned, pageable, disk;
  std::optional<int64_t> kv_swap;       ///< host memory for KV pages of suspended processes
  std::optional<sched::BootMode> boot;  ///< when it is filled with weights; absent: eager

  friend bool operator==(const MemorySpec&, const MemorySpec&) = default;
};

struct LatencyRange {
  int64_t min_us = 0;
  int64_t max_us = 0;

  friend bool operator==(const LatencyRange&, const LatencyRange&) = default;
};

/// Runs the stage, then the stages of `body`, again and again until the condition holds.
struct LoopSpec {
  Expression until;
  int32_t rounds_max = 1;
  std::vector<std::string> body;  ///< ids of other stages

  friend bool operator==(const LoopSpec&, const LoopSpec&) = default;
};

using Argument = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;

struct NamedArgument {
  std::string name;
  Argument value;

  friend bool operator==(const NamedArgument&, const NamedArgument&) = default;
};

struct ToolSpec {
  std::string name;
  std::optional<LatencyRange> latency;
  std::string index;
  std::string embed, rerank;  ///< ids of models; empty: none
  int32_t top = 0;            ///< results; 0: the tool's default
  std::vector<std::string> command;
  std::vector<NamedArgument> arguments;

  friend bool operator==(const ToolSpec&, const ToolSpec&) = default;
};

/// One step of a request: runs a model (or the one a route picks), or calls a tool.
struct StageSpec {
  std::string id;
  std::string run;  ///< id of a model or route; empty: a tool
  std::optional<ToolSpec> tool;
  std::vector<Reference> inputs;
  std::optional<PromptTemplate> prompt;
  std::vector<std::string> after;  ///< stages waited for without using what they gave
  std::optional<Expression> when;
  std::optional<LoopSpec> loop;
  int32_t input_tokens_max = 0;             ///< 0: the model's context
  int32_t output_tokens_max = 0;            ///< 0: to the end of the context
  std::optional<sched::Priority> priority;  ///< absent: the model's

  friend bool operator==(const StageSpec&, const StageSpec&) = default;
};

/// What the Builder plans for; absent: nothing promised.
struct SloSpec {
  std::optional<int64_t> ttft_us_p50, ttft_us_p99;    ///< request to first token
  std::optional<int64_t> token_us_p50, token_us_p99;  ///< between two tokens
  std::optional<int64_t> total_us_p50, total_us_p99;  ///< request to last byte
  std::optional<double> tokens_per_s;

  friend bool operator==(const SloSpec&, const SloSpec&) = default;
};

struct PipelineSpec {
  std::string name = "pipeline";
  std::vector<ModelSpec> models;
  MemorySpec memory;
  std::vector<RouteSpec> routes;
  std::vector<StageSpec> stages;
  SloSpec slo;

  const ModelSpec* find_model(std::string_view id) const;
  const RouteSpec* find_route(std::string_view id) const;
  /// Its place in `stages`; -1 if there is none.
  int32_t find_stage(std::string_view id) const;
  /// Ids of the models a stage may use, each once: the one it runs, all that its route may pick,
  /// those that its tool is given.
  std::vector<std::string> models_of(const StageSpec& stage) const;

  friend bool operator==(const PipelineSpec&, const PipelineSpec&) = default;
};

}  // namespace neuros::builder
