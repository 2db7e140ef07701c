#pragma once

/// From the messages and tools of a chat request to the inputs of a chat template.

#include "serve/backend.h"
#include "serve/field_reader.h"

namespace neuros::serve {

/// Reads messages, tools, tool_choice, chat_template_kwargs, reasoning_effort and
/// add_generation_prompt into an object for ServedModel::chat_prompt(). Text parts of a message are
/// joined by newlines; image and audio parts are refused by name. Errors stay in `fields`.
Json read_chat_inputs(FieldReader& fields, const ModelFacts& model);

}  // namespace neuros::serve
