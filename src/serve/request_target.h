#pragma once

/// Whom a completion request is for: a model, by its own id or through a route, or a pipeline.

#include "serve/backend.h"
#include "serve/field_reader.h"

#include <functional>
#include <memory>
#include <string>

namespace neuros::serve {

/// What routes look at. Where a body is malformed its texts are empty: whoever reads it for good
/// says so.
struct RequestTexts {
  std::string prompt;   ///< the last user message
  std::string context;  ///< the whole conversation
};
RequestTexts chat_texts(const Json& body);
RequestTexts completion_texts(const Json& body);

/// Either the model or the pipeline is there.
struct RequestTarget {
  std::shared_ptr<ServedModel> model{};
  std::shared_ptr<ServedRoute> route{};  ///< that gave the model; null: it was asked for by its id
  std::shared_ptr<ServedPipeline> pipeline{};
};

/// The target that `model` names; absent: the default. 404 if there is none.
tl::expected<RequestTarget, ApiError> read_target(const Backend& backend, FieldReader& fields,
                                                  const std::function<RequestTexts()>& texts);

}  // namespace neuros::serve
