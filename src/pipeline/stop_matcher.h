#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace neuros::pipeline {

/// Holds streamed text back while it may be the beginning of a stop string.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);

  /// Adds text; gives what is certain not to belong to a stop string. After a match (matched()) all
  /// text before it has been given and nothing follows.
  std::string push(std::string_view text);
  /// What was held back, when the stream ends without a match.
  std::string finish();

  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace neuros::pipeline
