#pragma once

/// Errors in OpenAI's shape: {"error": {message, type, code, param}}.

#include "base/result.h"
#include "serve/http.h"

#include <optional>
#include <string>

namespace neuros::serve {

struct ApiError {
  int status = 400;
  std::string message{};
  std::string type = "invalid_request_error";
  std::string code{};   ///< "": null
  std::string param{};  ///< "messages[1].role"; "": null
  std::optional<int> retry_after_s{};
};

/// A field's value is wrong: 400, code invalid_value.
ApiError invalid_field(std::string param, std::string message);
/// A field asks for something this server does not do: 400, code unsupported.
ApiError unsupported_field(std::string param, std::string message);
ApiError model_not_found(const std::string& id);
/// What was asked of a model that failed at boot: 503, code model_failed.
ApiError model_failed(std::string message);
ApiError unknown_url(const Request& request);
/// The request's process could not start or failed: 400, 429 (queue full), 503 (stopping) or 500.
ApiError from_error(const base::Error& error);
ApiError server_stopping();

/// The error as a body: {"error": {...}}.
std::string error_json(const ApiError& error);
Response error_response(const ApiError& error);

}  // namespace neuros::serve
