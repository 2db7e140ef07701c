#include "serve/testing/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::serve {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPath = "/v1/completions";

class Completions : public ApiFixture {
 protected:
  void expect_invalid(const Json& body, const std::string& param,
                      const std::string& code = "invalid_value") {
    const ApiReply reply = post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(reply.error("param"), param) << reply.body;
    EXPECT_EQ(reply.error("code"), code) << reply.body;
  }
};

TEST_F(Completions, Answers) {
  const Json body = post(kPath, {{"prompt", "hi"}, {"max_tokens", 5}}).json();
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_THAT(body["id"].get<std::string>(), HasSubstr("cmpl-"));
  EXPECT_EQ(body["choices"][0]["text"], "Hello");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["choices"][0]["logprobs"], nullptr);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
}

TEST_F(Completions, TellsWhereTheTimeWentIfAsked) {
  EXPECT_FALSE(post(kPath, {{"prompt", "hi"}}).json().contains("timings"));
  const Json times = post(kPath, {{"prompt", "hi"}, {"timings", true}}).json()["timings"];
  double sum = 0;
  for (const char* part : {"queue_ms", "swap_ms", "prefill_ms", "decode_ms", "transport_ms"}) {
    EXPECT_GE(times[part].get<double>(), 0) << part;
    sum += times[part].get<double>();
  }
  EXPECT_NEAR(sum, times["total_ms"].get<double>(), 1e-6);
  expect_invalid({{"prompt", "hi"}, {"timings", 1}}, "timings");
}

TEST_F(Completions, TakesEveryFormOfPrompt) {
  restart({.answer = [](const std::string& prompt) { return "<" + prompt + ">"; }});
  EXPECT_EQ(post(kPath, {{"prompt", "ab"}}).json()["choices"][0]["text"], "<ab>");
  EXPECT_EQ(post(kPath, {{"prompt", {97, 98}}}).json()["choices"][0]["text"], "<ab>");
  EXPECT_EQ(model().last_request().prompt, (std::vector<int32_t>{97, 98}));
  for (const Json& prompt : {Json{"a", "b"}, Json{{97}, {98}}}) {
    const Json body = post(kPath, {{"prompt", prompt}, {"n", 2}}).json();
    ASSERT_EQ(body["choices"].size(), 4u);
    EXPECT_EQ(body["choices"][1]["text"], "<a>");
    EXPECT_EQ(body["choices"][2]["text"], "<b>");
    EXPECT_EQ(body["choices"][3]["index"], 3);
  }
}

TEST_F(Completions, NamesTheWrongField) {
  expect_invalid(Json::object(), "prompt");
  expect_invalid({{"prompt", 5}}, "prompt");
  expect_invalid({{"prompt", Json::array()}}, "prompt");
  expect_invalid({{"prompt", {1, 260}}}, "prompt[1]");
  expect_invalid({{"prompt", {1, "x"}}}, "prompt[1]");
  expect_invalid({{"prompt", {{1}, {-1}}}}, "prompt[1][0]");
  expect_invalid({{"prompt", {"a", 1}}}, "prompt[1]");
  expect_invalid({{"prompt", {{1}, Json::array()}}}, "prompt[1]");
  expect_invalid({{"prompt", std::vector<std::string>(1025, "a")}}, "prompt");
  expect_invalid({{"prompt", "a"}, {"logprobs", 21}}, "logprobs");
  expect_invalid({{"prompt", "a"}, {"logprobs", true}}, "logprobs");
  expect_invalid({{"prompt", "a"}, {"echo", 1}}, "echo");
  expect_invalid({{"prompt", "a"}, {"suffix", "b"}}, "suffix", "unsupported");
  expect_invalid({{"prompt", "a"}, {"best_of", 3}}, "best_of", "unsupported");
  expect_invalid({{"prompt", std::string(1001, 'a')}}, "prompt", "context_length_exceeded");
  EXPECT_EQ(post(kPath, {{"prompt", "a"}, {"best_of", 2}, {"n", 2}, {"suffix", ""}}).status, 200);
}

/// lm-evaluation-harness scores so: ids in, one token out, prompt + 1 entries.
TEST_F(Completions, EchoWithLogprobsHasOneEntryPerToken) {
  restart({.answer = [](const std::string&) { return ""; }});  // would end at once
  const Json body = post(kPath, {{"prompt", {{97, 98, 99}, {100}}},
                                 {"temperature", 0},
                                 {"max_tokens", 1},
                                 {"logprobs", 1},
                                 {"seed", 1234},
                                 {"echo", true}})
                        .json();
  ASSERT_EQ(body["choices"].size(), 2u) << body;
  const Json& first = body["choices"][0]["logprobs"];
  for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    EXPECT_EQ(first[name].size(), 4u) << name;
    EXPECT_EQ(body["choices"][1]["logprobs"][name].size(), 2u) << name;
  }
  EXPECT_EQ(first["token_logprobs"][0], nullptr);
  EXPECT_EQ(first["top_logprobs"][0], nullptr);
  for (size_t i = 1; i < 3; ++i) {  // the harness compares with the largest
    EXPECT_EQ(first["top_logprobs"][i].begin().value(), first["token_logprobs"][i]);
  }
  EXPECT_EQ(first["text_offset"], Json({0, 1, 2, 3}));
  EXPECT_THAT(body["choices"][0]["text"].get<std::string>(), testing::StartsWith("abc"));
}

