/// GET /health: the process answers. GET /ready: it also takes work. Both say how many models are
/// ready, on their way, and failed; a server starts with the first that is ready.

#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/json_body.h"

#include <array>
#include <string>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

Json state_json(const char* status, const Backend& backend) {
  std::array<int, runtime::kModelStateNames.size()> counts{};
  for (const auto& model : backend.models()) {
    ++counts[static_cast<size_t>(model->boot_state().state)];
  }
  Json out;
  out["status"] = status;
  for (size_t i = 0; i < counts.size(); ++i) {
    out["models"][std::string(runtime::kModelStateNames[i])] = counts[i];
  }
  return out;
}

}  // namespace

void health(Api& api, const Request&, WriterPtr writer) {
  writer->send(json_response(state_json("ok", api.backend)));
}

void ready(Api& api, const Request&, WriterPtr writer) {
  if (api.stopping) return writer->send(error_response(server_stopping()));
  writer->send(json_response(state_json("ready", api.backend)));
}

}  // namespace neuros::serve
