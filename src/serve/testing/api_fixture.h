#pragma once

/// A fake model behind the route table, and JSON in and out.

#include "serve/api.h"
#include "serve/routes.h"
#include "serve/testing/fake_model.h"
#include "serve/testing/recording_writer.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::serve {

using Json = nlohmann::ordered_json;

struct ApiReply {
  int status = 0;
  Headers headers{};
  std::string body{};
  bool streamed = false;

  Json json() const { return Json::parse(body); }
  /// Data of a stream's events, "[DONE]" left out.
  std::vector<Json> events() const;
  bool ends_with_done() const { return body.ends_with("data: [DONE]\n\n"); }
  std::string header(const std::string& name) const;
  std::string error(const char* field) const;
};

class ApiFixture : public ::testing::Test {
 protected:
  ApiFixture() { restart({}); }

  void restart(FakeModel::Options options, ApiOptions api_options = {});
  ApiReply call(Request request);
  ApiReply get(const std::string& path);
  ApiReply post(const std::string& path, const Json& body);
  ApiReply post_text(const std::string& path, const std::string& body);
  FakeModel& model() { return *backend_->fake; }
  FakeBackend& backend() { return *backend_; }
  Api& api() { return *api_; }

 private:
  std::unique_ptr<FakeBackend> backend_;
  std::unique_ptr<Api> api_;
};

}  // namespace neuros::serve