TEST_F(Completions, ScoresThePromptAloneWithMaxTokensZero) {
  const Json body =
      post(kPath, {{"prompt", "ab"}, {"max_tokens", 0}, {"logprobs", 0}, {"echo", true}}).json();
  EXPECT_EQ(body["choices"][0]["text"], "ab");
  EXPECT_EQ(body["choices"][0]["logprobs"]["tokens"], Json({"<s>", "a", "b"}));
  EXPECT_EQ(body["choices"][0]["logprobs"]["top_logprobs"][1].size(), 1u);  // the token itself
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
}

TEST_F(Completions, TextOffsetsCountCharacters) {
  restart({.answer = [](const std::string&) { return "\u00e9z"; }});
  const Json body =
      post(kPath, {{"prompt", "\U0001F30Da"}, {"max_tokens", 3}, {"logprobs", 0}, {"echo", true}})
          .json();
  EXPECT_EQ(body["choices"][0]["text"], "\U0001F30Da\u00e9z");
  // <s>, the four bytes of the globe, a, the two bytes of e acute, z
  EXPECT_EQ(body["choices"][0]["logprobs"]["text_offset"], Json({0, 0, 0, 0, 0, 1, 2, 2, 3}));
}

Json assemble(const ApiReply& reply) {
  Json choices = Json::object();
  for (const Json& event : reply.events()) {
    for (const Json& chunk : event["choices"]) {
      Json& choice = choices[chunk["index"].dump()];
      if (choice.is_null())
        choice = {{"text", ""}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
      EXPECT_EQ(choice["finish_reason"], nullptr);
      choice["text"] = choice["text"].get<std::string>() + chunk["text"].get<std::string>();
      choice["finish_reason"] = chunk["finish_reason"];
      if (choice["logprobs"].is_null()) {
        choice["logprobs"] = chunk["logprobs"];
        continue;
      }
      for (const auto& [key, values] : chunk["logprobs"].items()) {
        for (const Json& value : values) choice["logprobs"][key].push_back(value);
      }
    }
  }
  return choices;
}

TEST_F(Completions, StreamingEqualsNotStreamingForEveryChunking) {
  const std::vector<Json> bodies = {
      {{"prompt", "ab\u00e9"}, {"max_tokens", 20}},
      {{"prompt", "ab\u00e9"}, {"max_tokens", 20}, {"echo", true}},
      {{"prompt", {"x", "yz"}}, {"max_tokens", 7}, {"echo", true}, {"logprobs", 2}, {"n", 2}},
      {{"prompt", "q"}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 0}},
      {{"prompt", "q"}, {"logprobs", 3}, {"stop", "ss"}},
  };
  for (const Json& source : bodies) {
    for (const size_t tokens : {1, 2, 3, 7, 100}) {
      restart({.answer = [](const std::string& p) { return "\u00fc" + p + "\U0001F30D ss"; },
               .tokens_per_piece = tokens});
      Json body = source;
      const ApiReply plain = post(kPath, body);
      ASSERT_EQ(plain.status, 200) << plain.body;
      body["stream"] = true;
      const ApiReply stream = post(kPath, body);
      const Json assembled = assemble(stream);
      EXPECT_TRUE(stream.ends_with_done());
      const Json expected = plain.json()["choices"];
      ASSERT_EQ(assembled.size(), expected.size());
      for (const Json& choice : expected) {
        const Json& other = assembled[choice["index"].dump()];
        EXPECT_EQ(other["text"], choice["text"]) << source << tokens;
        EXPECT_EQ(other["logprobs"], choice["logprobs"]) << source << tokens;
        EXPECT_EQ(other["finish_reason"], choice["finish_reason"]);
      }
    }
  }
}

/// More choices than run at one time: the rest follows as others end.
TEST_F(Completions, ManyPromptsPassThroughASmallQueue) {
  restart({.answer = [](const std::string& p) { return p; }, .queue_max = 40});
  std::vector<std::string> prompts;
  for (int i = 0; i < 100; ++i) prompts.push_back("p" + std::to_string(i));
  const Json body = post(kPath, {{"prompt", prompts}}).json();
  ASSERT_EQ(body["choices"].size(), 100u) << body;
  for (size_t i = 0; i < 100; ++i) EXPECT_EQ(body["choices"][i]["text"], prompts[i]);
}

}  // namespace
}  // namespace neuros::serve
