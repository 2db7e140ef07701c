#pragma once

/// Every key of a specification, by the kind of mapping it is in. The parser refuses all others; a
/// test holds docs/formats/pipeline.schema.json to the same lists.

#include <array>
#include <span>
#include <string_view>

namespace neuros::builder::keys {

inline constexpr std::array<std::string_view, 6> kPipeline{"name",   "models", "memory",
                                                           "routes", "stages", "slo"};
inline constexpr std::array<std::string_view, 12> kModel{
    "file",     "class",    "context", "context_min", "precision", "calibration",
    "priority", "parallel", "kv",      "scratch",     "pin",       "residency"};
inline constexpr std::array<std::string_view, 6> kMemory{"device", "pinned",  "pageable",
                                                         "disk",   "kv_swap", "boot"};
inline constexpr std::array<std::string_view, 18> kStage{"id",
                                                         "run",
                                                         "tool",
                                                         "in",
                                                         "prompt",
                                                         "after",
                                                         "when",
                                                         "loop",
                                                         "max_input_tokens",
                                                         "max_output_tokens",
                                                         "priority",
                                                         "latency",
                                                         "index",
                                                         "embed",
                                                         "rerank",
                                                         "top",
                                                         "command",
                                                         "args"};
inline constexpr std::array<std::string_view, 3> kLoop{"until", "max", "with"};
inline constexpr std::array<std::string_view, 7> kSlo{
    "ttft_p50", "ttft_p99", "token_p50", "token_p99", "total_p50", "total_p99", "tokens_per_s"};

struct Section {
  std::string_view name;  ///< of its definition in the schema
  std::span<const std::string_view> keys;
};
inline constexpr std::array<Section, 6> kSections{{{"pipeline", kPipeline},
                                                   {"model", kModel},
                                                   {"memory", kMemory},
                                                   {"stage", kStage},
                                                   {"loop", kLoop},
                                                   {"slo", kSlo}}};

}  // namespace neuros::builder::keys
