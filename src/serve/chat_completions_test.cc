#include "serve/testing/api_fixture.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::serve {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPath = "/v1/chat/completions";

Json hello() {
  return {{"messages", {{{"role", "user"}, {"content", "hi"}}}}};
}
Json hello_with(const char* field, Json value) {
  Json body = hello();
  body[field] = std::move(value);
  return body;
}

class Chat : public ApiFixture {
 protected:
  void expect_invalid(const Json& body, const std::string& param,
                      const std::string& code = "invalid_value") {
    const ApiReply reply = post(kPath, body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(reply.error("param"), param) << reply.body;
    EXPECT_EQ(reply.error("code"), code) << reply.body;
    EXPECT_EQ(reply.error("type"), "invalid_request_error");
  }
};

TEST_F(Chat, Answers) {
  const ApiReply reply = post(kPath, hello());
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json body = reply.json();
  EXPECT_THAT(body["id"].get<std::string>(), HasSubstr("chatcmpl-"));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "fake");
  EXPECT_EQ(body["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(body["choices"][0]["message"]["content"], "Hello, world!");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(body["choices"][0]["logprobs"], nullptr);
  const size_t prompt = std::string("<s>").size() / 3 + std::string("user:hi\nassistant:").size();
  EXPECT_EQ(body["usage"]["prompt_tokens"], prompt);
  EXPECT_EQ(body["usage"]["completion_tokens"], 13);
  EXPECT_EQ(body["usage"]["total_tokens"], prompt + 13);
  EXPECT_EQ(body["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_EQ(reply.header("x-request-id"), "req-test");
}

TEST_F(Chat, PassesEveryField) {
  Json body = hello();
  body.update({{"temperature", 0},
               {"top_p", 0.5},
               {"top_k", 40},
               {"min_p", 0.1},
               {"repetition_penalty", 1.1},
               {"presence_penalty", 0.5},
               {"frequency_penalty", -0.5},
               {"seed", 7},
               {"stop", {"a", "", "b"}},
               {"logit_bias", {{"5", -100}, {"6", 1.5}}},
               {"max_completion_tokens", 9},
               {"logprobs", true},
               {"top_logprobs", 3},
               {"priority", -5},
               {"user", "someone"},
               {"metadata", {{"k", "v"}}},
               {"parallel_tool_calls", false},
               {"unknown_field", {1, 2}},
               {"response_format", {{"type", "text"}}}});
  ASSERT_EQ(post(kPath, body).status, 200);
  const pipeline::GenerationRequest request = model().last_request();
  EXPECT_EQ(request.sampling.temperature, 0);
  EXPECT_EQ(request.sampling.top_p, 0.5f);
  EXPECT_EQ(request.sampling.top_k, 40);
  EXPECT_EQ(request.sampling.min_p, 0.1f);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(request.sampling.presence_penalty, 0.5f);
  EXPECT_EQ(request.sampling.frequency_penalty, -0.5f);
  EXPECT_EQ(request.sampling.seed, 7u);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.sampling.logit_bias, (std::map<int32_t, float>{{5, -100.0f}, {6, 1.5f}}));
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(request.logprobs, 3);
  EXPECT_EQ(request.priority, sched::Priority::kCritical);
}

TEST_F(Chat, FillsTheContextWithoutMaxTokens) {
  post(kPath, hello());
  const pipeline::GenerationRequest request = model().last_request();
  EXPECT_EQ(request.max_tokens + std::ssize(request.prompt), 1000);
  EXPECT_EQ(request.sampling.temperature, 1.0f);
  EXPECT_EQ(request.logprobs, std::nullopt);
}

TEST_F(Chat, NamesTheWrongField) {
  expect_invalid(Json::object(), "messages");
  expect_invalid({{"messages", Json::array()}}, "messages");
  expect_invalid({{"messages", {1}}}, "messages[0]");
  expect_invalid({{"messages", {{{"role", "user"}, {"content", "a"}}, {{"content", "b"}}}}},
                 "messages[1].role");
  expect_invalid({{"messages", {{{"role", "boss"}, {"content", "a"}}}}}, "messages[0].role");
  expect_invalid({{"messages", {{{"role", "user"}}}}}, "messages[0].content");
  expect_invalid({{"messages", {{{"role", "user"}, {"content", 3}}}}}, "messages[0].content");
  expect_invalid(hello_with("temperature", "warm"), "temperature");
  expect_invalid(hello_with("temperature", 2.5), "temperature");
  expect_invalid(hello_with("temperature", -0.1), "temperature");
  expect_invalid(hello_with("top_p", 1.5), "top_p");
  expect_invalid(hello_with("top_k", 1.5), "top_k");
  expect_invalid(hello_with("max_tokens", 0), "max_tokens");
  expect_invalid(hello_with("max_completion_tokens", -1), "max_completion_tokens");
  expect_invalid(hello_with("max_tokens", "5"), "max_tokens");
  expect_invalid(hello_with("n", 17), "n");
  expect_invalid(hello_with("n", 0), "n");
  expect_invalid(hello_with("stop", 5), "stop");
  expect_invalid(hello_with("stop", {"a", 5}), "stop[1]");
  expect_invalid(hello_with("stop", std::vector<std::string>(17, "x")), "stop");
  expect_invalid(hello_with("seed", "x"), "seed");
  expect_invalid(hello_with("logit_bias", {{"x", 1}}), "logit_bias.x");
  expect_invalid(hello_with("logit_bias", {{"260", 1}}), "logit_bias.260");
  expect_invalid(hello_with("logit_bias", {{"1", 101}}), "logit_bias.1");
  expect_invalid(hello_with("stream", "yes"), "stream");
  expect_invalid(hello_with("stream_options", {{"include_usage", 1}}),
                 "stream_options.include_usage");
  expect_invalid(hello_with("top_logprobs", 2), "top_logprobs");
  expect_invalid(hello_with("top_logprobs", 21), "top_logprobs");
  expect_invalid(hello_with("priority", "urgent"), "priority");
  expect_invalid(hello_with("chat_template_kwargs", 1), "chat_template_kwargs");
  expect_invalid(hello_with("tools", {{{"type", "function"}}}), "tools[0]");
  expect_invalid(hello_with("model", 5), "model");
  expect_invalid({{"messages", {{{"role", "tool"}, {"content", "x"}}}}}, "messages");
}

TEST_F(Chat, RefusesWhatItCannotDoByName) {
  const Json image = {{"type", "image_url"}, {"image_url", {{"url", "data:"}}}};
  const Json text = {{"type", "text"}, {"text", "a"}};
  expect_invalid({{"messages", {{{"role", "user"}, {"content", {text, image}}}}}},
                 "messages[0].content[1]", "unsupported");
  expect_invalid(hello_with("response_format", {{"type", "json_object"}}), "response_format",
                 "unsupported");
  expect_invalid(hello_with("response_format", {{"type", "json_schema"}}), "response_format",
                 "unsupported");
  expect_invalid(hello_with("tool_choice", "required"), "tool_choice", "unsupported");
  expect_invalid(hello_with("tool_choice", {{"type", "function"}}), "tool_choice", "unsupported");
  expect_invalid(hello_with("functions", Json::array()), "functions", "unsupported");
  expect_invalid(hello_with("modalities", {"text", "audio"}), "modalities", "unsupported");
  expect_invalid(hello_with("guided_json", Json::object()), "guided_json", "unsupported");
}

TEST_F(Chat, FindsTheModelByIdOrDefault) {
  EXPECT_EQ(post(kPath, hello_with("model", "fake")).status, 200);
  EXPECT_EQ(post(kPath, hello_with("model", "default")).status, 200);
  const ApiReply reply = post(kPath, hello_with("model", "gpt-9"));
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.error("code"), "model_not_found");
  EXPECT_EQ(reply.error("param"), "model");
}

TEST_F(Chat, NeverCutsSilently) {
  Json body = {{"messages", {{{"role", "user"}, {"content", std::string(2000, 'x')}}}}};
  expect_invalid(body, "messages", "context_length_exceeded");
  body = hello_with("max_tokens", 999);
  const ApiReply reply = post(kPath, body);
  EXPECT_EQ(reply.error("code"), "context_length_exceeded");
  EXPECT_THAT(reply.error("message"), HasSubstr("1000 tokens"));
  EXPECT_THAT(reply.error("message"), HasSubstr("999 in the completion"));
  EXPECT_THAT(reply.error("message"), HasSubstr("19 in the messages"));
  EXPECT_EQ(post(kPath, hello_with("max_tokens", 981)).status, 200);
}

TEST_F(Chat, JoinsTextPartsAndOpensToolArguments) {
  restart({.answer = [](const std::string& prompt) { return prompt; }});
  const Json text = {{"type", "text"}, {"text", "a"}};
  Json body = {{"messages",
                {{{"role", "developer"}, {"content", "be kind"}},
                 {{"role", "user"}, {"content", {text, text}}},
                 {{"role", "assistant"}, {"content", nullptr}}}},
               {"chat_template_kwargs", {{"style", "b"}}},
               {"tools", {{{"type", "function"}, {"function", {{"name", "f"}}}}}}};
  ApiReply reply = post(kPath, body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const std::string tools = "tools:[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]\n";
  EXPECT_EQ(reply.json()["choices"][0]["message"]["content"],
            "system:be kind\nuser:a\na\nassistant:\n" + tools + "style:\"b\"\nassistant:");
  body["tool_choice"] = "none";
  reply = post(kPath, body);
  EXPECT_THAT(reply.body, testing::Not(HasSubstr("tools:")));
}

TEST_F(Chat, ReportsLogprobs) {
  restart({.answer = [](const std::string&) { return "a\u00e9"; }});
  Json body = hello_with("logprobs", true);
  body["top_logprobs"] = 2;
  const Json content = post(kPath, body).json()["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 3u);
  EXPECT_EQ(content[0]["token"], "a");
  EXPECT_EQ(content[0]["bytes"], Json::array({97}));
  EXPECT_EQ(content[0]["logprob"], -0.25 * (97 % 7));
  EXPECT_EQ(content[0]["top_logprobs"].size(), 2u);
  EXPECT_EQ(content[0]["top_logprobs"][1]["token"], "b");
  EXPECT_EQ(content[1]["token"], "bytes:\\xc3");
  EXPECT_EQ(content[1]["bytes"], Json::array({0xc3}));
}

TEST_F(Chat, GivesNChoices) {
  Json body = hello_with("n", 3);
  body["seed"] = 5;
  const Json reply = post(kPath, body).json();
  ASSERT_EQ(reply["choices"].size(), 3u);
  EXPECT_EQ(reply["choices"][2]["index"], 2);
  EXPECT_EQ(reply["choices"][2]["message"]["content"], "Hello, world!");
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 19);
  EXPECT_EQ(reply["usage"]["completion_tokens"], 39);
  EXPECT_EQ(model().last_request().sampling.seed, 7u);
}

TEST_F(Chat, StopsAtStopTextAndLength) {
  Json reply = post(kPath, hello_with("stop", ", w")).json();
  EXPECT_EQ(reply["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
  reply = post(kPath, hello_with("max_tokens", 4)).json();
  EXPECT_EQ(reply["choices"][0]["message"]["content"], "Hell");
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "length");
}

TEST_F(Chat, FullQueueIs429AndCancelsWhatHadStarted) {
  restart({.delay = std::chrono::milliseconds(50), .queue_max = 2});
  const ApiReply reply = post(kPath, hello_with("n", 3));
  EXPECT_EQ(reply.status, 429);
  EXPECT_NE(reply.header("Retry-After"), "");
  EXPECT_NE(reply.header("retry-after-ms"), "");
  for (int i = 0; i < 500 && model().running() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(model().running(), 0);
  EXPECT_EQ(model().cancelled(), 2);
}

TEST_F(Chat, FailedModelIs500OrAnErrorEvent) {
  restart({.error = "a kernel broke"});
  EXPECT_EQ(post(kPath, hello()).status, 500);
  const ApiReply reply = post(kPath, hello_with("stream", true));
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.events().back()["error"]["message"].get<std::string>(),
              HasSubstr("a kernel broke"));
  EXPECT_TRUE(reply.ends_with_done());
}

TEST_F(Chat, StoppingServerIs503) {
  api().stopping = true;
  const ApiReply reply = post(kPath, hello());
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.header("Retry-After"), "");
}

TEST_F(Chat, AModelThatFailedAtBootIs503WithItsReason) {
  restart({.boot = {.state = runtime::ModelState::kFailed, .error = "a.bin: gone"}});
  const ApiReply reply = post(kPath, hello());
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.error("code"), "model_failed");
  EXPECT_THAT(reply.error("message"), HasSubstr("a.bin: gone"));
  EXPECT_EQ(reply.header("Retry-After"), "") << "it will not be better soon";
}

TEST_F(Chat, ClientGoneCancels) {
  restart({.delay = std::chrono::milliseconds(20)});
  auto writer = std::make_shared<RecordingWriter>();
  dispatch(api(),
           {.method = "POST",
            .path = kPath,
            .query = "",
            .headers = {},
            .body = hello_with("stream", true).dump(),
            .id = ""},
           writer);
  writer->run_until([&] {
    return writer->response.body.find("Hel") != std::string::npos ||
           writer->response.body.size() > 300;
  });
  ASSERT_TRUE(writer->gone);
  writer->gone();
  for (int i = 0; i < 500 && model().running() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(model().cancelled(), 1);
  EXPECT_FALSE(writer->done);
  writer->drop_tasks();
}

/// What a client puts together from a stream.
Json assemble(const ApiReply& reply) {
  Json choices = Json::object();
  for (const Json& event : reply.events()) {
    for (const Json& chunk : event["choices"]) {
      Json& choice = choices[chunk["index"].dump()];
      if (choice.is_null()) {
        EXPECT_EQ(chunk["delta"]["role"], "assistant") << "the role comes first";
        choice = {{"content", ""},
                  {"reasoning", ""},
                  {"logprobs", Json::array()},
                  {"finish_reason", nullptr}};
      }
      EXPECT_EQ(choice["finish_reason"], nullptr) << "nothing comes after the finish";
      const Json& delta = chunk["delta"];
      if (delta.contains("content")) {
        choice["content"] =
            choice["content"].get<std::string>() + delta["content"].get<std::string>();
      }
      if (delta.contains("reasoning_content")) {
        choice["reasoning"] =
            choice["reasoning"].get<std::string>() + delta["reasoning_content"].get<std::string>();
      }
      if (!chunk["logprobs"].is_null()) {
        for (const Json& entry : chunk["logprobs"]["content"]) choice["logprobs"].push_back(entry);
      }
      choice["finish_reason"] = chunk["finish_reason"];
    }
  }
  return choices;
}

Json plain_choices(const ApiReply& reply) {
  Json choices = Json::object();
  const Json body = reply.json();
  for (const Json& choice : body["choices"]) {
    const Json& message = choice["message"];
    choices[choice["index"].dump()] = {
        {"content", message["content"]},
        {"reasoning", message.value("reasoning_content", "")},
        {"logprobs", choice["logprobs"].is_null() ? Json::array() : choice["logprobs"]["content"]},
        {"finish_reason", choice["finish_reason"]}};
  }
  return choices;
}

struct StreamCase {
  const char* answer;
  const char* chat_template;
  bool opens_thinking;
  Json extra;
};

TEST_F(Chat, StreamingEqualsNotStreamingForEveryChunking) {
  const std::vector<StreamCase> cases = {
      {"Gr\u00fc\u00dfe aus \U0001F30D und <b>", "plain", false, {}},
      {"<think>\nso \u00e9 it is\n</think>\n\nThe answer", "</think>", false, {}},
      {"so it is\n</think>\n\nThe answer", "</think>", true, {}},
      {"<think>never ends", "</think>", false, {}},
      {"<thin air", "</think>", false, {}},
      {"", "</think>", false, {}},
      {"one two three", "plain", false, {{"stop", {" three", "ww"}}}},
      {"one two three", "plain", false, {{"max_tokens", 5}, {"n", 2}}},
      {"<think>a</think>b", "</think>", false, {{"reasoning_format", "none"}}},
  };
  for (const StreamCase& c : cases) {
    for (const bool logprobs : {false, true}) {
      for (const size_t tokens : {1, 2, 3, 5, 100}) {
        restart({.answer = [&](const std::string&) { return c.answer; },
                 .tokens_per_piece = tokens,
                 .chat_template = c.chat_template,
                 .opens_thinking = c.opens_thinking});
        Json body = hello();
        if (c.extra.is_object()) body.update(c.extra);
        if (logprobs) body.update({{"logprobs", true}, {"top_logprobs", 1}});
        const ApiReply plain = post(kPath, body);
        ASSERT_EQ(plain.status, 200) << plain.body;
        body.update({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
        const ApiReply stream = post(kPath, body);
        ASSERT_TRUE(stream.streamed);
        EXPECT_TRUE(stream.ends_with_done());
        EXPECT_EQ(nlohmann::json(assemble(stream)), nlohmann::json(plain_choices(plain)))
            << c.answer << " by " << tokens;
        EXPECT_EQ(stream.events().back()["choices"], Json::array());
        EXPECT_EQ(stream.events().back()["usage"], plain.json()["usage"]) << c.answer;
      }
    }
  }
}

TEST_F(Chat, SplitsReasoning) {
  restart({.answer = [](const std::string&) { return "<think>\nhm\n</think>\n\nYes."; },
           .chat_template = "{{ '</think>' }}"});
  const Json reply = post(kPath, hello()).json();
  EXPECT_EQ(reply["choices"][0]["message"]["reasoning_content"], "hm");
  EXPECT_EQ(reply["choices"][0]["message"]["content"], "Yes.");
  // <think> \n h m \n </think>
  EXPECT_EQ(reply["usage"]["completion_tokens_details"]["reasoning_tokens"], 6);
}

TEST_F(Chat, StreamHasKeepaliveAndHeaders) {
  auto writer = std::make_shared<RecordingWriter>();
  dispatch(api(),
           {.method = "POST",
            .path = kPath,
            .query = "",
            .headers = {},
            .body = hello_with("stream", true).dump(),
            .id = ""},
           writer);
  writer->run();
  writer->drop_tasks();
  EXPECT_EQ(writer->keepalive, ": waiting\n\n");
  EXPECT_THAT(writer->response.content_type, HasSubstr("text/event-stream"));
}

TEST_F(Chat, MalformedBodyIs400WithPosition) {
  const ApiReply reply = post_text(kPath, "{\"messages\": [}");
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.error("message"), HasSubstr("line 1, column 15"));
}

}  // namespace
}  // namespace neuros::serve
