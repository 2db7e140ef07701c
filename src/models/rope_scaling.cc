#include "models/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

namespace neuros::models {
namespace {

struct Scaling {
  std::string type = "none";
  double base = 10000.0, factor = 1.0, original_context = 0.0;
  double attention_factor = 1.0, beta_fast = 32.0, beta_slow = 1.0;
  double low_frequency_factor = 1.0, high_frequency_factor = 4.0;
};

base::Result<Scaling> read_scaling(const formats::Checkpoint& checkpoint,
                                   const std::string& prefix) {
  const formats::Metadata& metadata = checkpoint.metadata;
  const auto number = [&](const std::string& key, double fallback) {
    return metadata.number_or_none(prefix + ".rope." + key).value_or(fallback);
  };
  Scaling scaling;
  scaling.type = metadata.text_or_none(prefix + ".rope.scaling.type").value_or("none");
  scaling.base = number("freq_base", 10000.0);
  scaling.factor = number("scaling.factor", 1.0);
  scaling.attention_factor = number("scaling.attn_factor", 1.0);
  scaling.beta_fast = number("scaling.yarn_beta_fast", 32.0);
  scaling.beta_slow = number("scaling.yarn_beta_slow", 1.0);
  scaling.low_frequency_factor = number("scaling.low_freq_factor", 1.0);
  scaling.high_frequency_factor = number("scaling.high_freq_factor", 4.0);
  const double context = metadata.number_or_none(prefix + ".context_length").value_or(2048.0);
  scaling.original_context = number("scaling.original_context_length", context);
  if (!(scaling.base > 0.0) || !std::isfinite(scaling.base)) {
    return base::fail(prefix + ".rope.freq_base: " + std::to_string(scaling.base) +
                      ", expected a positive number");
  }
  if (!(scaling.factor > 0.0) || !std::isfinite(scaling.factor)) {
    return base::fail(prefix + ".rope.scaling.factor: " + std::to_string(scaling.factor) +
                      ", expected a positive number");
  }
  return scaling;
}

/// By what Llama 3.1's rule divides a frequency: wavelengths far beyond the original context are
/// stretched by the factor, short ones kept, those between blended.
double llama3_divisor(const Scaling& scaling, double frequency) {
  const double long_wave = scaling.original_context / scaling.low_frequency_factor;
  const double short_wave = scaling.original_context / scaling.high_frequency_factor;
  const double wave = 2.0 * std::numbers::pi / frequency;
  if (wave < short_wave) return 1.0;
  if (wave > long_wave) return scaling.factor;
  const double blend = (scaling.original_context / wave - scaling.low_frequency_factor) /
                       (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return 1.0 / ((1.0 - blend) / scaling.factor + blend);
}

/// base^(-2i/dims) for every pair i.
std::vector<double> unscaled_frequencies(const Scaling& scaling, int32_t dims) {
  std::vector<double> inverse(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < inverse.size(); ++i) {
    inverse[i] = std::pow(scaling.base, -2.0 * static_cast<double>(i) / dims);
  }
  return inverse;
}

/// The pair index whose frequency turns `rotations` times within the original context.
double yarn_pair_of(const Scaling& scaling, int32_t dims, double rotations) {
  return dims * std::log(scaling.original_context / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(scaling.base));
}

float apply_yarn(const Scaling& scaling, int32_t dims, std::vector<double>& inverse) {
  const double low = std::max(0.0, std::floor(yarn_pair_of(scaling, dims, scaling.beta_fast)));
  const double high =
      std::min(dims - 1.0, std::ceil(yarn_pair_of(scaling, dims, scaling.beta_slow)));
  for (size_t i = 0; i < inverse.size(); ++i) {
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low), 0.0, 1.0);
    inverse[i] = inverse[i] / scaling.factor * ramp + inverse[i] * (1.0 - ramp);
  }
  return static_cast<float>(scaling.attention_factor * (1.0 + 0.1 * std::log(scaling.factor)));
}

base::Result<> apply_divisors(const base::TensorView& tensor, std::vector<double>& inverse) {
  if (tensor.dtype != base::DType::kF32 ||
      base::element_count(tensor.shape) != static_cast<int64_t>(inverse.size())) {
    return base::fail("rope_freqs.weight: " + std::string(base::name(tensor.dtype)) + " " +
                      base::to_string(tensor.shape) + ", expected f32 [" +
                      std::to_string(inverse.size()) + "]");
  }
  for (size_t i = 0; i < inverse.size(); ++i) {
    float divisor = 0.0f;
    std::memcpy(&divisor, tensor.bytes.data() + i * sizeof(float), sizeof(float));
    if (!(divisor > 0.0f)) return base::fail("rope_freqs.weight: a divisor is not positive");
    inverse[i] /= static_cast<double>(divisor);
  }
  return {};
}

}  // namespace

base::Result<RopeFrequencies> read_rope(const formats::Checkpoint& checkpoint,
                                        const std::string& prefix, int32_t dims) {
  const Scaling scaling = TRY(read_scaling(checkpoint, prefix));
  std::vector<double> inverse = unscaled_frequencies(scaling, dims);
  RopeFrequencies out;
  if (scaling.type == "linear") {
    for (double& frequency : inverse) frequency /= scaling.factor;
  } else if (scaling.type == "llama3") {
    for (double& frequency : inverse) frequency /= llama3_divisor(scaling, frequency);
  } else if (scaling.type == "yarn") {
    out.magnitude = apply_yarn(scaling, dims, inverse);
  } else if (scaling.type != "none") {
    return base::fail(prefix + ".rope.scaling.type: " + scaling.type +
                          " is not supported; known: none, linear, llama3, yarn",
                      base::ErrorKind::kUnsupported);
  }
  if (const base::TensorView* divisors = checkpoint.find_tensor("rope_freqs.weight")) {
    TRY(apply_divisors(*divisors, inverse));
  }
  for (double frequency : inverse) out.inverse.push_back(static_cast<float>(frequency));
  return out;
}

base::Result<std::vector<float>> read_llama3_divisors(const formats::Checkpoint& checkpoint,
                                                      const std::string& prefix, int32_t dims) {
  const Scaling scaling = TRY(read_scaling(checkpoint, prefix));
  std::vector<float> divisors;
  if (scaling.type != "llama3") return divisors;
  for (double frequency : unscaled_frequencies(scaling, dims)) {
    divisors.push_back(static_cast<float>(llama3_divisor(scaling, frequency)));
  }
  return divisors;
}

}  // namespace neuros::models
