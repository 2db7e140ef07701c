#include "serve/testing/api_fixture.h"

namespace neuros::serve {

std::vector<Json> ApiReply::events() const {
  std::vector<Json> out;
  for (size_t begin = 0; begin < body.size();) {
    const size_t end = std::min(body.find("\n\n", begin), body.size());
    const std::string event = body.substr(begin, end - begin);
    begin = end + 2;
    if (event.starts_with("data: ") && event != "data: [DONE]") {
      out.push_back(Json::parse(event.substr(6)));
    }
  }
  return out;
}

std::string ApiReply::header(const std::string& name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return "";
}

std::string ApiReply::error(const char* field) const {
  const Json error = json()["error"];
  return error[field].is_string() ? error[field].get<std::string>() : error[field].dump();
}

void ApiFixture::restart(FakeModel::Options options, ApiOptions api_options) {
  backend_ = std::make_unique<FakeBackend>(std::move(options));
  api_.reset(new Api{*backend_, std::move(api_options)});
}

ApiReply ApiFixture::call(Request request) {
  request.id = "req-test";
  auto writer = std::make_shared<RecordingWriter>();
  dispatch(*api_, request, writer);
  writer->run();
  EXPECT_TRUE(writer->done) << "no answer";
  writer->drop_tasks();
  const Response& response = writer->response;
  return {response.status, response.headers, response.body, writer->streamed};
}

ApiReply ApiFixture::get(const std::string& path) {
  const size_t question = std::min(path.find('?'), path.size());
  return call({.method = "GET",
               .path = path.substr(0, question),
               .query = path.substr(std::min(question + 1, path.size())),
               .headers = {},
               .body = "",
               .id = ""});
}

ApiReply ApiFixture::post_text(const std::string& path, const std::string& body) {
  return call({.method = "POST", .path = path, .query = "", .headers = {}, .body = body, .id = ""});
}

ApiReply ApiFixture::post(const std::string& path, const Json& body) {
  return post_text(path, body.dump());
}

}  // namespace neuros::serve
