/// GET /v1/models and /v1/models/{id}.

#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/json_body.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

/// In the words of other servers' lists of models.
const char* status_of(runtime::ModelState state) {
  switch (state) {
    case runtime::ModelState::kBooting:
      return "loading";
    case runtime::ModelState::kReady:
      return "loaded";
    case runtime::ModelState::kFailed:
      return "failed";
  }
  return "";
}

Json model_json(const ServedModel& model) {
  const ModelFacts& facts = model.facts();
  const runtime::ModelBoot boot = model.boot_state();
  Json out;
  out["id"] = facts.id;
  out["object"] = "model";
  out["created"] = facts.created_unix_s;
  out["owned_by"] = "neuros";
  out["status"] = status_of(boot.state);
  if (!boot.error.empty()) out["error"] = boot.error;
  out["max_model_len"] = facts.context;
  out["context_length"] = facts.context;
  out["architecture"] = {{"name", facts.architecture},
                         {"input_modalities", Json::array({"text"})},
                         {"output_modalities", Json::array({"text"})}};
  Json capabilities = Json::array({"completion"});
  if (!facts.chat_template.empty()) capabilities.push_back("chat");
  if (pipeline::reasoning_tags(facts.chat_template)) capabilities.push_back("reasoning");
  out["capabilities"] = std::move(capabilities);
  out["meta"] = {{"n_vocab", facts.vocabulary_size},
                 {"n_ctx", facts.context},
                 {"n_ctx_train", facts.context_trained},
                 {"size", facts.weight_bytes}};
  return out;
}

/// What everything that is asked by an id has.
Json entry_json(const std::string& id, int64_t created_unix_s, const char* kind) {
  Json out;
  out["id"] = id;
  out["object"] = "model";
  out["created"] = created_unix_s;
  out["owned_by"] = "neuros";
  out["kind"] = kind;
  return out;
}

Json pipeline_json(const PipelineFacts& facts) {
  Json out = entry_json(facts.id, facts.created_unix_s, "pipeline");
  out["stages"] = facts.stages;
  return out;
}

Json route_json(const ServedRoute& route) {
  return entry_json(route.id(), route.created_unix_s(), "route");
}

/// Null: there is none of this id.
Json find_json(const Backend& backend, const std::string& id) {
  if (const auto pipeline = find_pipeline(backend, id)) return pipeline_json(pipeline->facts());
  if (const auto route = find_route(backend, id)) return route_json(*route);
  if (const auto model = find_model(backend, id)) return model_json(*model);
  return nullptr;
}

}  // namespace

void list_models(Api& api, const Request&, WriterPtr writer) {
  Json body;
  body["object"] = "list";
  body["data"] = Json::array();
  for (const auto& pipeline : api.backend.pipelines()) {
    body["data"].push_back(pipeline_json(pipeline->facts()));
  }
  for (const auto& route : api.backend.routes()) body["data"].push_back(route_json(*route));
  for (const auto& model : api.backend.models()) body["data"].push_back(model_json(*model));
  writer->send(json_response(body));
}

void show_model(Api& api, const Request& request, WriterPtr writer) {
  const std::string id = request.path.substr(std::string_view("/v1/models/").size());
  const Json found = find_json(api.backend, id);
  if (found.is_null() || id.empty()) return writer->send(error_response(model_not_found(id)));
  writer->send(json_response(found));
}

}  // namespace neuros::serve
