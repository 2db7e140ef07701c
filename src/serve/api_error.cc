#include "serve/api_error.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

}  // namespace

ApiError invalid_field(std::string param, std::string message) {
  return {.message = std::move(message), .code = "invalid_value", .param = std::move(param)};
}

ApiError unsupported_field(std::string param, std::string message) {
  return {.message = std::move(message), .code = "unsupported", .param = std::move(param)};
}

ApiError model_not_found(const std::string& id) {
  return {.status = 404,
          .message = "The model '" + id + "' does not exist; GET /v1/models lists those served.",
          .code = "model_not_found",
          .param = "model"};
}

ApiError model_failed(std::string message) {
  return {
      .status = 503, .message = std::move(message), .type = "server_error", .code = "model_failed"};
}

ApiError unknown_url(const Request& request) {
  return {.status = 404,
          .message = "Unknown request URL: " + request.method + " " + request.path,
          .code = "unknown_url"};
}

ApiError from_error(const base::Error& error) {
  switch (error.kind) {
    case base::ErrorKind::kUnavailable:
      return {.status = 429,
              .message = error.message,
              .type = "rate_limit_error",
              .code = "queue_full",
              .retry_after_s = 1};
    case base::ErrorKind::kBroken:
      return model_failed(error.message);
    case base::ErrorKind::kInvalid:
    case base::ErrorKind::kNotFound:
      return {.message = error.message};
    case base::ErrorKind::kUnsupported:
      return {.message = error.message, .code = "unsupported"};
    default:
      return {.status = 500,
              .message = error.message,
              .type = "server_error",
              .code = "internal_error"};
  }
}

ApiError server_stopping() {
  return {.status = 503,
          .message = "The server is stopping and takes no new work.",
          .type = "server_error",
          .code = "server_stopping",
          .retry_after_s = 5};
}

std::string error_json(const ApiError& error) {
  Json body;
  body["error"] = {{"message", error.message},
                   {"type", error.type},
                   {"code", text_or_null(error.code)},
                   {"param", text_or_null(error.param)}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Response error_response(const ApiError& error) {
  Response response{.status = error.status, .headers = {}, .body = error_json(error)};
  if (error.retry_after_s) {
    response.headers.emplace_back("Retry-After", std::to_string(*error.retry_after_s));
    response.headers.emplace_back("retry-after-ms", std::to_string(*error.retry_after_s * 1000));
  }
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace neuros::serve
