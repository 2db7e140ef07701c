#include "serve/chat_messages.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

constexpr std::array<std::string_view, 8> kRoles = {"system", "developer", "user",    "assistant",
                                                    "tool",   "function",  "ipython", "model"};

void read_role(FieldReader& fields, const ModelFacts& model, Json& message) {
  const Json* role = fields.find("role");
  if (!role || !role->is_string() ||
      std::find(kRoles.begin(), kRoles.end(), role->get<std::string>()) == kRoles.end()) {
    return fields.fail_type("role", "one of system, developer, user, assistant, tool and function",
                            role ? *role : Json(nullptr));
  }
  // Few templates know OpenAI's newer name of the system role.
  if (*role == "developer" && model.chat_template.find("developer") == std::string::npos) {
    message["role"] = "system";
  }
}

/// One part's text; anything but text is refused.
std::string read_part(FieldReader& fields, const std::string& name, const Json& part) {
  const std::string path = fields.path_of(name);
  if (!part.is_object() || !part.contains("type") || !part["type"].is_string()) {
    fields.fail_type(name, "an object with a type", part);
    return "";
  }
  const auto type = part["type"].get<std::string>();
  const char* key = type == "refusal" ? "refusal" : "text";
  if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal") {
    fields.fail(unsupported_field(path, "'" + path + "' is of type " + shown(part["type"]) +
                                            ": this model reads text only."));
    return "";
  }
  const auto text = part.find(key);
  if (text == part.end() || !text->is_string()) {
    fields.fail_type(name + "." + key, "a string", text == part.end() ? Json(nullptr) : *text);
    return "";
  }
  return text->get<std::string>();
}

void read_content(FieldReader& fields, Json& message) {
  const Json* content = fields.find("content");
  if (!content) {
    if (fields.ok() && message["role"] != "assistant") {
      return fields.fail_type("content", "a string or an array of parts", Json(nullptr));
    }
    message["content"] = fields.find("tool_calls") ? Json(nullptr) : Json("");
    return;
  }
  if (content->is_string()) return;
  if (!content->is_array()) {
    return fields.fail_type("content", "a string or an array of parts", *content);
  }
  std::string joined;
  for (size_t i = 0; i < content->size() && fields.ok(); ++i) {
    if (i > 0) joined += '\n';
    joined += read_part(fields, "content[" + std::to_string(i) + "]", (*content)[i]);
  }
  message["content"] = joined;
}

/// OpenAI carries a call's arguments as text; templates print them as an object.
void open_tool_arguments(FieldReader& fields, Json& message) {
  if (!fields.find("tool_calls")) return;
  Json& calls = message["tool_calls"];
  if (!calls.is_array()) return fields.fail_type("tool_calls", "an array", calls);
  for (size_t i = 0; i < calls.size(); ++i) {
    Json& call = calls[i];
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) {
      return fields.fail_type("tool_calls[" + std::to_string(i) + "]", "an object with a function",
                              call);
    }
    Json& function = call["function"];
    if (!function.contains("arguments") || !function["arguments"].is_string()) continue;
    auto arguments = parse_json_body(function["arguments"].get<std::string>());
    if (arguments) function["arguments"] = std::move(*arguments);
  }
}

Json read_message(FieldReader& all, const Json& source, size_t i, const ModelFacts& model) {
  const std::string path = "messages[" + std::to_string(i) + "]";
  if (!source.is_object()) {
    all.fail_type(path, "an object", source);
    return {};
  }
  Json message = source;
  FieldReader fields(source, path);
  read_role(fields, model, message);
  read_content(fields, message);
  open_tool_arguments(fields, message);
  if (auto error = fields.error()) all.fail(std::move(*error));
  return message;
}

Json read_messages(FieldReader& fields, const ModelFacts& model) {
  Json messages = Json::array();
  const Json* source = fields.find("messages");
  if (!source || !source->is_array() || source->empty()) {
    fields.fail_type("messages", "an array of at least one message",
                     source ? *source : Json(nullptr));
    return messages;
  }
  for (size_t i = 0; i < source->size() && fields.ok(); ++i) {
    messages.push_back(read_message(fields, (*source)[i], i, model));
  }
  return messages;
}

/// Whether the template shows the tools. Forcing a call needs constrained answers: refused.
bool wants_tools(FieldReader& fields) {
  const Json* choice = fields.find("tool_choice");
  if (!choice || *choice == "auto") return true;
  if (*choice == "none") return false;
  if (*choice == "required" || choice->is_object()) {
    fields.fail(unsupported_field(
        "tool_choice", "'tool_choice' can be auto or none: this server cannot force a call yet."));
  } else {
    fields.fail_type("tool_choice", "auto, none, required or an object", *choice);
  }
  return false;
}

void read_tools(FieldReader& fields, Json& inputs) {
  for (const char* name : {"functions", "function_call"}) {
    if (fields.find(name)) {
      return fields.fail(unsupported_field(name, std::string("'") + name + "': use 'tools'."));
    }
  }
  const bool show = wants_tools(fields);
  const Json* tools = fields.find("tools");
  if (!tools) return;
  if (!tools->is_array()) return fields.fail_type("tools", "an array", *tools);
  for (size_t i = 0; i < tools->size(); ++i) {
    const Json& tool = (*tools)[i];
    if (!tool.is_object() || !tool.contains("function") || !tool["function"].is_object()) {
      return fields.fail_type("tools[" + std::to_string(i) + "]", "an object with a function",
                              tool);
    }
  }
  if (show && !tools->empty()) inputs["tools"] = *tools;
}

void read_template_variables(FieldReader& fields, Json& inputs) {
  std::optional<std::string> effort;
  fields.read("reasoning_effort", effort);
  if (effort) inputs["reasoning_effort"] = *effort;
  const Json* variables = fields.find("chat_template_kwargs");
  if (!variables) return;
  if (!variables->is_object()) {
    return fields.fail_type("chat_template_kwargs", "an object", *variables);
  }
  for (const auto& [key, value] : variables->items()) {
    if (key == "messages" || key == "tools") {
      return fields.fail(invalid_field("chat_template_kwargs." + key,
                                       "'chat_template_kwargs' cannot replace '" + key + "'."));
    }
    inputs[key] = value;
  }
}

}  // namespace

Json read_chat_inputs(FieldReader& fields, const ModelFacts& model) {
  Json inputs = Json::object();
  inputs["messages"] = read_messages(fields, model);
  read_tools(fields, inputs);
  bool generation_prompt = true;
  fields.read("add_generation_prompt", generation_prompt);
  inputs["add_generation_prompt"] = generation_prompt;
  for (const char* name : {"continue_final_message", "chat_template"}) {
    if (const Json* field = fields.find(name); field && *field != false) {
      fields.fail(unsupported_field(name, std::string("'") + name + "' is not supported."));
    }
  }
  read_template_variables(fields, inputs);
  return inputs;
}

}  // namespace neuros::serve
