#include "cli/sampling_flags.h"

#include <CLI/CLI.hpp>

namespace neuros::cli {

void SamplingFlags::declare(CLI::App& app) {
  app.add_option("--temp,--temperature", temperature, "0: greedy");
  app.add_option("--top-k", top_k, "0: all");
  app.add_option("--top-p", top_p, "nucleus");
  app.add_option("--min-p", min_p, "least share of the best token's probability");
  app.add_option("--repeat-penalty", repetition, "1: none");
  app.add_option("--presence-penalty", presence, "-2 to 2");
  app.add_option("--frequency-penalty", frequency, "-2 to 2");
  app.add_option("--seed", seed, "same seed, same answer");
}

pipeline::SamplingParams SamplingFlags::over(pipeline::SamplingParams defaults) const {
  defaults.temperature = temperature.value_or(defaults.temperature);
  defaults.top_k = top_k.value_or(defaults.top_k);
  defaults.top_p = top_p.value_or(defaults.top_p);
  defaults.min_p = min_p.value_or(defaults.min_p);
  defaults.repetition_penalty = repetition.value_or(defaults.repetition_penalty);
  defaults.presence_penalty = presence.value_or(defaults.presence_penalty);
  defaults.frequency_penalty = frequency.value_or(defaults.frequency_penalty);
  if (seed) defaults.seed = seed;
  return defaults;
}

}  // namespace neuros::cli
