#include "text/chat_template.h"

#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

#include <utility>

namespace neuros::text {

using base::Result;

struct ChatTemplate::Impl {
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  return ChatTemplate(std::make_unique<Impl>(Impl{.body = TRY(jinja::parse(source))}));
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& inputs,
                                         int64_t now_unix_s) const {
  return jinja::render(impl_->body, inputs, now_unix_s);
}

}  // namespace neuros::text
