/// Pipelines and routes through the API.

#include "serve/testing/api_fixture.h"
#include "serve/testing/fake_pipeline.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>

namespace neuros::serve {
namespace {

using ::testing::HasSubstr;

pipeline::StageReport report(const std::string& stage, const std::string& model) {
  pipeline::StageReport report;
  report.stage = stage;
  report.model = model;
  report.start_us = 1000;
  report.end_us = 4000;
  report.times = {.queue_us = 100, .swap_us = 200, .prefill_us = 300, .decode_us = 400};
  if (model.empty()) return report;
  report.prompt_tokens = 10;
  report.completion_tokens = 5;
  report.cached_tokens = 2;
  return report;
}

class PipelinesTest : public ApiFixture {
 protected:
  PipelinesTest() {
    serve(
        {.texts = {{.content = "", .reasoning = "hm", .tokens = 1, .reasoning_tokens = 1},
                   {.content = "Hel", .reasoning = "", .tokens = 2},
                   {.content = "lo", .reasoning = "", .tokens = 1}},
         .end = {.reason = pipeline::FinishReason::kLength,
                 .stages = {report("draft", "fake"), report("look", ""), report("say", "fake")}}});
  }

  void serve(FakePipeline::Options options) {
    flow_ = std::make_shared<FakePipeline>(std::move(options));
    backend().served_pipelines = {flow_};
  }
  void serve_failure(base::ErrorKind kind, bool starts) {
    pipeline::PipelineEnd end{.reason = pipeline::FinishReason::kFailed,
                              .error = {kind, "stage say: no luck"}};
    serve({.end = std::move(end), .starts = starts});
  }
  void serve_route(FakeRoute::Pick pick) {
    route_ = std::make_shared<FakeRoute>(std::move(pick));
    backend().served_pipelines.clear();
    backend().served_routes = {route_};
  }

