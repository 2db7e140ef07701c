#pragma once

/// A YAML map read key by key, with the place of every mistake.

#include "base/function_ref.h"
#include "base/result.h"
#include "device/profile_fields.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

namespace neuros::device {

/// The first mistake of a file; what comes after it is not told.
struct YamlMistake {
  const std::string& file;
  std::optional<base::Error> error = std::nullopt;

  /// "machine.yaml:27:19: gpus[0].memory_bytes: -1, expected 1 or more"
  void tell(const YAML::Mark& at, const std::string& path, const std::string& what);
};

/// Visits profile_fields.h. After a mistake it does nothing more.
class YamlMap {
 public:
  YamlMap(YamlMistake& mistake, const YAML::Node& node, std::string path);

  void text(const char* key, std::string& value, Presence presence);
  void texts(const char* key, std::vector<std::string>& values);
  void flag(const char* key, bool& value);
  void rate(const char* key, double& value);
  template <typename Int>
  void whole(const char* key, Int& value, WholeRange range) {
    if (const auto number = whole_number(key, range)) value = static_cast<Int>(*number);
  }
  template <typename T>
  void named(const char* key, T& value) {
    if (const auto node = take(key, Presence::kNeeded)) read_named(*node, path_of(key), value);
  }
  template <typename T>
  void named_list(const char* key, std::vector<T>& values, Presence presence) {
    for (const auto& [node, path] : entries(key, kEntriesMax, presence)) {
      read_named(node, path, values.emplace_back());
    }
  }
  template <typename T>
  void map(const char* key, std::optional<T>& value) {
    if (const auto node = take(key, Presence::kOptional)) {
      read_struct(*node, path_of(key), value.emplace());
    }
  }
  template <typename T>
  void maps(const char* key, std::vector<T>& values, size_t most) {
    for (const auto& [node, path] : entries(key, most, Presence::kOptional)) {
      read_struct(node, path, values.emplace_back());
    }
  }
  /// Once all keys were asked for: what is left is unknown.
  void finish();

 private:
  struct Member {
    std::string key;
    YAML::Mark at;
    YAML::Node value;
    bool taken = false;
  };
  struct Entry {
    YAML::Node node;
    std::string path;
  };

  void collect(const YAML::Node& node);
  std::string path_of(const std::string& key) const;
  std::optional<YAML::Node> take(const char* key, Presence presence);
  std::optional<int64_t> whole_number(const char* key, WholeRange range);
  /// Of a list, which is empty where the key is left out.
  std::vector<Entry> entries(const char* key, size_t most, Presence presence);
  /// A scalar of at most so many bytes, all of them printable.
  std::optional<std::string> scalar(const YAML::Node& node, const std::string& path, size_t most);

  template <typename T>
  void read_named(const YAML::Node& node, const std::string& path, T& value) {
    const auto word = scalar(node, path, kTextBytesMax);
    if (!word || from_text(*word, value)) return;
    mistake_.tell(node.Mark(), path, *word + ", expected " + std::string(spelling(value)));
  }
  template <typename T>
  void read_struct(const YAML::Node& node, const std::string& path, T& value) {
    if (mistake_.error) return;
    YamlMap map(mistake_, node, path);
    visit_fields(map, value);
    map.finish();
  }

  YamlMistake& mistake_;
  YAML::Mark at_;
  std::string path_;  ///< "gpus[0]"; empty at the top
  std::vector<Member> members_;
  std::string known_;  ///< keys asked for, for the message about one that is not
};

/// Reads the only document of `text`, a map, and refuses what `visit` did not ask for. Nothing that
/// the YAML library throws gets past this.
base::Result<> read_yaml_map(std::string_view text, const std::string& file,
                             base::FunctionRef<void(YamlMap&)> visit);

}  // namespace neuros::device
