#include "serve/generation_fields.h"

#include <charconv>
#include <limits>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

constexpr size_t kStopsMax = 16;
constexpr int64_t kChoicesMax = 16;
constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

void read_stop(FieldReader& fields, std::vector<std::string>& out) {
  const Json* stop = fields.find("stop");
  if (!stop) return;
  if (stop->is_string()) {
    out = {stop->get<std::string>()};
  } else if (stop->is_array() && stop->size() <= kStopsMax) {
    for (size_t i = 0; i < stop->size(); ++i) {
      const Json& text = (*stop)[i];
      if (!text.is_string()) {
        return fields.fail_type("stop[" + std::to_string(i) + "]", "a string", text);
      }
      out.push_back(text.get<std::string>());
    }
  } else {
    return fields.fail_type("stop", "a string or an array of at most 16 strings", *stop);
  }
  std::erase(out, "");  // would stop everything; clients send it to mean none
}

void read_stop_tokens(FieldReader& fields, int32_t vocabulary, std::vector<int32_t>& out) {
  const Json* ids = fields.find("stop_token_ids");
  if (!ids) return;
  if (!ids->is_array()) return fields.fail_type("stop_token_ids", "an array of token ids", *ids);
  for (size_t i = 0; i < ids->size(); ++i) {
    const Json& id = (*ids)[i];
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocabulary) {
      return fields.fail_type("stop_token_ids[" + std::to_string(i) + "]",
                              "a token id below " + std::to_string(vocabulary), id);
    }
    out.push_back(id.get<int32_t>());
  }
}

void read_logit_bias(FieldReader& fields, int32_t vocabulary, std::map<int32_t, float>& out) {
  const Json* bias = fields.find("logit_bias");
  if (!bias) return;
  if (!bias->is_object()) return fields.fail_type("logit_bias", "an object", *bias);
  for (const auto& [key, value] : bias->items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const std::string name = "logit_bias." + key;
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= vocabulary) {
      return fields.fail_type(name, "keyed by a token id below " + std::to_string(vocabulary), key);
    }
    const double added = value.is_number() ? value.get<double>() : 1e9;
    if (!(added >= -100 && added <= 100)) {
      return fields.fail_type(name, "a number from -100 to 100", value);
    }
    out[id] = static_cast<float>(added);
  }
}

void read_seed(FieldReader& fields, std::optional<uint64_t>& out) {
  const Json* seed = fields.find("seed");
  if (!seed) return;
  if (!seed->is_number_integer()) return fields.fail_type("seed", "an integer", *seed);
  if (*seed != -1) out = seed->get<uint64_t>();  // -1: any, as llama.cpp's clients say it
}

/// vLLM sends integers, lower is more urgent and 0 usual; others send names.
void read_priority(FieldReader& fields, sched::Priority& out) {
  const Json* priority = fields.find("priority");
  if (!priority) return;
  if (priority->is_number_integer()) {
    const auto value = priority->get<int64_t>();
    out = value < 0   ? sched::Priority::kCritical
          : value > 0 ? sched::Priority::kLow
                      : sched::Priority::kMedium;
  } else if (*priority == "critical" || *priority == "high") {
    out = sched::Priority::kCritical;
  } else if (*priority == "medium" || *priority == "normal") {
    out = sched::Priority::kMedium;
  } else if (*priority == "low") {
    out = sched::Priority::kLow;
  } else {
    fields.fail_type("priority", "an integer, or one of critical, high, medium, normal and low",
                     *priority);
  }
}

void read_sampling(FieldReader& fields, int32_t vocabulary, pipeline::SamplingParams& out) {
  fields.read("temperature", out.temperature, Range<double>{0, 2});
  fields.read("top_p", out.top_p, Range<double>{0, 1});
  if (out.top_p == 0) {  // only the likeliest token is left
    out.top_p = 1;
    out.temperature = 0;
  }
  fields.read("top_k", out.top_k, Range<int64_t>{-1, kInt32Max});
  if (out.top_k < 0) out.top_k = 0;
  fields.read("min_p", out.min_p, Range<double>{0, 1});
  fields.read("repeat_penalty", out.repetition_penalty, Range<double>{0.01, 100});
  fields.read("repetition_penalty", out.repetition_penalty, Range<double>{0.01, 100});
  fields.read("presence_penalty", out.presence_penalty, Range<double>{-2, 2});
  fields.read("frequency_penalty", out.frequency_penalty, Range<double>{-2, 2});
  read_logit_bias(fields, vocabulary, out.logit_bias);
  read_seed(fields, out.seed);
}

