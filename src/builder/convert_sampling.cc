#include "builder/convert_sampling.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::builder {
namespace {

/// generation_config.json's name, GGUF's name.
constexpr std::array<std::pair<const char*, const char*>, 5> kNames{{
    {"temperature", "temp"},
    {"top_k", "top_k"},
    {"top_p", "top_p"},
    {"min_p", "min_p"},
    {"repetition_penalty", "penalty_repeat"},
}};

}  // namespace

void add_sampling_defaults(const formats::Checkpoint& checkpoint, formats::Metadata& metadata) {
  const auto file = checkpoint.side_files.find("generation_config.json");
  if (file == checkpoint.side_files.end()) return;
  const auto config = nlohmann::json::parse(file->second, nullptr, false);
  if (!config.is_object()) return;
  for (const auto& [theirs, ours] : kNames) {
    const auto value = config.find(theirs);
    if (value == config.end()) continue;
    const std::string key = std::string("general.sampling.") + ours;
    if (value->is_number_integer()) {
      metadata.set(key, value->get<int64_t>());
    } else if (value->is_number() && std::isfinite(value->get<double>())) {
      metadata.set(key, value->get<double>());
    }
  }
}

}  // namespace neuros::builder
