#pragma once

/// Chat templates: the Jinja dialect that model publishers write, rendered as Jinja2 does with
/// trim_blocks and lstrip_blocks on (the way Hugging Face transformers renders them).

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace neuros::text {

class ChatTemplate {
 public:
  /// Parses once; an error names line and column.
  static base::Result<ChatTemplate> parse(std::string_view source);

  /// `inputs` is an object: messages, tools, add_generation_prompt, bos_token, eos_token, and any
  /// further variables (chat_template_kwargs). Key order is kept, as templates print tools with
  /// tojson. `raise_exception(text)` in the template gives an error with that text.
  /// `now_unix_s` feeds strftime_now (UTC).
  base::Result<std::string> render(const nlohmann::ordered_json& inputs, int64_t now_unix_s) const;

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neuros::text
