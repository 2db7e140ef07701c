/// The small endpoints, and what the route table does for all of them.

#include "serve/testing/api_fixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::serve {
namespace {

using ::testing::HasSubstr;

using Endpoints = ApiFixture;

Request request(const std::string& method, const std::string& path, Headers headers = {}) {
  return {.method = method,
          .path = path,
          .query = "",
          .headers = std::move(headers),
          .body = "",
          .id = ""};
}

TEST_F(Endpoints, HealthAndReady) {
  EXPECT_EQ(get("/health").json()["status"], "ok");
  EXPECT_EQ(get("/ready").status, 200);
  api().stopping = true;
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/ready").status, 503);
}

TEST_F(Endpoints, AModelThatIsOnItsWayIsSaidSo) {
  restart({.boot = {.state = runtime::ModelState::kBooting, .error = ""}});
  EXPECT_EQ(get("/v1/models").json()["data"][0]["status"], "loading");
  EXPECT_EQ(get("/health").json()["models"], (Json{{"booting", 1}, {"ready", 0}, {"failed", 0}}));
  const Json model = get("/v1/residency").json()["models"][0];
  EXPECT_EQ(model["state"], "booting");
  EXPECT_EQ(model["resident_bytes"], 0);
}

TEST_F(Endpoints, AModelThatFailedSaysWhy) {
  restart({.boot = {.state = runtime::ModelState::kFailed, .error = "a.bin: gone"}});
  const Json listed = get("/v1/models").json()["data"][0];
  EXPECT_EQ(listed["status"], "failed");
  EXPECT_EQ(listed["error"], "a.bin: gone");
  EXPECT_EQ(get("/ready").json()["models"]["failed"], 1);
  const Json model = get("/v1/residency").json()["models"][0];
  EXPECT_EQ(model["state"], "failed");
  EXPECT_EQ(model["error"], "a.bin: gone");
}

TEST_F(Endpoints, ListsModels) {
  restart({.id = "org/model & co"});
  const Json list = get("/v1/models").json();
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0]["id"], "org/model & co");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["context_length"], 1000);
  EXPECT_EQ(get("/v1/models/org/model & co").json(), list["data"][0]);
  EXPECT_EQ(get("/v1/models/default").json(), list["data"][0]);
  const ApiReply missing = get("/v1/models/other");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.error("code"), "model_not_found");
  EXPECT_THAT(get("/").body, HasSubstr("org/model &amp; co"));
}

TEST_F(Endpoints, TokenizesInEveryDialect) {
  Json body = post("/tokenize", {{"content", "a</s>"}}).json();
  EXPECT_EQ(body["tokens"], Json({97, 257}));
  body = post("/tokenize", {{"content", "a"}, {"add_special", true}, {"with_pieces", true}}).json();
  EXPECT_EQ(body["tokens"][0], (Json{{"id", 256}, {"piece", "<s>"}}));
  body = post("/tokenize", {{"content", "</s>"}, {"parse_special", false}}).json();
  EXPECT_EQ(body["count"], 4);
  body = post("/tokenize", {{"content", "\u00e9"}, {"with_pieces", true}}).json();
  EXPECT_EQ(body["tokens"][0]["piece"], Json::array({0xc3}));
  body = post("/tokenize", {{"prompt", "a"}, {"return_token_strs", true}}).json();
  EXPECT_EQ(body["tokens"], Json({256, 97}));
  EXPECT_EQ(body["token_strs"], Json({"<s>", "a"}));
  EXPECT_EQ(body["max_model_len"], 1000);
  body = post("/tokenize", {{"prompt", "a"}, {"add_special_tokens", false}}).json();
  EXPECT_EQ(body["tokens"], Json::array({97}));
  body = post("/tokenize", {{"messages", {{{"role", "user"}, {"content", "x"}}}}}).json();
  EXPECT_EQ(body["count"], 18);
  EXPECT_EQ(post("/tokenize", Json::object()).status, 400);
  EXPECT_EQ(post("/tokenize", {{"content", 5}}).error("param"), "content");
  EXPECT_EQ(post("/tokenize", {{"messages", {5}}}).error("param"), "messages[0]");
}

TEST_F(Endpoints, Detokenizes) {
  Json body = post("/detokenize", {{"tokens", {256, 97, 98}}}).json();
  EXPECT_EQ(body["content"], "<s>ab");
  EXPECT_EQ(body["prompt"], "<s>ab");
  body = post("/detokenize", {{"tokens", {256, 97}}, {"skip_special_tokens", true}}).json();
  EXPECT_EQ(body["content"], "a");
  EXPECT_EQ(post("/detokenize", {{"tokens", {0xc3}}}).json()["content"], "\ufffd");
  EXPECT_EQ(post("/detokenize", {{"tokens", {1, 999}}}).error("param"), "tokens[1]");
  EXPECT_EQ(post("/detokenize", Json::object()).error("param"), "tokens");
}

TEST_F(Endpoints, TellsAboutTheTokenizer) {
  const Json info = get("/tokenizer_info").json();
  EXPECT_EQ(info["bos_token"], "<s>");
  EXPECT_EQ(info["eos_token"], "</s>");
  EXPECT_EQ(info["pad_token"], "</s>");
  EXPECT_EQ(info["tokenizer_class"], "FakeTokenizer");
  EXPECT_EQ(info["chat_template"], "plain");
  EXPECT_EQ(get("/tokenizer_info?model=fake").status, 200);
  EXPECT_EQ(get("/tokenizer_info?model=other").status, 404);
}

