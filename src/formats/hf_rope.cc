#include "formats/hf_rope.h"

#include "formats/printable.h"

#include <cmath>
#include <optional>
#include <utility>

namespace neuros::formats {
namespace {

using base::fail;
using base::Result;

constexpr double kDefaultTheta = 10000.0;

/// YaRN's attention scale for a context stretched `factor` times.
double yarn_scale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 1.0 + 0.1 * mscale * std::log(factor);
}

tl::unexpected<base::Error> unsupported(const std::string& what) {
  return fail(what + " is not supported", base::ErrorKind::kUnsupported);
}

/// Translates one scaling object; keys are set under "{prefix}.rope.scaling.".
class RopeScaling {
 public:
  RopeScaling(Metadata& metadata, const std::string& prefix, const JsonFields& fields,
              int64_t context_length)
      : metadata_(metadata),
        prefix_(prefix + ".rope.scaling."),
        fields_(fields),
        context_length_(context_length) {}

  Result<> add() {
    auto type = TRY(fields_.text("rope_type"));
    if (!type) type = TRY(fields_.text("type"));
    if (!type || *type == "default") return {};
    if (*type == "linear") return add_linear();
    if (*type == "llama3") return add_llama3();
    if (*type == "yarn") return add_yarn();
    if (*type == "dynamic") return check_dynamic();
    return unsupported("rope scaling type " + printable(*type));
  }

 private:
  Result<double> required(std::string_view name) const {
    const auto value = TRY(fields_.positive(name));
    if (!value) return fail(std::string(name) + " is missing");
    return *value;
  }

  void set(const std::string& key, MetadataValue value) {
    metadata_.set(prefix_ + key, std::move(value));
  }

  Result<> add_linear() {
    const double factor = TRY(required("factor"));
    set("factor", factor);
    set("type", std::string("linear"));
    return {};
  }

  Result<> check_dynamic() const {
    const double factor = TRY(required("factor"));
    if (factor == 1.0) return {};
    return unsupported("rope scaling type dynamic with factor " + std::to_string(factor));
  }

  Result<> add_llama3() {
    const double factor = TRY(required("factor"));
    const double low = TRY(required("low_freq_factor"));
    const double high = TRY(required("high_freq_factor"));
    const int64_t original = TRY(fields_.required_count("original_max_position_embeddings"));
    if (high <= low) return fail("high_freq_factor is not above low_freq_factor");
    set("factor", factor);
    set("low_freq_factor", low);
    set("high_freq_factor", high);
    set("original_context_length", original);
    set("type", std::string("llama3"));
    return {};
  }

  Result<> add_yarn() {
    if (!TRY(fields_.boolean("truncate")).value_or(true)) return unsupported("truncate false");
    const int64_t original =
        TRY(fields_.count("original_max_position_embeddings")).value_or(context_length_);
    const double ratio = static_cast<double>(context_length_) / static_cast<double>(original);
    const double factor = TRY(fields_.positive("factor")).value_or(ratio);
    const double scale = TRY(yarn_attention_factor(factor)) / yarn_scale(factor, 1.0);
    set("factor", factor);
    set("original_context_length", original);
    if (std::abs(scale - 1.0) > 1e-6) set("attn_factor", scale);
    if (const auto beta = TRY(fields_.positive("beta_fast"))) set("yarn_beta_fast", *beta);
    if (const auto beta = TRY(fields_.positive("beta_slow"))) set("yarn_beta_slow", *beta);
    set("type", std::string("yarn"));
    return {};
  }

  /// The whole factor on the rotated vectors.
  Result<double> yarn_attention_factor(double factor) const {
    if (const auto given = TRY(fields_.positive("attention_factor"))) return *given;
    const double mscale = TRY(fields_.number("mscale")).value_or(0.0);
    const double mscale_all_dim = TRY(fields_.number("mscale_all_dim")).value_or(0.0);
    if (mscale == 0.0 || mscale_all_dim == 0.0) return yarn_scale(factor, 1.0);
    const double ratio = yarn_scale(factor, mscale) / yarn_scale(factor, mscale_all_dim);
    if (!(ratio > 0.0) || !std::isfinite(ratio))
      return fail("mscale or mscale_all_dim out of range");
    return ratio;
  }

  Metadata& metadata_;
  std::string prefix_;
  const JsonFields& fields_;
  int64_t context_length_;
};

}  // namespace

Result<> add_hf_rope(Metadata& metadata, const std::string& prefix, const JsonFields& config,
                     int64_t context_length) {
  const auto parameters = TRY(config.object("rope_parameters"));
  auto theta = TRY(config.positive("rope_theta"));
  if (parameters && !theta) theta = TRY(parameters->positive("rope_theta"));
  metadata.set(prefix + ".rope.freq_base", theta.value_or(kDefaultTheta));
  const auto scaling = parameters ? parameters : TRY(config.object("rope_scaling"));
  if (!scaling) return {};
  if (scaling->find("full_attention") != nullptr)
    return unsupported("rope_parameters by layer type");
  return RopeScaling(metadata, prefix, *scaling, context_length).add();
}

}  // namespace neuros::formats
