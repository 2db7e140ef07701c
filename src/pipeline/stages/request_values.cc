#include "pipeline/stages/request_values.h"

#include "base/check.h"

namespace neuros::pipeline {
namespace {

base::Result<> append(std::string& all, std::string_view more) {
  all += more;
  if (all.size() <= kStageInputBytesMax) return {};
  return base::fail("the input has more than " + std::to_string(kStageInputBytesMax >> 20) +
                    " MiB");
}

}  // namespace

const StageValue& RequestValues::find(const builder::Reference& reference) const {
  static const StageValue kNothing;
  if (reference.is_request()) return request_;
  const auto found = stages_.find(reference.source);
  return found == stages_.end() ? kNothing : found->second;
}

std::string RequestValues::text(const builder::Reference& reference) const {
  const StageValue& value = find(reference);
  return reference.field.empty() ? value.text() : value.field_text(reference.field);
}

builder::Value RequestValues::value(const builder::Reference& reference) const {
  const StageValue& value = find(reference);
  return reference.field.empty() ? value.value() : value.field_value(reference.field);
}

base::Result<std::string> RequestValues::render(const builder::PromptTemplate& prompt) const {
  std::string all;
  for (const builder::PromptTemplate::Piece& piece : prompt.pieces) {
    TRY(append(all, piece.text));
    if (!piece.reference.source.empty()) TRY(append(all, text(piece.reference)));
  }
  return all;
}

base::Result<std::string> RequestValues::join(
    const std::vector<builder::Reference>& references) const {
  std::string all;
  for (const builder::Reference& reference : references) {
    const std::string part = text(reference);
    if (part.empty()) continue;
    TRY(append(all, all.empty() ? "" : "\n\n"));
    TRY(append(all, part));
  }
  return all;
}

builder::Value RequestValues::variable(std::string_view name, int32_t iteration) const {
  using builder::Value;
  if (name == "prompt_len") return Value::of_number(static_cast<double>(facts_.prompt_tokens));
  if (name == "context_len") return Value::of_number(static_cast<double>(facts_.context_tokens));
  if (name == "queue_depth") return Value::of_number(static_cast<double>(facts_.queue_depth));
  if (name == "hour") return Value::of_number(facts_.hour);
  if (name == "latency") return Value::of_time(static_cast<double>(facts_.first_token_us_p50));
  CHECK(name == "iteration", "a name that the parser of conditions does not know");
  return Value::of_number(iteration);
}

builder::ValueSource RequestValues::source(int32_t iteration) const {
  return {[this, iteration](std::string_view name) { return variable(name, iteration); },
          [this](const builder::Reference& reference) { return value(reference); }};
}

}  // namespace neuros::pipeline