void read_stream(FieldReader& fields, GenerationFields& out) {
  fields.read("stream", out.stream);
  fields.read("timings", out.timings);
  const Json* options = fields.find("stream_options");
  if (!options) return;
  if (!options->is_object()) return fields.fail_type("stream_options", "an object", *options);
  FieldReader inner(*options, "stream_options");
  inner.read("include_usage", out.include_usage);
  if (auto error = inner.error()) fields.fail(std::move(*error));
}

}  // namespace

tl::expected<std::shared_ptr<ServedModel>, ApiError> read_model(const Backend& backend,
                                                                FieldReader& fields) {
  std::string id;
  fields.read("model", id);
  if (auto error = fields.error()) return tl::unexpected(std::move(*error));
  if (auto model = find_model(backend, id)) return model;
  return tl::unexpected(model_not_found(id));
}

GenerationFields read_generation_fields(FieldReader& fields, const ModelFacts& model) {
  GenerationFields out;
  out.sampling = model.default_sampling;
  fields.read("max_tokens", out.max_tokens, Range<int64_t>{0, kInt32Max});
  fields.read("max_completion_tokens", out.max_tokens, Range<int64_t>{0, kInt32Max});
  read_sampling(fields, model.vocabulary_size, out.sampling);
  read_stop(fields, out.stop);
  read_stop_tokens(fields, model.vocabulary_size, out.stop_tokens);
  fields.read("ignore_eos", out.ignore_eos);
  bool skip_special = true;
  fields.read("skip_special_tokens", skip_special);
  out.show_special = !skip_special;
  fields.read("n", out.n, Range<int64_t>{1, kChoicesMax});
  read_stream(fields, out);
  read_priority(fields, out.priority);
  return out;
}

pipeline::SamplingParams sampling_over(const Json& body, int32_t vocabulary_size,
                                       pipeline::SamplingParams defaults) {
  FieldReader fields(body);
  read_sampling(fields, vocabulary_size, defaults);
  return defaults;
}

void refuse_unsupported(FieldReader& fields) {
  if (const Json* format = fields.find("response_format")) {
    if (!format->is_object() || !format->contains("type")) {
      return fields.fail_type("response_format", "an object with a type", *format);
    }
    if ((*format)["type"] != "text") {
      return fields.fail(
          unsupported_field("response_format",
                            "'response_format' can only be text: this server does not constrain "
                            "answers to " +
                                shown((*format)["type"]) + " yet."));
    }
  }
  for (const char* name : {"guided_json", "guided_regex", "guided_choice", "guided_grammar",
                           "structured_outputs", "grammar", "json_schema"}) {
    if (fields.find(name)) {
      return fields.fail(unsupported_field(
          name, std::string("'") + name + "': this server does not constrain answers."));
    }
  }
}

tl::expected<int32_t, ApiError> tokens_to_generate(const ModelFacts& model, size_t prompt_tokens,
                                                   std::optional<int32_t> max_tokens,
                                                   const std::string& prompt_field) {
  const auto context = static_cast<int64_t>(model.context);
  const auto prompt = static_cast<int64_t>(prompt_tokens);
  if (!max_tokens && prompt < context) return static_cast<int32_t>(context - prompt);
  if (max_tokens && prompt + *max_tokens <= context) return *max_tokens;
  ApiError error;
  error.code = "context_length_exceeded";
  error.param = prompt_field;
  error.message = "This model's maximum context length is " + std::to_string(context) + " tokens";
  if (max_tokens) {
    error.message += ". However, you requested " + std::to_string(prompt + *max_tokens) +
                     " tokens (" + std::to_string(prompt) + " in the " + prompt_field + ", " +
                     std::to_string(*max_tokens) + " in the completion).";
  } else {
    error.message += ", prompt and answer together. However, your " + prompt_field +
                     " resulted in " + std::to_string(prompt) + " tokens.";
  }
  return tl::unexpected(std::move(error));
}

pipeline::GenerationRequest to_request(const GenerationFields& fields, std::vector<int32_t> prompt,
                                       int32_t max_tokens, int32_t choice) {
  pipeline::GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling = fields.sampling;
  if (request.sampling.seed) *request.sampling.seed += static_cast<uint64_t>(choice);
  request.stop = fields.stop;
  request.stop_tokens = fields.stop_tokens;
  request.ignore_eos = fields.ignore_eos;
  request.show_special = fields.show_special;
  request.priority = fields.priority;
  return request;
}

}  // namespace neuros::serve
