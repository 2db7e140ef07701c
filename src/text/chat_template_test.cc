#include "text/chat_template.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::text {
namespace {

using nlohmann::ordered_json;

/// The reference renderings were made on this day: 2026-01-02.
constexpr int64_t kReferenceNow = 1767355200;

std::filesystem::path data_folder() {
  return NEUROS_SOURCE_DIR "/../shared/data/templates";
}

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void expect_rendering(const ChatTemplate& chat_template, const ordered_json& inputs,
                      const ordered_json& expected) {
  const auto text = chat_template.render(inputs, kReferenceNow);
  if (expected.contains("error")) {
    ASSERT_FALSE(text) << *text;
    EXPECT_EQ("TemplateError: " + text.error().message, expected["error"].get<std::string>());
    return;
  }
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, expected["text"].get<std::string>());
}

TEST(ChatTemplate, RendersPublishedTemplatesAsTheReference) {
  const auto folder = data_folder();
  if (!std::filesystem::exists(folder / "expected.json")) {
    GTEST_SKIP() << "no reference renderings in " << folder;
  }
  const auto conversations = ordered_json::parse(read(folder / "conversations.json"));
  const auto expected = ordered_json::parse(read(folder / "expected.json"));
  for (const auto& [file, cases] : expected.items()) {
    const auto chat_template = ChatTemplate::parse(read(folder / file));
    ASSERT_TRUE(chat_template) << file << ": " << chat_template.error().message;
    for (const auto& [conversation, rendering] : cases.items()) {
      SCOPED_TRACE(file + ": " + conversation);
      expect_rendering(*chat_template, conversations.at(conversation), rendering);
    }
  }
}

TEST(ChatTemplate, RaiseExceptionGivesItsTextAlone) {
  const auto chat_template = ChatTemplate::parse("{{ raise_exception('No ' ~ 'system role') }}");
  ASSERT_TRUE(chat_template);
  const auto text = chat_template->render(ordered_json::object(), 0);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "No system role");
}

TEST(ChatTemplate, ErrorsNameLineAndColumn) {
  const auto parsed = ChatTemplate::parse("one\n  {{ 1 + }}");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message,
            "template: line 2, column 10: expected an expression, found '}}'");
  const auto chat_template = ChatTemplate::parse("a\n{% if true %}\n  {{ x.y }}\n{% endif %}");
  ASSERT_TRUE(chat_template);
  const auto text = chat_template->render(ordered_json::object(), 0);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().message, "template: line 3, column 7: 'x' is undefined");
}

TEST(ChatTemplate, DatesAreUtc) {
  const auto chat_template = ChatTemplate::parse("{{ strftime_now('%d %b %Y %H:%M') }}");
  ASSERT_TRUE(chat_template);
  EXPECT_EQ(*chat_template->render(ordered_json::object(), 1'700'000'000), "14 Nov 2023 22:13");
}

TEST(ChatTemplate, InputsMustBeAnObject) {
  const auto chat_template = ChatTemplate::parse("text");
  ASSERT_TRUE(chat_template);
  EXPECT_FALSE(chat_template->render(ordered_json::array(), 0));
}

}  // namespace
}  // namespace neuros::text
