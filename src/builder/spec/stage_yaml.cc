#include "builder/spec/stage_yaml.h"

#include "builder/spec/expression_parser.h"
#include "builder/spec/limits.h"
#include "builder/spec/nearest_name.h"
#include "builder/spec/pipeline_keys.h"
#include "builder/spec/quantity.h"
#include "formats/printable.h"

#include <algorithm>
#include <array>

namespace neuros::builder {
namespace {

constexpr std::array<std::string_view, 7> kToolKeys{"latency", "index",   "embed", "rerank",
                                                    "top",     "command", "args"};
constexpr std::array<std::string_view, 2> kAnswerKeys{"prompt", "max_output_tokens"};

std::string no_such(const char* what, const std::string& name,
                    const std::vector<std::string>& known) {
  return formats::printable(name, 64) + ": no such " + what + suggestion(name, known);
}

template <typename T>
std::vector<std::string> ids_of(const std::vector<T>& all) {
  std::vector<std::string> ids;
  for (const T& one : all) ids.push_back(one.id);
  return ids;
}

class StageReader {
 public:
  StageReader(const YamlValue& value, const KnownNames& names) : value_(value), names_(names) {}

  base::Result<StageSpec> read() {
    stage_.id = TRY(TRY(value_.required("id")).id());
    TRY(read_kind());
    TRY(read_inputs());
    TRY(read_conditions());
    TRY(read_limits());
    if (stage_.tool) TRY(read_tool());
    return std::move(stage_);
  }

 private:
  /// `run` or `tool`, and no key that belongs to the other.
  base::Result<> read_kind() {
    const auto run = value_.find("run"), tool = value_.find("tool");
    if (run.has_value() == tool.has_value()) {
      return value_.fail(run ? "has both run and tool" : "needs the key run or tool");
    }
    if (tool) {
      stage_.tool.emplace().name = TRY(tool->text(limits::kIdCharactersMax));
      return refuse(kAnswerKeys, "is for stages that run a model");
    }
    stage_.run = TRY(run->id_with_marks());
    TRY(refuse(kToolKeys, "is for tools"));
    const ModelSpec* model = names_.spec.find_model(stage_.run);
    if (model == nullptr && names_.spec.find_route(stage_.run) == nullptr) {
      std::vector<std::string> known = ids_of(names_.spec.models);
      for (const RouteSpec& route : names_.spec.routes) known.push_back(route.id);
      return run->fail(no_such("model or route", stage_.run, known));
    }
    if (model == nullptr || model->model_class == ModelClass::kLlm) return {};
    return refuse(kAnswerKeys, "is for models of class llm");
  }

  base::Result<> refuse(std::span<const std::string_view> keys, const std::string& reason) const {
    for (const std::string_view key : keys) {
      if (const auto found = value_.find(key)) return found->fail(reason);
    }
    return {};
  }

  base::Result<> read_inputs() {
    if (const auto in = value_.find("in")) {
      for (const YamlValue& item : TRY(in->one_or_list(limits::kListMax))) {
        Reference reference = TRY(item.parsed(parse_reference));
        TRY(check(item, reference));
        stage_.inputs.push_back(std::move(reference));
      }
    }
    if (const auto prompt = value_.find("prompt")) {
      TRY(prompt->text(limits::kPromptCharactersMax));
      stage_.prompt = TRY(prompt->parsed(parse_prompt_template));
      for (const Reference& reference : stage_.prompt->references()) {
        TRY(check(*prompt, reference));
      }
    }
    if (!stage_.tool && stage_.inputs.empty() && !stage_.prompt) {
      return value_.fail("needs the key in or prompt");
    }
    if (const auto after = value_.find("after")) stage_.after = TRY(stage_ids(*after));
    return {};
  }

  base::Result<> check(const YamlValue& value, const Reference& reference) const {
    const bool known = reference.is_request() || is_stage(reference.source);
    if (known) return {};
    return value.fail("$" + no_such("stage", reference.source, names_.stages));
  }

  bool is_stage(const std::string& id) const {
    return std::find(names_.stages.begin(), names_.stages.end(), id) != names_.stages.end();
  }

  base::Result<std::vector<std::string>> stage_ids(const YamlValue& value) const {
    std::vector<std::string> ids;
    for (const YamlValue& item : TRY(value.one_or_list(limits::kListMax))) {
      std::string id = TRY(item.id());
      if (!is_stage(id)) return item.fail(no_such("stage", id, names_.stages));
      ids.push_back(std::move(id));
    }
    return ids;
  }

  base::Result<Expression> condition(const YamlValue& value, ExpressionScope scope) const {
    TRY(value.text(limits::kTextCharactersMax));
    Expression expression = TRY(value.parsed(parse_expression, scope));
    for (const Reference& reference : expression.references()) TRY(check(value, reference));
    return expression;
  }

