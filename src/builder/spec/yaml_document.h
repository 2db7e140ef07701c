#pragma once

/// YAML text as a tree that remembers where everything stood. Strict: one document, no tags, no key
/// twice, and the limits of limits.h, so that no file can cost more than its size promises.

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::builder {

/// From 1, as editors count.
struct YamlMark {
  int line = 1;
  int column = 1;
};

struct YamlNode {
  enum class Kind : uint8_t { kNull, kText, kBoolean, kInteger, kFloat, kList, kMapping };
  struct Entry {
    std::string key;
    YamlMark mark;  ///< of the key
    std::shared_ptr<const YamlNode> value;
  };
  Kind kind = Kind::kNull;
  YamlMark mark;
  std::string text;                                    ///< of a scalar, as written without quotes
  std::vector<Entry> entries;                          ///< of a mapping, in the order of the file
  std::vector<std::shared_ptr<const YamlNode>> items;  ///< of a list
  int64_t values = 1;                                  ///< itself and everything inside
  int depth = 1;                                       ///< levels, itself included
};

/// "number 5", "a list", ...: for errors.
std::string description(const YamlNode& node);

/// "3:14".
std::string text_of(const YamlMark& mark);

/// Errors begin with line and column: "3:1: not YAML: end of map not found".
base::Result<std::shared_ptr<const YamlNode>> parse_yaml(std::string_view text);

}  // namespace neuros::builder
