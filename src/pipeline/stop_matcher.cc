#include "pipeline/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace neuros::pipeline {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return "";
  if (stops_.empty()) return std::string(text);
  held_ += text;
  size_t cut = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at < cut) {
      cut = at;
      matched_ = stop;
    }
  }
  if (matched_) return held_.substr(0, cut);
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(held_.size(), stop.size() - 1); length > keep; --length) {
      if (std::string_view(stop).starts_with(
              std::string_view(held_).substr(held_.size() - length))) {
        keep = length;
      }
    }
  }
  std::string sure = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return sure;
}

std::string StopMatcher::finish() {
  if (matched_) return "";
  return std::exchange(held_, std::string());
}

}  // namespace neuros::pipeline
