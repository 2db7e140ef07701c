#include "builder/spec/pipeline_writer.h"

#include "base/byte_size.h"
#include "builder/spec/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace neuros::builder {
namespace {

/// Words that YAML 1.1 or 1.2 takes for something other than a text.
bool is_reserved(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    if (text == word) return true;
  }
  return false;
}

bool needs_quotes(const std::string& text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (text.empty() || is_reserved(text) || !(is_letter(text[0]) || text[0] == '$')) return true;
  return !std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '/' || c == '$';
  });
}

std::string quoted(const std::string& text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string scalar(const std::string& text) {
  return needs_quotes(text) ? quoted(text) : text;
}

std::string list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? ", " : "") + scalar(text);
  return out + "]";
}

std::string number_text(double number) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  std::string text(digits.data(), end);
  // Without it, it would be read back as an integer.
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

struct ArgumentText {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return number_text(value); }
  std::string operator()(const std::string& value) const { return scalar(value); }
  std::string operator()(const std::vector<std::string>& value) const { return list(value); }
};

/// Lines of "key: value", each in its mapping.
class Writer {
 public:
  void open(const std::string& key) {
    text_ += std::string(indent_, ' ') + key + ":\n";
    indent_ += 2;
  }
  void close() { indent_ -= 2; }
  /// The first key of a list's entry carries the dash.
  void open_item() { dash_ = true; }
  void close_item() { indent_ -= 2; }

  void raw(std::string_view key, const std::string& value) {
    text_ += std::string(indent_, ' ') + (dash_ ? "- " : "") + std::string(key) + ": " + value;
    text_ += '\n';
    if (std::exchange(dash_, false)) indent_ += 2;
  }
  void text(std::string_view key, const std::string& value) {
    if (!value.empty()) raw(key, scalar(value));
  }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    if (!values.empty()) raw(key, list(values));
  }
  void bytes(std::string_view key, std::optional<int64_t> value) {
    if (value) raw(key, base::bytes_text(*value));
  }
  void time(std::string_view key, std::optional<int64_t> us) {
    if (us) raw(key, time_text(*us));
  }
  void tokens(std::string_view key, int32_t value) {
    if (value > 0) raw(key, tokens_text(value));
  }
  void count(std::string_view key, int32_t value) {
    if (value > 0) raw(key, std::to_string(value));
  }

  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  size_t indent_ = 0;
  bool dash_ = false;
};

void write_model(Writer& out, const ModelSpec& model) {
  const ModelSpec defaults;
  out.open(model.id);
  out.text("file", model.file);
  if (model.model_class != defaults.model_class) {
    out.raw("class", std::string(name(model.model_class)));
  }
  out.tokens("context", model.context);
  out.tokens("context_min", model.context_min);
  out.texts("precision", model.precision);
  out.text("calibration", model.calibration);
  if (model.priority != defaults.priority) out.raw("priority", std::string(name(model.priority)));
  out.count("parallel", model.parallel);
  if (model.kv_dtype != defaults.kv_dtype) {
    out.raw("kv", std::string(base::name(model.kv_dtype)));
  }
  if (model.scratch_bytes > 0) out.bytes("scratch", model.scratch_bytes);
  if (model.pin) out.raw("pin", "true");
  if (model.residency) out.raw("residency", std::string(name(*model.residency)));
  out.close();
}

void write_memory(Writer& out, const MemorySpec& memory) {
  if (memory == MemorySpec{}) return;
  out.open("memory");
  out.bytes("device", memory.device);
  out.bytes("pinned", memory.pinned);
  out.bytes("pageable", memory.pageable);
  out.bytes("disk", memory.disk);
  out.bytes("kv_swap", memory.kv_swap);
  if (memory.boot) out.raw("boot", std::string(name(*memory.boot)));
  out.close();
}

void write_tool(Writer& out, const ToolSpec& tool) {
  out.text("tool", tool.name);
  if (tool.latency) out.raw("latency", latency_text(*tool.latency));
  out.text("index", tool.index);
  out.text("embed", tool.embed);
  out.text("rerank", tool.rerank);
  out.count("top", tool.top);
  out.texts("command", tool.command);
  if (tool.arguments.empty()) return;
  out.open("args");
  for (const NamedArgument& argument : tool.arguments) {
    out.raw(scalar(argument.name), std::visit(ArgumentText{}, argument.value));
  }
  out.close();
}

void write_stage(Writer& out, const StageSpec& stage) {
  out.open_item();
  out.text("id", stage.id);
  out.text("run", stage.run);
  if (stage.tool) write_tool(out, *stage.tool);
  std::vector<std::string> inputs;
  for (const Reference& reference : stage.inputs) inputs.push_back(reference.text());
  out.texts("in", inputs);
  if (stage.prompt) out.text("prompt", stage.prompt->source);
  out.texts("after", stage.after);
  if (stage.when) out.text("when", stage.when->source);
  if (stage.loop) {
    out.open("loop");
    out.text("until", stage.loop->until.source);
    out.count("max", stage.loop->rounds_max);
    out.texts("with", stage.loop->body);
    out.close();
  }
  out.tokens("max_input_tokens", stage.input_tokens_max);
  out.tokens("max_output_tokens", stage.output_tokens_max);
  if (stage.priority) out.raw("priority", std::string(name(*stage.priority)));
  out.close_item();
}

void write_slo(Writer& out, const SloSpec& slo) {
  if (slo == SloSpec{}) return;
  out.open("slo");
  out.time("ttft_p50", slo.ttft_us_p50);
  out.time("ttft_p99", slo.ttft_us_p99);
  out.time("token_p50", slo.token_us_p50);
  out.time("token_p99", slo.token_us_p99);
  out.time("total_p50", slo.total_us_p50);
  out.time("total_p99", slo.total_us_p99);
  if (slo.tokens_per_s) out.raw("tokens_per_s", number_text(*slo.tokens_per_s));
  out.close();
}

}  // namespace

std::string to_yaml(const PipelineSpec& spec) {
  Writer out;
  out.text("name", spec.name);
  out.open("models");
  for (const ModelSpec& model : spec.models) write_model(out, model);
  out.close();
  write_memory(out, spec.memory);
  if (!spec.routes.empty()) {
    out.open("routes");
    for (const RouteSpec& route : spec.routes) out.text(route.id, route.source);
    out.close();
  }
  if (!spec.stages.empty()) {
    out.open("stages");
    for (const StageSpec& stage : spec.stages) write_stage(out, stage);
    out.close();
  }
  write_slo(out, spec.slo);
  return out.take();
}

}  // namespace neuros::builder
