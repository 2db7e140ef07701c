#pragma once

#include "builder/spec/expression.h"

#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace neuros::pipeline {

/// What a stage gave: a text and, where that is a JSON object as a whole, its fields.
class StageValue {
 public:
  /// Nothing: of a stage that was skipped or has not run.
  StageValue() = default;
  static StageValue of_text(std::string text);
  /// Of the request: its fields come beside its text.
  static StageValue of(std::string text, std::shared_ptr<const nlohmann::ordered_json> fields);

  bool is_nothing() const { return !exists_; }
  const std::string& text() const { return text_; }
  /// As a prompt shows a field: texts as they are, other values as JSON; "" if there is none.
  std::string field_text(std::string_view name) const;
  /// As conditions compare: objects and lists are texts, null and what is not there no value.
  builder::Value value() const;
  builder::Value field_value(std::string_view name) const;

 private:
  const nlohmann::ordered_json* find(std::string_view name) const;

  bool exists_ = false;
  std::string text_;
  std::shared_ptr<const nlohmann::ordered_json> fields_;  ///< null: it has none
};

}  // namespace neuros::pipeline
