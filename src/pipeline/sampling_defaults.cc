#include "pipeline/sampling_defaults.h"

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

std::optional<double> number_in(const nlohmann::json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

/// Takes `value` over into `params` unless that makes them invalid.
template <typename Set>
void adopt(SamplingParams& params, std::optional<double> value, Set set) {
  if (!value) return;
  SamplingParams changed = params;
  set(changed, *value);
  if (validate(changed).has_value()) params = std::move(changed);
}

template <typename Lookup>
SamplingParams read(const Lookup& lookup) {
  SamplingParams params;
  adopt(params, lookup("temperature"),
        [](auto& p, double v) { p.temperature = static_cast<float>(v); });
  adopt(params, lookup("top_p"), [](auto& p, double v) { p.top_p = static_cast<float>(v); });
  adopt(params, lookup("min_p"), [](auto& p, double v) { p.min_p = static_cast<float>(v); });
  adopt(params, lookup("top_k"),
        [](auto& p, double v) { p.top_k = v > 0 && v < 1e9 ? static_cast<int32_t>(v) : 0; });
  adopt(params, lookup("repetition_penalty"),
        [](auto& p, double v) { p.repetition_penalty = static_cast<float>(v); });
  return params;
}

}  // namespace

SamplingParams read_sampling_defaults(const formats::Checkpoint& checkpoint) {
  const auto file = checkpoint.side_files.find("generation_config.json");
  if (file != checkpoint.side_files.end()) {
    const auto config = nlohmann::json::parse(file->second, nullptr, false);
    if (config.is_object()) {
      return read([&](const char* key) { return number_in(config, key); });
    }
  }
  return read([&](const std::string& key) {
    const std::string name = key == "temperature"          ? "temp"
                             : key == "repetition_penalty" ? "penalty_repeat"
                                                           : key;
    return checkpoint.metadata.number_or_none("general.sampling." + name);
  });
}

}  // namespace neuros::pipeline