  static Json chat(const std::string& text = "What is new?") {
    return {{"model", "flow"},
            {"messages",
             {{{"role", "system"}, {"content", "Be brief."}},
              {{"role", "user"}, {"content", "Hi"}},
              {{"role", "assistant"}, {"content", "Hello"}},
              {{"role", "user"}, {"content", text}}}}};
  }
  /// The param that a chat with one field more is refused for.
  std::string refused(const std::string& field, const Json& value) {
    Json body = chat();
    body[field] = value;
    const ApiReply reply = post("/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 400) << field;
    return reply.error("param");
  }

  std::shared_ptr<FakePipeline> flow_;
  std::shared_ptr<FakeRoute> route_;
};

TEST_F(PipelinesTest, AnswersAChat) {
  const ApiReply reply = post("/v1/chat/completions", chat());
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json json = reply.json();
  EXPECT_EQ(json["model"], "flow");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(json["choices"][0]["message"]["reasoning_content"], "hm");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 20) << "of all stages";
  EXPECT_EQ(json["usage"]["completion_tokens"], 10);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_EQ(json["usage"]["completion_tokens_details"]["reasoning_tokens"], 1);
  EXPECT_FALSE(json.contains("timings"));
}

TEST_F(PipelinesTest, StreamsAChat) {
  Json body = chat();
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const ApiReply reply = post("/v1/chat/completions", body);
  EXPECT_TRUE(reply.streamed);
  EXPECT_TRUE(reply.ends_with_done());
  std::string content;
  for (const Json& event : reply.events()) {
    if (event["choices"].empty()) continue;
    content += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(content, "Hello");
  EXPECT_EQ(reply.events().back()["usage"]["completion_tokens"], 10);
}

TEST_F(PipelinesTest, AnswersACompletion) {
  const ApiReply reply =
      post("/v1/completions", {{"model", "flow"}, {"prompt", "Say"}, {"stop", "!"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["choices"][0]["text"], "Hello");
  EXPECT_EQ(flow_->last_request.request.text(), "Say");
  EXPECT_EQ(flow_->last_request.conversation, nullptr);
  EXPECT_EQ(flow_->last_request.parameters.stop, std::vector<std::string>{"!"});
}

TEST_F(PipelinesTest, IsTheDefault) {
  Json body = chat();
  body.erase("model");
  EXPECT_EQ(post("/v1/chat/completions", body).json()["model"], "flow");
  body["model"] = "fake";
  EXPECT_EQ(post("/v1/chat/completions", body).json()["model"], "fake") << "models keep their ids";
  body["model"] = "other";
  EXPECT_EQ(post("/v1/chat/completions", body).status, 404);
}

TEST_F(PipelinesTest, TellsWhereTheTimeWent) {
  Json body = chat();
  body["timings"] = true;
  const Json timings = post("/v1/chat/completions", body).json()["timings"];
  ASSERT_EQ(timings["stages"].size(), 3U);
  EXPECT_EQ(timings["stages"][0].dump(),
            R"({"stage":"draft","round":1,"model":"fake","start_ms":1.0,"end_ms":4.0,)"
            R"("queue_ms":0.1,"swap_ms":0.2,"prefill_ms":0.3,"decode_ms":0.4,"prompt_tokens":10,)"
            R"("completion_tokens":5,"cached_tokens":2})");
  EXPECT_EQ(timings["stages"][1]["model"], nullptr);
  EXPECT_GE(timings["total_ms"], 0.0);
}

TEST_F(PipelinesTest, TheLastUserMessageIsTheRequest) {
  Json body = chat();
  body["metadata"] = {{"user", "ada"}};
  body["temperature"] = 0;
  body["seed"] = 3;
  body["max_tokens"] = 9;
  body["priority"] = "critical";
  ASSERT_EQ(post("/v1/chat/completions", body).status, 200);
  const pipeline::PipelineRequest& request = flow_->last_request;
  EXPECT_EQ(request.request.text(), "What is new?");
  EXPECT_EQ(request.request.field_text("user"), "ada");
  EXPECT_EQ(flow_->last_context, "Be brief.\nHi\nHello\nWhat is new?");
  EXPECT_EQ(request.conversation->size(), 4U);
  EXPECT_EQ(request.priority, sched::Priority::kCritical);
  EXPECT_EQ(request.parameters.max_tokens, 9);
  pipeline::SamplingParams defaults;
  defaults.top_k = 17;
  const pipeline::SamplingParams sampling = request.parameters.sampling(defaults);
  EXPECT_EQ(sampling.temperature, 0);
  EXPECT_EQ(sampling.seed, 3U);
  EXPECT_EQ(sampling.top_k, 17) << "of the model that answers";
}

TEST_F(PipelinesTest, InputComesBeforeMetadata) {
  Json body = chat();
  body["metadata"] = {{"user", "ada"}};
  body["input"] = {{"user", "bob"}};
  ASSERT_EQ(post("/v1/chat/completions", body).status, 200);
  EXPECT_EQ(flow_->last_request.request.field_text("user"), "bob");
  EXPECT_EQ(flow_->last_request.priority, std::nullopt);
}

TEST_F(PipelinesTest, RefusesWhatOnlyAModelCanDo) {
  EXPECT_EQ(refused("n", 2), "n");
  EXPECT_EQ(refused("logprobs", true), "logprobs");
  EXPECT_EQ(refused("tools", Json::array({1})), "tools");
  EXPECT_EQ(refused("chat_template_kwargs", Json::object()), "chat_template_kwargs");
  EXPECT_EQ(refused("metadata", 3), "metadata");
  EXPECT_EQ(refused("temperature", 3), "temperature");
  EXPECT_EQ(refused("max_tokens", 0), "max_tokens");
  EXPECT_EQ(refused("messages", Json::array({{{"role", "system"}, {"content", "x"}}})), "messages");
  const ApiReply echo = post("/v1/completions", {{"prompt", "x"}, {"echo", true}});
  EXPECT_EQ(echo.error("param"), "echo");
  const ApiReply ids = post("/v1/completions", {{"prompt", {1, 2}}});
  EXPECT_EQ(ids.error("param"), "prompt");
}

TEST_F(PipelinesTest, ErrorsHaveTheirStatusAndTheirStage) {
  serve_failure(base::ErrorKind::kIo, true);
  ApiReply reply = post("/v1/chat/completions", chat());
  EXPECT_EQ(reply.status, 500);
  EXPECT_THAT(reply.error("message"), HasSubstr("stage say: no luck"));
  serve_failure(base::ErrorKind::kInvalid, true);
  EXPECT_EQ(post("/v1/chat/completions", chat()).status, 400);
  serve_failure(base::ErrorKind::kBroken, true);
  reply = post("/v1/chat/completions", chat());
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.error("code"), "model_failed");
}

TEST_F(PipelinesTest, AStreamThatCannotStartHasAStatus) {
  Json body = chat();
  body["stream"] = true;
  serve_failure(base::ErrorKind::kUnavailable, false);
  ApiReply reply = post("/v1/chat/completions", body);
  EXPECT_FALSE(reply.streamed);
  EXPECT_EQ(reply.status, 429);
  serve({.start_error = base::Error{base::ErrorKind::kUnavailable, "full"}});
  EXPECT_EQ(post("/v1/chat/completions", body).status, 429);
  serve_failure(base::ErrorKind::kIo, true);
  reply = post("/v1/chat/completions", body);
  EXPECT_TRUE(reply.streamed);
  EXPECT_THAT(reply.body, HasSubstr("no luck"));
}

TEST_F(PipelinesTest, AClientThatLeavesCancels) {
  serve({.holds = true});
  auto writer = std::make_shared<RecordingWriter>();
  dispatch(api(),
           {.method = "POST",
            .path = "/v1/chat/completions",
            .query = "",
            .headers = {},
            .body = chat().dump(),
            .id = ""},
           writer);
  ASSERT_TRUE(writer->gone);
  writer->gone();
  EXPECT_EQ(flow_->cancelled, 7U);
  writer->drop_tasks();
}

TEST_F(PipelinesTest, MetricsCountStages) {
  post("/v1/chat/completions", chat());
  const std::string page = get("/metrics").body;
  EXPECT_THAT(page, HasSubstr(R"(neuros_stage_seconds_count{pipeline="flow",stage="draft"} 1)"));
  EXPECT_THAT(page, HasSubstr(R"(neuros_stage_part_seconds_total{pipeline="flow",stage="say",)"
                              R"(part="decode"} 4e-04)"));
  EXPECT_THAT(page, HasSubstr(R"(neuros_generations_total{model="flow",reason="length"} 1)"));
  EXPECT_THAT(page, HasSubstr(R"(neuros_generated_tokens_total{model="fake"} 10)"));
}

TEST_F(PipelinesTest, AreListed) {
  serve_route([&](const std::string&, const std::string&) { return backend().fake; });
  backend().served_pipelines = {flow_};
  const Json data = get("/v1/models").json()["data"];
  ASSERT_EQ(data.size(), 3U);
  EXPECT_EQ(data[0]["id"], "flow");
  EXPECT_EQ(data[0]["stages"], Json::array({"draft", "say"}));
  EXPECT_EQ(data[1]["id"], "best");
  EXPECT_EQ(data[1]["kind"], "route");
  EXPECT_EQ(data[2]["id"], "fake");
  EXPECT_EQ(get("/v1/models/flow").json()["kind"], "pipeline");
  EXPECT_EQ(get("/v1/models/best").json()["kind"], "route");
  EXPECT_THAT(get("/").body, HasSubstr("<code>flow</code>, a pipeline"));
}

TEST_F(PipelinesTest, ARouteGivesAModel) {
  std::string prompt, context;
  serve_route([&](const std::string& p, const std::string& c) {
    prompt = p;
    context = c;
    return backend().fake;
  });
  Json body = chat();
  body["model"] = "best";
  const ApiReply reply = post("/v1/chat/completions", body);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.json()["model"], "fake") << "the one that answered";
  EXPECT_EQ(prompt, "What is new?");
  EXPECT_EQ(context, "Be brief.\nHi\nHello\nWhat is new?");
  EXPECT_EQ(route_->first_tokens_us.size(), 1U);
  EXPECT_EQ(post("/v1/completions", {{"prompt", "raw"}}).status, 200) << "the default";
  EXPECT_EQ(prompt, "raw");
}

TEST_F(PipelinesTest, ARouteThatCannotDecideSaysWhy) {
  serve_route(
      [](const std::string&, const std::string&) -> base::Result<std::shared_ptr<ServedModel>> {
        return base::fail("route best: column 4: a text has no order");
      });
  const ApiReply reply = post("/v1/completions", {{"model", "best"}, {"prompt", "x"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.error("message"), HasSubstr("column 4"));
}

}  // namespace
}  // namespace neuros::serve