  base::Result<> read_conditions() {
    if (const auto when = value_.find("when")) {
      stage_.when = TRY(condition(*when, ExpressionScope::kWhen));
    }
    const auto loop = value_.find("loop");
    if (!loop) return {};
    TRY(loop->check_keys(keys::kLoop));
    LoopSpec& spec = stage_.loop.emplace();
    spec.until = TRY(condition(TRY(loop->required("until")), ExpressionScope::kUntil));
    const YamlValue max = TRY(loop->required("max"));
    spec.rounds_max = static_cast<int32_t>(TRY(max.integer(1, limits::kRoundsMax)));
    if (const auto with = loop->find("with")) spec.body = TRY(stage_ids(*with));
    return {};
  }

  base::Result<> read_limits() {
    if (const auto tokens = value_.find("max_input_tokens")) {
      stage_.input_tokens_max = TRY(tokens->parsed(parse_tokens));
    }
    if (const auto tokens = value_.find("max_output_tokens")) {
      stage_.output_tokens_max = TRY(tokens->parsed(parse_tokens));
    }
    if (const auto priority = value_.find("priority")) {
      stage_.priority = TRY(read_priority(*priority));
    }
    return {};
  }

  base::Result<> read_tool() {
    ToolSpec& tool = *stage_.tool;
    if (const auto latency = value_.find("latency")) {
      tool.latency = TRY(latency->parsed(parse_latency));
    }
    if (const auto index = value_.find("index")) {
      tool.index = TRY(index->text(limits::kTextCharactersMax));
    }
    tool.embed = TRY(model_for_tool("embed", ModelClass::kEmbed));
    tool.rerank = TRY(model_for_tool("rerank", ModelClass::kRerank));
    if (const auto top = value_.find("top")) {
      tool.top = static_cast<int32_t>(TRY(top->integer(1, limits::kTopMax)));
    }
    if (const auto command = value_.find("command")) tool.command = TRY(words(*command));
    if (const auto args = value_.find("args")) TRY(read_arguments(*args));
    if (tool.name == "retrieve") TRY(value_.required("index"));
    if (tool.name == "exec") TRY(value_.required("command"));
    return {};
  }

  base::Result<std::string> model_for_tool(std::string_view key, ModelClass wanted) const {
    const auto value = value_.find(key);
    if (!value) return std::string();
    std::string id = TRY(value->id_with_marks());
    const ModelSpec* model = names_.spec.find_model(id);
    if (model == nullptr) return value->fail(no_such("model", id, ids_of(names_.spec.models)));
    if (model->model_class != wanted) {
      return value->fail(id + " is of class " + std::string(name(model->model_class)) +
                         ", expected " + std::string(name(wanted)));
    }
    return id;
  }

  static base::Result<std::vector<std::string>> words(const YamlValue& value) {
    std::vector<std::string> all;
    for (const YamlValue& item : TRY(value.list(1, limits::kListMax))) {
      all.push_back(TRY(item.text(limits::kTextCharactersMax)));
    }
    return all;
  }

  base::Result<> read_arguments(const YamlValue& value) {
    for (const NamedYamlValue& entry : TRY(value.entries(0, limits::kArgumentsMax))) {
      Argument argument = TRY(read_argument(entry.value));
      stage_.tool->arguments.push_back({entry.name, std::move(argument)});
    }
    return {};
  }

  static base::Result<Argument> read_argument(const YamlValue& value) {
    switch (value.node().kind) {
      case YamlNode::Kind::kBoolean:
        return Argument(TRY(value.boolean()));
      case YamlNode::Kind::kInteger:
        return Argument(TRY(value.integer(INT64_MIN, INT64_MAX)));
      case YamlNode::Kind::kFloat:
        return Argument(TRY(value.number()));
      case YamlNode::Kind::kList:
        return Argument(TRY(words(value)));
      default:
        return Argument(TRY(value.text(limits::kTextCharactersMax)));
    }
  }

  const YamlValue& value_;
  const KnownNames& names_;
  StageSpec stage_;
};

}  // namespace

base::Result<std::string> read_stage_id(const YamlValue& value) {
  TRY(value.check_keys(keys::kStage));
  const YamlValue id_value = TRY(value.required("id"));
  std::string id = TRY(id_value.id());
  if (id == "request") return id_value.fail("request is what a stage is given, not its id");
  return id;
}

base::Result<StageSpec> read_stage(const YamlValue& value, const KnownNames& names) {
  return StageReader(value, names).read();
}

base::Result<sched::Priority> read_priority(const YamlValue& value) {
  return static_cast<sched::Priority>(TRY(value.choice(kPriorityNames)));
}

}  // namespace neuros::builder
