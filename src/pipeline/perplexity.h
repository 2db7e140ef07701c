#pragma once

#include "base/result.h"
#include "pipeline/language_model.h"

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace neuros::pipeline {

struct Perplexity {
  double value = 0.0;  ///< exp of the mean negative log-likelihood
  double error = 0.0;  ///< its standard error
  int64_t tokens_scored = 0;
  std::vector<double> by_chunk;  ///< running value after each chunk
};

/// Perplexity by llama.cpp's chunk method: the text's tokens are cut into chunks of `context`, each
/// chunk's first token is replaced by BOS where the model uses one, and the second half of each
/// chunk is scored. The rest of the text that fills no chunk is left out.
base::Result<Perplexity> measure_perplexity(LanguageModel& model, std::string_view text,
                                            int32_t context,
                                            const std::function<void(double)>& on_progress);

}  // namespace neuros::pipeline
