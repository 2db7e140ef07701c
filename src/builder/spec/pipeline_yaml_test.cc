#include "builder/spec/pipeline_yaml.h"

#include "base/testing/temporary_directory.h"
#include "builder/spec/pipeline_writer.h"
#include "builder/spec/testing/pipeline_samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kEverything;
using testing::kVoiceAssistant;
using ::testing::StartsWith;

std::string error_of(const std::string& yaml) {
  const auto spec = parse_pipeline(yaml, "p.yaml");
  return spec ? "no error" : spec.error().message;
}

/// A whole specification with two models, a tool stage `t` and one line more.
std::string error_of_stage(const std::string& stage) {
  return error_of(
      "models: {m: {file: m}, e: {file: e, class: embed}}\nstages:\n"
      "  - {id: t, tool: t, in: $request}\n  - {id: s, " +
      stage + "}\n");
}

std::string error_of_model(const std::string& keys) {
  return error_of("models:\n  llm: { file: m, " + keys + " }\n");
}

TEST(PipelineYaml, ReadsTheVoiceAssistant) {
  const auto spec = parse_pipeline(kVoiceAssistant, "p.yaml");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->name, "assistant");
  ASSERT_EQ(spec->models.size(), 4u);
  EXPECT_EQ(spec->models[0].model_class, ModelClass::kSpeech);
  EXPECT_EQ(spec->models[0].scratch_bytes, 4'000'000'000);
  const ModelSpec& llm = spec->models[3];
  EXPECT_EQ(llm.context, 8192);
  EXPECT_EQ(llm.context_min, 4096);
  EXPECT_THAT(llm.precision, ElementsAre("bf16", "q8_0", "q4_k_m"));
  EXPECT_EQ(llm.priority, sched::Priority::kCritical);
  EXPECT_EQ(spec->memory.device, 24'000'000'000);
  EXPECT_EQ(spec->memory.pinned, int64_t{32} << 30);
  ASSERT_EQ(spec->stages.size(), 4u);
  EXPECT_THAT(spec->stages[0].inputs, ElementsAre(Reference{"request", "audio"}));
  const StageSpec& docs = spec->stages[1];
  EXPECT_EQ(docs.tool->latency, (LatencyRange{5000, 20'000}));
  EXPECT_EQ(docs.tool->top, 4);
  EXPECT_THAT(spec->models_of(docs), ElementsAre("find", "rank"));
  EXPECT_EQ(spec->stages[2].output_tokens_max, 512);
  EXPECT_THAT(spec->stages[3].tool->command, ElementsAre("espeak-ng", "--stdout"));
  EXPECT_EQ(spec->slo.ttft_us_p99, 500'000);
}

TEST(PipelineYaml, ReadsEveryKey) {
  const auto spec = parse_pipeline(kEverything, "p.yaml");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  const ModelSpec& a = spec->models[0];
  EXPECT_EQ(a.file, "a b.gguf");
  EXPECT_EQ(a.calibration, "notes/what it is for.txt");
  EXPECT_EQ(a.kv_dtype, base::DType::kBF16);
  EXPECT_TRUE(a.pin);
  EXPECT_EQ(a.residency, Tier::kDevice);
  EXPECT_EQ(spec->memory.pageable, 1'500'000'000);
  EXPECT_EQ(spec->memory.boot, sched::BootMode::kOnDemand);
  EXPECT_EQ(spec->routes[0].branches.size(), 2u);
  EXPECT_EQ(spec->routes[0].otherwise, "a");
  const StageSpec& plan = spec->stages[0];
  EXPECT_THAT(spec->models_of(plan), ElementsAre("a", "b-1"));
  EXPECT_THAT(plan.loop->body, ElementsAre("call", "look"));
  const ToolSpec& call = *spec->stages[1].tool;
  EXPECT_THAT(call.arguments,
              ElementsAre(NamedArgument{"deep", true}, NamedArgument{"n", int64_t{3}},
                          NamedArgument{"rate", 0.5}, NamedArgument{"whole", 2.0},
                          NamedArgument{"name", std::string("5")},
                          NamedArgument{"list", std::vector<std::string>{"a", "b c"}}));
  EXPECT_EQ(spec->stages[2].tool->latency, (LatencyRange{1'500'000, 1'500'000}));
  EXPECT_EQ(spec->slo.token_us_p50, 900);
  EXPECT_EQ(spec->slo.tokens_per_s, 2500.0);
}

TEST(PipelineYaml, WhatIsWrittenReadsBackAsTheSame) {
  for (const std::string& yaml : {kVoiceAssistant, kEverything}) {
    const auto spec = parse_pipeline(yaml, "p.yaml");
    ASSERT_TRUE(spec.has_value()) << spec.error().message;
    const std::string written = to_yaml(*spec);
    const auto again = parse_pipeline(written, "written.yaml");
    ASSERT_TRUE(again.has_value()) << again.error().message << "\n" << written;
    EXPECT_EQ(*again, *spec) << written;
  }
}

TEST(PipelineYaml, ReadsFiles) {
  const base::testing::TemporaryDirectory directory;
  EXPECT_TRUE(load_pipeline(directory.write("a.yaml", kVoiceAssistant)).has_value());
  const std::string bad = directory.write("b.yaml", "models: {}\n");
  EXPECT_EQ(load_pipeline(bad).error().message, bad + ":1:9: models: 0 entries, expected 1 to 64");
  EXPECT_EQ(load_pipeline(directory.file("none.yaml")).error().kind, base::ErrorKind::kNotFound);
}

TEST(PipelineYaml, AnchorsStandForTheirValues) {
  const auto spec =
      parse_pipeline("models:\n  a: &model {file: m, context: 4k}\n  b: *model\n", "p.yaml");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->models[1].context, 4096);
}

TEST(PipelineYaml, EscapesAreCharacters) {
  const auto spec = parse_pipeline(
      "models: {m: {file: \"\\_a\\N\\u00a0\u00e9\\N\\_\\L\\P\\U0001f600\\x85\"}}", "p.yaml");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->models[0].file,
            "\u00a0a\u0085\u00a0\u00e9\u0085\u00a0\u2028\u2029\U0001f600\u0085");
  const auto again = parse_pipeline(to_yaml(*spec), "again.yaml");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(*again, *spec);
}

TEST(PipelineYamlErrors, QuotesThatDoNotEnd) {
  for (const std::string quote : {"\"", "'"}) {
    const std::string open = "models:\n  m:\n    file: " + quote + "a";
    for (const std::string end : {"\n", "\n\n", "\n  b: c\n", " # it\n", "\r\n"}) {
      EXPECT_EQ(error_of(open + end), "p.yaml:3:11: not YAML: a quoted text that does not end");
    }
    EXPECT_EQ(error_of(open), "p.yaml:3:13: not YAML: illegal EOF in scalar");
  }
}

TEST(PipelineYamlErrors, WholeFiles) {
  EXPECT_EQ(error_of(""), "p.yaml:1:1: empty");
  EXPECT_EQ(error_of("# nothing\n"), "p.yaml:1:1: empty");
  EXPECT_EQ(error_of("---\n...\n"), "p.yaml:1:1: empty");
  EXPECT_EQ(error_of("- a\n"), "p.yaml:1:1: a list, expected a mapping");
  EXPECT_EQ(error_of("models: {\n"), "p.yaml:2:1: not YAML: end of map flow not found");
  EXPECT_EQ(error_of("models: *x\n"), "p.yaml:1:9: not YAML: the referenced anchor is not defined");
  EXPECT_EQ(error_of("name: a\xff\n"), "p.yaml:1:8: not UTF-8");
  EXPECT_EQ(error_of("a: b\nc: \x04\n"), "p.yaml:2:4: control character \\x04");
  EXPECT_EQ(error_of("models: {m: {file: m}}\n---\nname: a\n"), "p.yaml:2:1: a second document");
  EXPECT_EQ(error_of("name: !!str a\n"),
            "p.yaml:1:7: tag tag:yaml.org,2002:str, which is not supported");
  EXPECT_EQ(error_of("a: &x [*x]\n"), "p.yaml:1:8: an alias inside its own anchor");
  EXPECT_EQ(error_of("? [a]\n: b\n"), "p.yaml:1:3: a key that is not a text");
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, '#')),
            "p.yaml:1:1: 1048577 bytes, at most 1048576");
}

TEST(PipelineYamlErrors, BombsEndEarly) {
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) laughs += (j == 0 ? "" : ", ") + before;
    laughs += "]\n";
  }
  EXPECT_THAT(error_of(laughs), HasSubstr(": more than 65536 values"));
  EXPECT_EQ(error_of("a: " + std::string(30, '[') + std::string(30, ']')),
            "p.yaml:1:19: nested deeper than 16 levels");
  std::string deep = "a: &b " + std::string(10, '[') + std::string(10, ']') + "\nc: ";
  EXPECT_EQ(error_of(deep + "[[[[[[[*b]]]]]]]"), "p.yaml:2:11: nested deeper than 16 levels");
  for (const char c : {'[', '{', '-', '?', '&', '*', '!'}) {
    EXPECT_THAT(error_of(std::string(100'000, c)), StartsWith("p.yaml:1:")) << c;
  }
  std::string blocks;
  for (int i = 0; i < 1000; ++i) blocks += "- ";
  EXPECT_THAT(error_of(blocks + "a"), HasSubstr("nested deeper than 16"));
}

TEST(PipelineYamlErrors, Keys) {
  EXPECT_EQ(error_of("name: a\n"), "p.yaml:1:1: needs the key models");
  EXPECT_EQ(error_of("modles: {}\n"), "p.yaml:1:1: modles: unknown key, did you mean models?");
  EXPECT_EQ(error_of("models:\n  m:\n    file: a\n    contxt: 5\n"),
            "p.yaml:4:5: models.m.contxt: unknown key, did you mean context?");
  EXPECT_EQ(error_of("models: {m: {file: a}}\nmemory: {ram: 5}\n"),
            "p.yaml:2:10: memory.ram: unknown key");
  EXPECT_EQ(error_of("models:\n  m: {file: a}\nname: x\nmodels: {}\n"),
            "p.yaml:4:1: models: key twice, first on line 1");
  EXPECT_EQ(error_of("models: {m: {}}\n"), "p.yaml:1:13: models.m: needs the key file");
  EXPECT_EQ(error_of("models: {m: {file: }}\n"),
            "p.yaml:1:14: models.m.file: nothing, expected text");
  EXPECT_EQ(
      error_of("models: {9m: {file: a}}\n"),
      "p.yaml:1:10: models.9m: expected a letter or _, then letters, digits, _ - ., at most 64");
  EXPECT_EQ(error_of("models: {m: {file: a}}\nname: a b\n"),
            "p.yaml:2:7: name: a b, expected a letter or _, then letters, digits, _ - .");
  EXPECT_EQ(error_of("models: {m: {file: a}}\nmemory: {boot: on_demand}\n"),
            "p.yaml:2:16: memory.boot: on_demand, expected eager or on-demand, did you mean "
            "on-demand?");
  EXPECT_EQ(error_of("models: {m: {file: a}}\nmemory: 5\n"),
            "p.yaml:2:9: memory: number 5, expected a mapping");
  EXPECT_EQ(error_of("models: {m: {file: a}}\nstages: a\n"),
            "p.yaml:2:9: stages: a, expected a list");
}

TEST(PipelineYamlErrors, Models) {
  EXPECT_EQ(error_of("models: {m: {file: 5}}\n"),
            "p.yaml:1:20: models.m.file: number 5, expected text (quote it)");
  EXPECT_EQ(error_of("models: {m: {file: ''}}\n"), "p.yaml:1:20: models.m.file: an empty text");
  EXPECT_EQ(error_of_model("context: 8193k"),
            "p.yaml:2:28: models.llm.context: 8193k, expected 1 to 8192k tokens");
  for (const char* tokens : {"0", "-1", "1.5", "8K", "x", "99999999999999999999", "9000000"}) {
    EXPECT_THAT(error_of_model("context: " + std::string(tokens)),
                HasSubstr(std::string(tokens) + ", expected 1 to 8192k tokens"));
  }
  EXPECT_EQ(error_of_model("context: [1]"),
            "p.yaml:2:28: models.llm.context: a list, expected a text or a number");
  EXPECT_EQ(error_of_model("context: 4k, context_min: 5000"),
            "p.yaml:2:45: models.llm.context_min: 5000, more than context 4k");
  EXPECT_EQ(error_of_model("context_min: 5000"),
            "p.yaml:2:32: models.llm.context_min: needs the key context beside it");
  EXPECT_EQ(error_of_model("class: lm"),
            "p.yaml:2:26: models.llm.class: lm, expected llm, embed, rerank or speech, did you "
            "mean llm?");
  EXPECT_EQ(error_of_model("precision: q8"),
            "p.yaml:2:30: models.llm.precision: q8: no such type, did you mean q8_0?");
  EXPECT_EQ(error_of_model("precision: [q4_k, q4_k_m]"),
            "p.yaml:2:37: models.llm.precision[1]: q4_k_m twice");
  EXPECT_EQ(error_of_model("precision: []"),
            "p.yaml:2:30: models.llm.precision: 0 entries, expected 1 to 16");
  EXPECT_EQ(error_of_model("precision: [bf16, q8_0], calibration: 5"),
            "p.yaml:2:57: models.llm.calibration: number 5, expected text (quote it)");
  EXPECT_EQ(error_of_model("precision: [bf16, q8_0], calibration: ''"),
            "p.yaml:2:57: models.llm.calibration: an empty text");
  for (const char* keys : {"calibration: a.txt", "calibration: a.txt, precision: q8_0"}) {
    EXPECT_EQ(error_of_model(keys),
              "p.yaml:2:32: models.llm.calibration: needs the key precision beside it, with two "
              "types to choose from");
  }
  EXPECT_EQ(error_of_model("priority: high"),
            "p.yaml:2:29: models.llm.priority: high, expected low, medium or critical");
  EXPECT_EQ(error_of_model("parallel: 4097"),
            "p.yaml:2:29: models.llm.parallel: number 4097, expected 1 to 4096");
  EXPECT_EQ(error_of_model("parallel: '4'"),
            "p.yaml:2:29: models.llm.parallel: 4, expected 1 to 4096");
  EXPECT_EQ(error_of_model("kv: q8_0"),
            "p.yaml:2:23: models.llm.kv: q8_0, expected f16, bf16 or f32");
  EXPECT_EQ(error_of_model("scratch: 4XB"),
            "p.yaml:2:28: models.llm.scratch: unit XB, expected B, K, M, G or T, with B or iB");
  EXPECT_EQ(error_of_model("scratch: 1.5"),
            "p.yaml:2:28: models.llm.scratch: number 1.5, expected whole bytes or a unit, as in "
            "24GB");
  EXPECT_EQ(error_of_model("pin: yes"), "p.yaml:2:24: models.llm.pin: yes, expected true or false");
  EXPECT_EQ(error_of_model("residency: ram"),
            "p.yaml:2:30: models.llm.residency: ram, expected device, pinned, pageable or disk");
  EXPECT_EQ(error_of_model("pin: true, residency: disk"),
            "p.yaml:2:41: models.llm.residency: disk, but pin keeps it on the device");
}

TEST(PipelineYamlErrors, RoutesAndPromises) {
  const std::string models = "models: {m: {file: a}}\n";
  EXPECT_EQ(error_of(models + "routes: {m: 'else -> m'}\n"),
            "p.yaml:2:13: routes.m: a model has this id");
  EXPECT_EQ(error_of(models + "routes:\n  r: if latency < 5 -> m; else -> m\n"),
            "p.yaml:3:6: routes.r: column 12: latency is a time, 5 has no unit");
  EXPECT_EQ(error_of(models + "slo: {ttft_p99: 500}\n"),
            "p.yaml:2:17: slo.ttft_p99: 500, expected a time with its unit: us, ms, s or min");
  EXPECT_EQ(error_of(models + "slo: {ttft_p99: 61min}\n"),
            "p.yaml:2:17: slo.ttft_p99: 61min, expected at most 60min");
  EXPECT_EQ(error_of(models + "slo: {tokens_per_s: 0}\n"),
            "p.yaml:2:21: slo.tokens_per_s: number 0, expected above 0, up to 10^9");
  EXPECT_EQ(error_of(models + "slo: {tokens_per_s: fast}\n"),
            "p.yaml:2:21: slo.tokens_per_s: fast, expected a number");
}

TEST(PipelineYamlErrors, WhatAStageDoes) {
  EXPECT_EQ(error_of_stage("in: $t"), "p.yaml:4:5: stages.s: needs the key run or tool");
  EXPECT_EQ(error_of_stage("run: m, tool: t"), "p.yaml:4:5: stages.s: has both run and tool");
  EXPECT_EQ(error_of_stage("run: n, in: $t"),
            "p.yaml:4:18: stages.s.run: n: no such model or route");
  EXPECT_EQ(error_of_stage("run: m"), "p.yaml:4:5: stages.s: needs the key in or prompt");
  EXPECT_EQ(error_of_stage("run: m, in: $t, top: 3"), "p.yaml:4:34: stages.s.top: is for tools");
  EXPECT_EQ(error_of_stage("run: e, prompt: $t"),
            "p.yaml:4:29: stages.s.prompt: is for models of class llm");
  EXPECT_EQ(error_of_stage("tool: x, max_output_tokens: 3"),
            "p.yaml:4:41: stages.s.max_output_tokens: is for stages that run a model");
  EXPECT_EQ(error_of_stage("tool: retrieve"), "p.yaml:4:5: stages.s: needs the key index");
  EXPECT_EQ(error_of_stage("tool: exec"), "p.yaml:4:5: stages.s: needs the key command");
  EXPECT_EQ(error_of_stage("tool: x, rerank: e"),
            "p.yaml:4:30: stages.s.rerank: e is of class embed, expected rerank");
  EXPECT_EQ(error_of_stage("tool: x, embed: f"), "p.yaml:4:29: stages.s.embed: f: no such model");
  EXPECT_EQ(error_of_stage("tool: x, top: 0"),
            "p.yaml:4:27: stages.s.top: number 0, expected 1 to 1000");
  EXPECT_EQ(error_of_stage("tool: x, latency: 20-5ms"),
            "p.yaml:4:31: stages.s.latency: 20-5ms, expected the shorter time first");
  EXPECT_EQ(error_of_stage("tool: x, latency: 5-20"),
            "p.yaml:4:31: stages.s.latency: 20, expected a time with its unit: us, ms, s or min");
  EXPECT_EQ(error_of_stage("tool: x, command: [a, 5]"),
            "p.yaml:4:35: stages.s.command[1]: number 5, expected text (quote it)");
  EXPECT_EQ(error_of_stage("tool: x, args: {a: {}}"),
            "p.yaml:4:32: stages.s.args.a: a mapping, expected text");
}

TEST(PipelineYamlErrors, WhatAStageNames) {
  EXPECT_EQ(error_of_stage("tool: x, in: t"),
            "p.yaml:4:26: stages.s.in: t, expected $request, $STAGE or either with a .field");
  EXPECT_EQ(error_of_stage("tool: x, in: [$request, $u]"),
            "p.yaml:4:37: stages.s.in[1]: $u: no such stage");
  EXPECT_EQ(error_of_stage("run: m, prompt: 'a $requst b'"),
            "p.yaml:4:29: stages.s.prompt: $requst: no such stage");
  EXPECT_EQ(error_of_stage("run: m, prompt: 'a ${'"),
            "p.yaml:4:29: stages.s.prompt: column 3: expected ${NAME} or ${NAME.FIELD}; a dollar "
            "sign is $$");
  EXPECT_EQ(error_of_stage("tool: x, after: [t, u]"),
            "p.yaml:4:33: stages.s.after[1]: u: no such stage");
  EXPECT_EQ(error_of_stage("tool: x, when: latency < 50"),
            "p.yaml:4:28: stages.s.when: column 9: latency is a time, 50 has no unit");
  EXPECT_EQ(error_of_stage("tool: x, when: $u > 1"),
            "p.yaml:4:28: stages.s.when: $u: no such stage");
  EXPECT_EQ(error_of_stage("tool: x, when: true"),
            "p.yaml:4:28: stages.s.when: true, expected text (quote it)");
  EXPECT_EQ(error_of_stage("tool: x, loop: {max: 3}"),
            "p.yaml:4:28: stages.s.loop: needs the key until");
  EXPECT_EQ(error_of_stage("tool: x, loop: {until: $t}"),
            "p.yaml:4:28: stages.s.loop: needs the key max");
  EXPECT_EQ(error_of_stage("tool: x, loop: {until: $t, max: 1001}"),
            "p.yaml:4:45: stages.s.loop.max: number 1001, expected 1 to 1000");
  EXPECT_EQ(error_of_stage("tool: x, loop: {until: $t, max: 2, with: u}"),
            "p.yaml:4:54: stages.s.loop.with: u: no such stage");
  EXPECT_EQ(error_of_stage("tool: x, loop: {until: $t, max: 2, while: u}"),
            "p.yaml:4:48: stages.s.loop.while: unknown key");
}

TEST(PipelineYamlErrors, IdsOfStages) {
  const std::string models = "models: {m: {file: a}}\nstages:\n";
  EXPECT_EQ(error_of(models + "  - {tool: t}\n"), "p.yaml:3:5: stages[0]: needs the key id");
  EXPECT_EQ(error_of(models + "  - {id: a-b, tool: t}\n"),
            "p.yaml:3:10: stages[0].id: a-b, expected a letter or _, then letters, digits and "
            "underscores");
  EXPECT_EQ(error_of(models + "  - {id: request, tool: t}\n"),
            "p.yaml:3:10: stages[0].id: request is what a stage is given, not its id");
  EXPECT_EQ(error_of(models + "  - {id: a, tool: t}\n  - {id: a, tool: t}\n"),
            "p.yaml:4:10: stages[1].id: a: another stage has this id");
  EXPECT_EQ(error_of(models + "  - {id: a, tool: t, output: 3}\n"),
            "p.yaml:3:22: stages[0].output: unknown key");
}

TEST(PipelineYamlErrors, Circles) {
  const std::string models = "models: {m: {file: a}}\nstages:\n";
  EXPECT_EQ(
      error_of(models + "  - {id: z, tool: t}\n  - {id: a, tool: t, in: $b}\n"
                        "  - {id: b, run: m, prompt: 'x $c'}\n  - {id: c, tool: t, after: a}\n"),
      "p.yaml:4:5: stages.a: needs itself: a -> b -> c -> a");
  EXPECT_EQ(error_of(models + "  - {id: a, tool: t, when: $a}\n"),
            "p.yaml:3:5: stages.a: needs itself: a -> a");
}

TEST(PipelineYamlErrors, Limits) {
  std::string models = "models:\n", stages = "models: {m: {file: a}}\nstages:\n";
  for (int i = 0; i < 65; ++i) models += "  m" + std::to_string(i) + ": {file: a}\n";
  EXPECT_EQ(error_of(models), "p.yaml:2:3: models: 65 entries, expected 1 to 64");
  for (int i = 0; i < 257; ++i) stages += "  - {id: s" + std::to_string(i) + ", tool: t}\n";
  EXPECT_EQ(error_of(stages), "p.yaml:3:3: stages: 257 entries, expected 0 to 256");
  EXPECT_EQ(error_of_model("file2: x" + std::string(100, 'y')).substr(0, 45),
            "p.yaml:2:19: models.llm.file2: unknown key, d");
  EXPECT_EQ(error_of("models: {m: {file: " + std::string(4097, 'a') + "}}\n"),
            "p.yaml:1:20: models.m.file: 4097 characters, at most 4096");
  EXPECT_THAT(error_of("models: {" + std::string(65, 'm') + ": {file: a}}\n"),
              HasSubstr("at most 64"));
}

}  // namespace
}  // namespace neuros::builder
