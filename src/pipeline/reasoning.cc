#include "pipeline/language_model.h"

#include <algorithm>
#include <array>

namespace neuros::pipeline {
namespace {

constexpr std::string_view kSpace = " \n\r\t";

/// Length of the longest end of `text` that may be the beginning of `tag`.
size_t open_end(std::string_view text, std::string_view tag) {
  for (size_t length = std::min(text.size(), tag.size() - 1); length > 0; --length) {
    if (tag.starts_with(text.substr(text.size() - length))) return length;
  }
  return 0;
}

/// Cuts white space off the end of `text` and gives it back.
std::string take_trailing_space(std::string& text) {
  const size_t last = text.find_last_not_of(kSpace);
  const size_t keep = last == std::string::npos ? 0 : last + 1;
  std::string space = text.substr(keep);
  text.resize(keep);
  return space;
}

}  // namespace

ReasoningSplitter::ReasoningSplitter(std::string open_tag, std::string close_tag,
                                     bool starts_inside)
    : open_tag_(std::move(open_tag)),
      close_tag_(std::move(close_tag)),
      where_(starts_inside ? Where::kInside : Where::kStart) {}

ReasoningSplitter::Parts ReasoningSplitter::push(std::string_view text) {
  pending_ += text;
  Parts parts;
  if (where_ == Where::kStart) {
    const size_t first = pending_.find_first_not_of(kSpace);
    if (first == std::string::npos) return parts;
    const std::string_view rest = std::string_view(pending_).substr(first);
    if (rest.starts_with(open_tag_)) {
      pending_.erase(0, first + open_tag_.size());
      where_ = Where::kInside;
    } else if (std::string_view(open_tag_).starts_with(rest)) {
      return parts;  // may still become the tag
    } else {
      where_ = Where::kAfter;
      content_started_ = true;
    }
  }
  if (where_ == Where::kInside) {
    if (!content_started_) {  // leading white space of the reasoning
      pending_.erase(0, std::min(pending_.find_first_not_of(kSpace), pending_.size()));
      if (pending_.empty()) return parts;
      content_started_ = true;
    }
    const size_t close = pending_.find(close_tag_);
    if (close == std::string::npos) {
      const size_t held = open_end(pending_, close_tag_);
      parts.reasoning = pending_.substr(0, pending_.size() - held);
      std::string space = take_trailing_space(parts.reasoning);
      pending_ = space + pending_.substr(pending_.size() - held);
      return parts;
    }
    parts.reasoning = pending_.substr(0, close);
    take_trailing_space(parts.reasoning);
    pending_.erase(0, close + close_tag_.size());
    where_ = Where::kAfter;
    content_started_ = false;
  }
  if (!content_started_) {
    pending_.erase(0, std::min(pending_.find_first_not_of(kSpace), pending_.size()));
    content_started_ = !pending_.empty();
  }
  parts.content += pending_;
  pending_.clear();
  return parts;
}

ReasoningSplitter::Parts ReasoningSplitter::finish() {
  Parts parts;
  if (where_ == Where::kInside) {
    parts.reasoning = std::move(pending_);
    take_trailing_space(parts.reasoning);
  } else {
    parts.content = std::move(pending_);
  }
  pending_.clear();
  return parts;
}

std::optional<std::pair<std::string, std::string>> reasoning_tags(
    const std::string& chat_template) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kKnown{{
      {"<think>", "</think>"},
      {"<thinking>", "</thinking>"},
      {"[THINK]", "[/THINK]"},
  }};
  for (const auto& [open, close] : kKnown) {
    // Templates that only strip a former turn's thoughts name the closing tag alone.
    if (chat_template.find(close) != std::string::npos) {
      return std::make_pair(std::string(open), std::string(close));
    }
  }
  return std::nullopt;
}

}  // namespace neuros::pipeline
