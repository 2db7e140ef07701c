/// GET /v1/models and /v1/models/{id}.

#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/json_body.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

Json model_json(const ModelFacts& facts) {
  Json out;
  out["id"] = facts.id;
  out["object"] = "model";
  out["created"] = facts.created_unix_s;
  out["owned_by"] = "neuros";
  out["status"] = "loaded";
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

}  // namespace

void list_models(Api& api, const Request&, WriterPtr writer) {
  Json body;
  body["object"] = "list";
  body["data"] = Json::array();
  for (const auto& model : api.backend.models()) body["data"].push_back(model_json(model->facts()));
  writer->send(json_response(body));
}

void show_model(Api& api, const Request& request, WriterPtr writer) {
  const std::string id = request.path.substr(std::string_view("/v1/models/").size());
  const auto model = find_model(api.backend, id);
  if (!model || id.empty()) return writer->send(error_response(model_not_found(id)));
  writer->send(json_response(model_json(model->facts())));
}

}  // namespace neuros::serve
