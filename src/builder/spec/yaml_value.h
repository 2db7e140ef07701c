#pragma once

/// Typed access to a YAML tree. Every error says file, line, column, path, what is there and what
/// was expected: "p.yaml:12:14: models.llm.context: 8193k, expected 1 to 8192k tokens".

#include "builder/spec/yaml_document.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace neuros::builder {

struct NamedYamlValue;

/// A value and the way to it. The tree must outlive it.
class YamlValue {
 public:
  YamlValue(const YamlNode& node, std::string file, std::string path)
      : node_(&node), mark_(node.mark), file_(std::move(file)), path_(std::move(path)) {}

  const YamlNode& node() const { return *node_; }
  const std::string& path() const { return path_; }
  YamlValue renamed(std::string path) const { return {*node_, file_, std::move(path)}; }

  tl::unexpected<base::Error> fail(const std::string& problem) const {
    return fail_at(mark_, path_, problem);
  }

  /// 1 to `characters_max` characters.
  base::Result<std::string> text(size_t characters_max) const;
  base::Result<std::string> id() const;             ///< letters, digits, underscores
  base::Result<std::string> id_with_marks() const;  ///< the same with "-" and "." inside
  base::Result<int64_t> integer(int64_t min, int64_t max) const;
  base::Result<double> number() const;
  base::Result<bool> boolean() const;
  base::Result<int64_t> bytes() const;
  /// The place of the text in `names`.
  base::Result<size_t> choice(std::span<const std::string_view> names) const;

  /// A text or an integer through `parse`, which says what is wrong with it.
  template <typename T, typename... Args>
  base::Result<T> parsed(base::Result<T> (*parse)(std::string_view, Args...), Args... args) const {
    const std::string written = TRY(scalar());
    base::Result<T> result = parse(written, args...);
    if (!result) return fail(result.error().message);
    return result;
  }

  base::Result<std::vector<YamlValue>> list(size_t min, size_t max) const;
  /// A list, or a single value as a list of one.
  base::Result<std::vector<YamlValue>> one_or_list(size_t max) const;
  /// All of a mapping with free keys, each an id with marks.
  base::Result<std::vector<NamedYamlValue>> entries(size_t min, size_t max) const;

  /// Of a mapping: fails on every key but `keys`.
  base::Result<> check_keys(std::span<const std::string_view> keys) const;
  std::optional<YamlValue> find(std::string_view key) const;
  base::Result<YamlValue> required(std::string_view key) const;

 private:
  tl::unexpected<base::Error> fail_at(const YamlMark& mark, const std::string& path,
                                      const std::string& problem) const;
  base::Result<std::string> scalar() const;
  std::string path_to(std::string_view key) const;

  const YamlNode* node_;
  YamlMark mark_;
  std::string file_;
  std::string path_;
};

struct NamedYamlValue {
  std::string name;
  YamlValue value;
};

}  // namespace neuros::builder