TEST_F(Endpoints, MetricsCount) {
  post("/v1/completions", {{"prompt", "abc"}});
  post("/v1/completions", {{"prompt", 5}});
  const std::string text = get("/metrics").body;
  EXPECT_THAT(text, HasSubstr("neuros_http_requests_total{endpoint=\"/v1/completions\","
                              "status=\"200\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("status=\"400\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("neuros_prompt_tokens_total{model=\"fake\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("neuros_generated_tokens_total{model=\"fake\"} 13\n"));
  EXPECT_THAT(text, HasSubstr("neuros_time_to_first_token_seconds_count{model=\"fake\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("neuros_inter_token_seconds_count{model=\"fake\"} 12\n"));
  EXPECT_THAT(text, HasSubstr("neuros_generations_total{model=\"fake\",reason=\"stop\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("neuros_kv_pages{model=\"fake\",state=\"free\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("neuros_memory_bytes{model=\"fake\",tier=\"host\",arena=\"weights\"}"
                              " 1024\n"));
  EXPECT_THAT(text, HasSubstr("neuros_http_requests_in_flight 1\n"));  // this one
  EXPECT_THAT(text, HasSubstr("neuros_kv_host_pages{model=\"fake\",state=\"free\"} 30\n"));
  EXPECT_THAT(text,
              HasSubstr("neuros_kv_swapped_pages_total{model=\"fake\",direction=\"out\"} 30\n"
                        "neuros_kv_swapped_pages_total{model=\"fake\",direction=\"in\"} 7\n"));
  EXPECT_THAT(text,
              HasSubstr("neuros_kv_swapped_bytes_total{model=\"fake\",direction=\"in\"} 28672\n"));
}

TEST_F(Endpoints, ResidencyTellsWhereKvPagesAre) {
  const Json body = get("/v1/residency").json();
  const Json& kv = body["models"][0]["kv"];
  EXPECT_EQ(kv["page_bytes"], 4096);
  EXPECT_EQ(kv["device"]["free"], 100);
  EXPECT_EQ(kv["host"]["used"], 20);
  EXPECT_EQ(kv["host"]["free"], 30);
  EXPECT_EQ(kv["swapped_out"]["bytes"], 30 * 4096);
  EXPECT_EQ(kv["swapped_in"]["pages"], 7);
}

TEST_F(Endpoints, UnknownPathsAndMethods) {
  EXPECT_EQ(get("/v2/models").status, 404);
  EXPECT_EQ(get("/v2/models").error("code"), "unknown_url");
  EXPECT_EQ(get("/v1/models/").status, 404);
  const ApiReply wrong = get("/v1/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(call(request("HEAD", "/health")).status, 200);
  EXPECT_EQ(call(request("DELETE", "/health")).status, 405);
}

TEST_F(Endpoints, KeysGuardAllButHealth) {
  restart({}, {.keys = {"one", "two"}});
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(get("/ready").status, 200);
  EXPECT_EQ(get("/v1/models").status, 401);
  EXPECT_EQ(get("/").status, 401);
  EXPECT_EQ(get("/metrics").status, 401);
  EXPECT_EQ(get("/v1/models").error("code"), "invalid_api_key");
  const auto status_with = [&](const char* name, const char* value) {
    return call(request("GET", "/v1/models", {{name, value}})).status;
  };
  EXPECT_EQ(status_with("Authorization", "Bearer one"), 200);
  EXPECT_EQ(status_with("authorization", "bearer two"), 200);
  EXPECT_EQ(status_with("X-Api-Key", "two"), 200);
  EXPECT_EQ(status_with("Authorization", "Bearer three"), 401);
  EXPECT_EQ(status_with("Authorization", "one"), 401);
  EXPECT_EQ(status_with("Authorization", "Bearer "), 401);
}

TEST_F(Endpoints, CorsIsOffUnlessAsked) {
  const Headers origin = {{"Origin", "https://a.example"}};
  EXPECT_EQ(call(request("GET", "/health", origin)).header("Access-Control-Allow-Origin"), "");
  ApiReply reply = call(request("OPTIONS", "/v1/models", origin));
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("Access-Control-Allow-Methods"), "");
  restart({}, {.keys = {"k"}, .cors_origin = "https://a.example"});
  reply = call(request("OPTIONS", "/v1/models", origin));
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_THAT(reply.header("Access-Control-Allow-Methods"), HasSubstr("GET"));
  EXPECT_EQ(call(request("GET", "/health", origin)).header("Access-Control-Allow-Origin"),
            "https://a.example");
}

TEST_F(Endpoints, HeadsThatWillBeRefusedAreKnownEarly) {
  EXPECT_FALSE(is_refused(api(), request("POST", "/v1/completions")));
  EXPECT_FALSE(is_refused(api(), request("OPTIONS", "/v1/completions")));
  EXPECT_TRUE(is_refused(api(), request("POST", "/nowhere")));
  restart({}, {.keys = {"k"}});
  EXPECT_TRUE(is_refused(api(), request("POST", "/v1/completions")));
}

}  // namespace
}  // namespace neuros::serve
