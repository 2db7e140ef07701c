#include "serve/logprobs.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

int64_t characters_begun(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); });
}

Json bytes_json(const std::string& bytes) {
  Json out = Json::array();
  for (const char c : bytes) out.push_back(static_cast<int>(static_cast<unsigned char>(c)));
  return out;
}

bool is_utf8(const std::string& bytes) {
  try {
    return Json(bytes).dump().size() > 0;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

Json token_json(const std::string& bytes, float logprob) {
  Json out;
  out["token"] = printable_token(bytes);
  out["logprob"] = logprob;
  out["bytes"] = bytes_json(bytes);
  return out;
}

}  // namespace

std::string printable_token(const std::string& bytes) {
  if (is_utf8(bytes)) return bytes;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return out;
}

Json chat_logprobs(const ServedModel& model, std::span<const pipeline::TokenInfo> tokens) {
  Json out = Json::array();
  for (const pipeline::TokenInfo& token : tokens) {
    Json entry = token_json(token.bytes, token.logprob.value_or(0));
    Json top = Json::array();
    for (const auto& [id, logprob] : token.top) {
      top.push_back(token_json(model.piece_bytes(id, true), logprob));
    }
    entry["top_logprobs"] = std::move(top);
    out.push_back(std::move(entry));
  }
  return out;
}

void LegacyLogprobs::add(const pipeline::TokenInfo& token, std::string_view visible) {
  const bool inside = !visible.empty() && is_continuation(visible.front()) && characters_ > 0;
  offsets_.push_back(characters_ - inside);
  characters_ += characters_begun(visible);
  tokens_.push_back(token);
}

void LegacyLogprobs::add(std::span<const pipeline::TokenInfo> tokens) {
  for (const auto& token : tokens) add(token, model_.piece_bytes(token.id, show_special_));
}

void LegacyLogprobs::add_prompt(std::span<const pipeline::TokenInfo> tokens,
                                const std::string& text) {
  // SentencePiece puts a space in front that the text does not have.
  bool first = true;
  for (const auto& token : tokens) {
    std::string visible = model_.piece_bytes(token.id, show_special_);
    if (first && visible.starts_with(' ') && !text.starts_with(' ')) visible.erase(0, 1);
    first = first && visible.empty();
    add(token, visible);
  }
}

Json LegacyLogprobs::take() {
  Json tokens = Json::array(), logprobs = Json::array(), tops = Json::array();
  for (const auto& token : tokens_) {
    const std::string text = printable_token(token.bytes);
    tokens.push_back(text);
    if (!token.logprob) {  // the first of a prompt
      logprobs.push_back(nullptr);
      tops.push_back(nullptr);
      continue;
    }
    logprobs.push_back(*token.logprob);
    Json top = Json::object();
    for (const auto& [id, logprob] : token.top) {
      const std::string key = printable_token(model_.piece_bytes(id, true));
      if (!top.contains(key)) top[key] = logprob;
    }
    if (!top.contains(text)) top[text] = *token.logprob;
    tops.push_back(std::move(top));
  }
  tokens_.clear();
  Json out;
  out["tokens"] = std::move(tokens);
  out["token_logprobs"] = std::move(logprobs);
  out["top_logprobs"] = std::move(tops);
  out["text_offset"] = std::exchange(offsets_, {});
  return out;
}

}  // namespace neuros::serve
