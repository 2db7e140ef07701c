/// docs/formats/pipeline.schema.json and docs/formats/pipeline.md say what the parser does.

#include "builder/spec/pipeline_keys.h"
#include "builder/spec/pipeline_spec.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/spec/testing/json_schema.h"
#include "builder/spec/testing/pipeline_samples.h"
#include "builder/spec/yaml_document.h"
#include "builder/type_mix.h"

#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::builder {
namespace {

using nlohmann::json;

std::string read_document(const std::string& name) {
  std::ifstream file(std::string(NEUROS_SOURCE_DIR) + "/docs/formats/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const json& schema() {
  static const json parsed = json::parse(read_document("pipeline.schema.json"));
  return parsed;
}

/// What an editor would check against the schema.
json json_of(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return nullptr;
    case YamlNode::Kind::kText:
      return node.text;
    case YamlNode::Kind::kBoolean:
      return node.text.starts_with('t') || node.text.starts_with('T');
    case YamlNode::Kind::kInteger:
    case YamlNode::Kind::kFloat:
      return json::parse(node.text);
    case YamlNode::Kind::kList: {
      json list = json::array();
      for (const auto& item : node.items) list.push_back(json_of(*item));
      return list;
    }
    case YamlNode::Kind::kMapping: {
      json mapping = json::object();
      for (const auto& entry : node.entries) mapping[entry.key] = json_of(*entry.value);
      return mapping;
    }
  }
  return nullptr;
}

std::string schema_error_of(const std::string& yaml) {
  return testing::schema_error(schema(), json_of(*parse_yaml(yaml).value()));
}

std::set<std::string> texts_of(const json& list) {
  return list.get<std::set<std::string>>();
}

template <typename Names>
std::set<std::string> set_of(const Names& names) {
  return {names.begin(), names.end()};
}

TEST(PipelineSchema, HasTheParsersKeysAndNoOther) {
  for (const keys::Section& section : keys::kSections) {
    std::set<std::string> listed;
    for (const auto& [key, rule] : schema()["$defs"][section.name]["properties"].items()) {
      listed.insert(key);
    }
    EXPECT_EQ(listed, set_of(section.keys)) << section.name;
    EXPECT_EQ(schema()["$defs"][section.name]["additionalProperties"], false) << section.name;
  }
}

TEST(PipelineSchema, HasTheParsersChoices) {
  const json& model = schema()["$defs"]["model"]["properties"];
  EXPECT_EQ(texts_of(model["class"]["enum"]), set_of(kModelClassNames));
  EXPECT_EQ(texts_of(model["residency"]["enum"]), set_of(kTierNames));
  EXPECT_EQ(texts_of(schema()["$defs"]["memory"]["properties"]["boot"]["enum"]),
            set_of(sched::kBootModeNames));
  EXPECT_EQ(texts_of(schema()["$defs"]["priority"]["enum"]), set_of(kPriorityNames));
  std::set<std::string> types = set_of(type_mix_names());
  types.insert({"q4_k", "q5_k"});
  EXPECT_EQ(texts_of(schema()["$defs"]["precision"]["enum"]), types);
}

TEST(PipelineSchema, EveryKeyIsInTheDocument) {
  const std::string document = read_document("pipeline.md");
  for (const keys::Section& section : keys::kSections) {
    for (const std::string_view key : section.keys) {
      const bool described = document.find("`" + std::string(key) + "`") != std::string::npos ||
                             document.find(std::string(key) + ": ") != std::string::npos;
      EXPECT_TRUE(described) << section.name << "." << key;
    }
  }
}

TEST(PipelineSchema, TheDocumentsExamplesFit) {
  const std::string document = read_document("pipeline.md");
  int count = 0;
  for (size_t at = document.find("```yaml\nm"); at != std::string::npos || count == 0;) {
    if (count++ == 0) at = document.find("```yaml\n");
    const size_t begin = document.find('\n', at) + 1;
    const std::string yaml = document.substr(begin, document.find("```", begin) - begin);
    const auto spec = parse_pipeline(yaml, "pipeline.md");
    EXPECT_TRUE(spec.has_value()) << spec.error().message;
    EXPECT_EQ(schema_error_of(yaml), "");
    at = document.find("```yaml\nm", begin);
  }
  EXPECT_EQ(count, 2);
}

/// Keys of a model and of stage `s` beside what must be there.
std::string with_model(const std::string& keys) {
  return "models: {m: {file: a, " + keys + "}}\n";
}
std::string with_stage(const std::string& keys) {
  return "models: {m: {file: a}, e: {file: e, class: embed}}\n"
         "stages: [{id: t, tool: t}, {id: s, " +
         keys + "}]\n";
}
std::string with_top(const std::string& keys) {
  return "models: {m: {file: a}}\n" + keys + "\n";
}

TEST(PipelineSchema, BothAccept) {
  for (const std::string& yaml :
       {testing::kVoiceAssistant,
        testing::kEverything,
        with_model("context: 8k"),
        with_model("context: '007k'"),
        with_model("context: 8388608"),
        with_model("scratch: 0"),
        with_model("scratch: 1.5gib"),
        with_model("scratch: 5.B"),
        with_model("precision: [q5_k]"),
        with_model("precision: [q8_0, q4_k], calibration: a.txt"),
        with_stage("run: m, in: $t"),
        with_stage("run: m, prompt: x"),
        with_stage("tool: x, latency: 5-20ms"),
        with_stage("tool: x, latency: 0us-1.5min"),
        with_stage("tool: x, args: {a: 1, b: 1.5, c: [x], d: y, e: true}"),
        with_stage("tool: x, args: {}"),
        with_stage("tool: x, in: [$t.a, $request]"),
        with_top("slo: {}"),
        with_top("stages: []"),
        with_top("slo: {tokens_per_s: 0.5}")}) {
    const auto spec = parse_pipeline(yaml, "p.yaml");
    EXPECT_TRUE(spec.has_value()) << spec.error().message << "\n" << yaml;
    EXPECT_EQ(schema_error_of(yaml), "") << yaml;
  }
}

TEST(PipelineSchema, BothRefuseModelsAndTheRest) {
  for (const std::string& yaml : {std::string("[]"),
                                  std::string("models: {}"),
                                  std::string("models: {m: {}}"),
                                  std::string("models: {m: {file: 5}}"),
                                  std::string("models: {m: {file: ''}}"),
                                  std::string("models: {9: {file: a}}"),
                                  std::string("models: {m: {file: }}"),
                                  "models: {m: {file: " + std::string(4097, 'a') + "}}",
                                  "models: {" + std::string(65, 'm') + ": {file: a}}",
                                  with_model("x: 1"),
                                  with_model("class: lm"),
                                  with_model("context: 0"),
                                  with_model("context: 8388609"),
                                  with_model("context: 1.5"),
                                  with_model("context: -k"),
                                  with_model("context: true"),
                                  with_model("context_min: 5"),
                                  with_model("precision: Q8_0"),
                                  with_model("precision: []"),
                                  with_model("calibration: a.txt"),
                                  with_model("precision: q8_0, calibration: a.txt"),
                                  with_model("precision: [q8_0], calibration: a.txt"),
                                  with_model("precision: [q8_0, q4_k], calibration: 5"),
                                  with_model("parallel: 0"),
                                  with_model("parallel: 4097"),
                                  with_model("parallel: x"),
                                  with_model("kv: q8_0"),
                                  with_model("scratch: -1"),
                                  with_model("scratch: 1.5"),
                                  with_model("scratch: 4 GB"),
                                  with_model("scratch: GB"),
                                  with_model("pin: 1"),
                                  with_model("residency: ram"),
                                  with_model("priority: high"),
                                  with_top("memory: []"),
                                  with_top("memory: {ram: 1}"),
                                  with_top("memory: {boot: lazy}"),
                                  with_top("memory: {boot: true}"),
                                  with_top("slo: {ttft_p99: 5}"),
                                  with_top("slo: {ttft_p99: 5h}"),
                                  with_top("slo: {tokens_per_s: 0}"),
                                  with_top("slo: {tokens_per_s: 2e9}"),
                                  with_top("routes: {r: 5}"),
                                  with_top("name: a b"),
                                  with_top("stages: {}")}) {
    EXPECT_FALSE(parse_pipeline(yaml, "p.yaml").has_value()) << yaml;
    EXPECT_NE(schema_error_of(yaml), "") << yaml;
  }
}

TEST(PipelineSchema, BothRefuseStages) {
  for (const std::string& yaml : {with_stage("in: $t"),
                                  with_stage("run: m"),
                                  with_stage("run: m, tool: t, in: $t"),
                                  with_stage("run: m, in: $t, top: 1"),
                                  with_stage("run: m, in: t"),
                                  with_stage("run: m, in: []"),
                                  with_stage("run: m, in: $t, priority: 1"),
                                  with_stage("tool: x, prompt: y"),
                                  with_stage("tool: x, top: 0"),
                                  with_stage("tool: x, latency: 5"),
                                  with_stage("tool: x, latency: 5-20"),
                                  with_stage("tool: x, command: []"),
                                  with_stage("tool: x, command: a"),
                                  with_stage("tool: x, args: {a: {}}"),
                                  with_stage("tool: x, args: {a: []}"),
                                  with_stage("tool: x, args: {a: [1]}"),
                                  with_stage("tool: x, after: 5"),
                                  with_stage("tool: x, when: true"),
                                  with_stage("tool: x, loop: {until: $s}"),
                                  with_stage("tool: x, loop: {until: $s, max: 0}"),
                                  with_stage("tool: x, loop: {until: $s, max: 1, for: 2}"),
                                  with_top("stages: [{tool: x}]"),
                                  with_top("stages: [{id: request, tool: x}]"),
                                  with_top("stages: [{id: a-b, tool: x}]")}) {
    EXPECT_FALSE(parse_pipeline(yaml, "p.yaml").has_value()) << yaml;
    EXPECT_NE(schema_error_of(yaml), "") << yaml;
  }
}

/// What a schema cannot say, as the document admits.
TEST(PipelineSchema, TheParserAloneRefuses) {
  for (const std::string& yaml :
       {with_model("context: 9999k"), with_model("context: 4k, context_min: 8k"),
        with_model("precision: [q4_k, q4_k_m]"), with_model("pin: true, residency: disk"),
        with_stage("run: x, in: $t"), with_stage("run: e, prompt: x"),
        with_stage("tool: x, in: $u"), with_stage("tool: x, in: $s"),
        with_stage("tool: x, when: 'latency < 5'"), with_stage("tool: x, latency: 20-5ms"),
        with_stage("tool: retrieve"), with_top("routes: {m: 'else -> m'}"),
        with_top("routes: {r: 'else -> x'}")}) {
    EXPECT_FALSE(parse_pipeline(yaml, "p.yaml").has_value()) << yaml;
    EXPECT_EQ(schema_error_of(yaml), "") << yaml;
  }
}

}  // namespace
}  // namespace neuros::builder
