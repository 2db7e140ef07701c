#pragma once

/// What every endpoint gets, and the endpoints. To add one: a file, its test, a row in routes.cc.

#include "serve/backend.h"
#include "serve/http.h"
#include "serve/server_metrics.h"

#include <atomic>
#include <string>
#include <vector>

namespace neuros::serve {

struct ApiOptions {
  std::vector<std::string> keys{};  ///< empty: no key needed
  std::string cors_origin{};        ///< "": no CORS; "*": any
};

struct Api {
  const Backend& backend;
  ApiOptions options;
  ServerMetrics metrics{};
  std::atomic<bool> stopping{false};  ///< new generations are refused
};

/// Of this build, in every answer as system_fingerprint.
const std::string& system_fingerprint();
int64_t unix_time_s();

// The endpoints. Each answers through the writer, now or later.
void home(Api& api, const Request& request, WriterPtr writer);
void health(Api& api, const Request& request, WriterPtr writer);
void ready(Api& api, const Request& request, WriterPtr writer);
void metrics_page(Api& api, const Request& request, WriterPtr writer);
void list_models(Api& api, const Request& request, WriterPtr writer);
void show_model(Api& api, const Request& request, WriterPtr writer);
void residency(Api& api, const Request& request, WriterPtr writer);
void chat_completions(Api& api, const Request& request, WriterPtr writer);
void completions(Api& api, const Request& request, WriterPtr writer);
void tokenize(Api& api, const Request& request, WriterPtr writer);
void detokenize(Api& api, const Request& request, WriterPtr writer);
void tokenizer_info(Api& api, const Request& request, WriterPtr writer);

}  // namespace neuros::serve
