#include "serve/routes.h"

#include "serve/api_error.h"

#include <array>
#include <chrono>
#include <optional>
#include <utility>

namespace neuros::serve {
namespace {

using Handler = void (*)(Api&, const Request&, WriterPtr);

enum class Access { kOpen, kKey };
enum class Work { kLight, kGeneration };

struct Route {
  std::string_view method;
  std::string_view path;  ///< a trailing "/" and "*" stand for any rest
  Handler handler;
  Access access = Access::kKey;
  Work work = Work::kLight;
};

constexpr std::array kRoutes = {
    Route{"GET", "/", home},
    Route{"GET", "/health", health, Access::kOpen},
    Route{"GET", "/ready", ready, Access::kOpen},
    Route{"GET", "/metrics", metrics_page},
    Route{"GET", "/v1/models", list_models},
    Route{"GET", "/v1/models/*", show_model},
    Route{"GET", "/v1/residency", residency},
    Route{"POST", "/v1/chat/completions", chat_completions, Access::kKey, Work::kGeneration},
    Route{"POST", "/v1/completions", completions, Access::kKey, Work::kGeneration},
    Route{"POST", "/tokenize", tokenize},
    Route{"POST", "/detokenize", detokenize},
    Route{"GET", "/tokenizer_info", tokenizer_info},
};

bool matches(const Route& route, std::string_view path) {
  if (route.path.ends_with("/*")) {
    const std::string_view prefix = route.path.substr(0, route.path.size() - 1);
    return path.starts_with(prefix) && path.size() > prefix.size();
  }
  return route.path == path;
}

struct Found {
  const Route* route = nullptr;
  std::string allowed;  ///< methods of the path, for 405 and OPTIONS; "": unknown path
};

Found find_route(std::string_view method, std::string_view path) {
  Found found;
  if (method == "HEAD") method = "GET";
  for (const Route& route : kRoutes) {
    if (!matches(route, path)) continue;
    if (route.method == method) found.route = &route;
    found.allowed += (found.allowed.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == "GET") found.allowed += ", HEAD";
  }
  if (!found.allowed.empty()) found.allowed += ", OPTIONS";
  return found;
}

bool has_key(const Api& api, const Request& request) {
  if (api.options.keys.empty()) return true;
  std::string_view given;
  constexpr std::string_view kBearer = "bearer ";
  if (const std::string* header = request.header("authorization")) {
    const std::string_view value = *header;
    if (equals_ignoring_case(value.substr(0, kBearer.size()), kBearer)) {
      given = value.substr(kBearer.size());
    }
  } else if (const std::string* key = request.header("x-api-key")) {
    given = *key;
  }
  bool found = false;
  for (const std::string& key : api.options.keys) found |= equals_in_constant_time(key, given);
  return found;
}

ApiError wrong_key(const Request& request) {
  const bool given = request.header("authorization") || request.header("x-api-key");
  return {.status = 401,
          .message = given ? "The API key is not known here."
                           : "An API key is needed: send 'Authorization: Bearer KEY'.",
          .code = "invalid_api_key"};
}

Response method_not_allowed(const Request& request, const std::string& allowed) {
  Response response =
      error_response({.status = 405,
                      .message = "Method " + request.method + " is not allowed for " +
                                 request.path + "; allowed: " + allowed,
                      .code = "method_not_allowed"});
  response.headers.emplace_back("Allow", allowed);
  return response;
}

std::optional<Response> refusal(const Api& api, const Request& request, const Found& found) {
  if (found.allowed.empty()) return error_response(unknown_url(request));
  const bool open = found.route && found.route->access == Access::kOpen;
  if (!open && !has_key(api, request)) return error_response(wrong_key(request));
  if (!found.route) return method_not_allowed(request, found.allowed);
  if (found.route->work == Work::kGeneration && api.stopping) {
    return error_response(server_stopping());
  }
  return std::nullopt;
}

/// Puts what every answer has on it and counts it when it is complete.
class CountedWriter final : public ResponseWriter {
 public:
  CountedWriter(Api& api, const Request& request, std::string endpoint, WriterPtr inner)
      : api_(api),
        request_id_(request.id),
        cors_(request.header("origin") ? api.options.cors_origin : ""),
        endpoint_(std::move(endpoint)),
        inner_(std::move(inner)),
        start_(std::chrono::steady_clock::now()) {
    ++api_.metrics.requests_in_flight;
  }
  /// A status of 499 counts requests whose client went away first.
  ~CountedWriter() override { count(status_ == 0 ? 499 : status_); }

  void send(Response response) override {
    const int status = response.status;
    inner_->send(with_headers(std::move(response)));
    count(status);
  }
  void start_stream(Response head, std::string keepalive) override {
    status_ = head.status;
    inner_->start_stream(with_headers(std::move(head)), std::move(keepalive));
  }
  void write(std::string chunk) override { inner_->write(std::move(chunk)); }
  void finish() override {
    inner_->finish();
    count(status_);
  }
  void on_client_gone(std::function<void()> callback) override {
    inner_->on_client_gone(std::move(callback));
  }
  void post(std::function<void()> task) override { inner_->post(std::move(task)); }

 private:
  Response with_headers(Response response) const {
    response.headers.emplace_back("x-request-id", request_id_);
    if (!cors_.empty()) {
      response.headers.emplace_back("Access-Control-Allow-Origin", cors_);
      response.headers.emplace_back("Access-Control-Expose-Headers", "x-request-id, retry-after");
      if (cors_ != "*") response.headers.emplace_back("Vary", "Origin");
    }
    return response;
  }
  void count(int status) {
    if (std::exchange(counted_, true)) return;
    --api_.metrics.requests_in_flight;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
    api_.metrics.request_done(endpoint_, status, took.count());
  }

  Api& api_;
  std::string request_id_, cors_, endpoint_;
  WriterPtr inner_;
  std::chrono::steady_clock::time_point start_;
  int status_ = 0;
  bool counted_ = false;
};

Response preflight(const Api& api, const Found& found) {
  Response response{
      .status = 204, .content_type = "", .headers = {{"Allow", found.allowed}}, .body = ""};
  if (!api.options.cors_origin.empty()) {
    response.headers.emplace_back("Access-Control-Allow-Methods", found.allowed);
    response.headers.emplace_back("Access-Control-Allow-Headers",
                                  "Authorization, Content-Type, x-api-key");
    response.headers.emplace_back("Access-Control-Max-Age", "86400");
  }
  return response;
}

}  // namespace

bool is_refused(const Api& api, const Request& head) {
  if (head.method == "OPTIONS") return false;
  return refusal(api, head, find_route(head.method, head.path)).has_value();
}

void dispatch(Api& api, const Request& request, WriterPtr writer) {
  const Found found = find_route(request.method, request.path);
  const std::string endpoint(found.route ? found.route->path : "other");
  auto counted = std::make_shared<CountedWriter>(api, request, endpoint, std::move(writer));
  if (request.method == "OPTIONS" && !found.allowed.empty()) {
    return counted->send(preflight(api, found));
  }
  if (auto response = refusal(api, request, found)) return counted->send(std::move(*response));
  found.route->handler(api, request, std::move(counted));
}

}  // namespace neuros::serve
