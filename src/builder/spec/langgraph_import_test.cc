#include "builder/spec/langgraph_import.h"

#include "builder/spec/pipeline_writer.h"
#include "builder/spec/pipeline_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros::builder {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// An agent that calls tools until it is done: what create_react_agent's graph is exported as.
const std::string kAgent = R"({"nodes": [
  {"id": "__start__", "type": "runnable", "data": {"id": ["langgraph", "utils", "RunnableCallable"], "name": "__start__"}},
  {"id": "agent", "type": "runnable", "data": {"id": ["langgraph", "utils", "RunnableCallable"], "name": "agent"}},
  {"id": "tools", "type": "runnable", "data": {"id": ["langgraph", "prebuilt", "ToolNode"], "name": "tools"}},
  {"id": "__end__"}],
 "edges": [
  {"source": "__start__", "target": "agent"},
  {"source": "agent", "target": "tools", "conditional": true},
  {"source": "agent", "target": "__end__", "conditional": true, "data": "done"},
  {"source": "tools", "target": "agent"}]})";

/// A router to one of two branches that meet again.
const std::string kBranches = R"({"nodes": [
  {"id": "__start__", "type": "schema", "data": "__start__"},
  {"id": "route it", "type": "runnable", "data": {"id": ["a"], "name": "route it"}},
  {"id": "web-search", "type": "runnable", "data": {"id": ["a"], "name": "web-search"}},
  {"id": "web search", "type": "unknown", "data": "f"},
  {"id": "request", "type": "runnable", "data": {"id": ["a"], "name": "request"}},
  {"id": "__end__", "type": "schema", "data": "__end__"}],
 "edges": [
  {"source": "__start__", "target": "route it"},
  {"source": "route it", "target": "web-search", "data": "say \"now\"", "conditional": true},
  {"source": "route it", "target": "web search", "conditional": true},
  {"source": "web-search", "target": "request"},
  {"source": "web search", "target": "request"},
  {"source": "request", "target": "__end__"}]})";

/// A chain of runnables, whose ids were UUIDs and are numbers now.
const std::string kChain = R"({"nodes": [
  {"id": 0, "type": "schema", "data": "PromptInput"},
  {"id": 1, "type": "runnable", "data": {"id": ["langchain", "prompts", "chat", "ChatPromptTemplate"], "name": "ChatPromptTemplate"}},
  {"id": 2, "type": "runnable", "data": {"id": ["langchain", "chat_models", "openai", "ChatOpenAI"], "name": "ChatOpenAI"}},
  {"id": 3, "type": "schema", "data": "ChatOpenAIOutput"}],
 "edges": [{"source": 0, "target": 1}, {"source": 1, "target": 2}, {"source": 2, "target": 3}]})";

std::string graph_of(const std::vector<std::pair<std::string, std::string>>& edges) {
  std::string nodes, lines;
  for (const char* node : {"__start__", "a", "b", "c", "__end__"}) {
    nodes += (nodes.empty() ? "" : ",") + std::string("{\"id\":\"") + node + "\"}";
  }
  for (const auto& [from, to] : edges) {
    const bool conditional = to.starts_with('?');
    lines += (lines.empty() ? "" : ",") + std::string("{\"source\":\"") + from +
             "\",\"target\":\"" + to.substr(conditional ? 1 : 0) + "\"" +
             (conditional ? ",\"conditional\":true" : "") + "}";
  }
  return "{\"nodes\":[" + nodes + "],\"edges\":[" + lines + "]}";
}

std::string error_of(const std::string& json, const std::vector<NodeModel>& models) {
  const auto spec = import_langgraph(json, models);
  return spec ? "no error" : spec.error().message;
}

TEST(LangGraph, ACircleBecomesTheLoopOfItsFirstNode) {
  const auto spec = import_langgraph(kAgent, {{"agent", "models/qwen3-8b.gguf"}});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  ASSERT_EQ(spec->models.size(), 1u);
  EXPECT_EQ(spec->models[0].id, "qwen3-8b");
  EXPECT_EQ(spec->models[0].file, "models/qwen3-8b.gguf");
  ASSERT_EQ(spec->stages.size(), 2u);
  const StageSpec& agent = spec->stages[0];
  EXPECT_EQ(agent.run, "qwen3-8b");
  EXPECT_THAT(agent.inputs, ElementsAre(Reference{"request", ""}));
  EXPECT_FALSE(agent.when.has_value());
  ASSERT_TRUE(agent.loop.has_value());
  EXPECT_EQ(agent.loop->until.source, "$agent.next == \"done\"");
  EXPECT_EQ(agent.loop->rounds_max, 25);
  EXPECT_THAT(agent.loop->body, ElementsAre("tools"));
  const StageSpec& tools = spec->stages[1];
  EXPECT_EQ(tools.tool->name, "tools");
  EXPECT_EQ(tools.when->source, "$agent.next == \"tools\"");
}

TEST(LangGraph, ConditionalEdgesBecomeConditions) {
  const auto spec = import_langgraph(kBranches, {{"request", "a.gguf"}, {"route it", "a.gguf"}});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->models.size(), 1u);
  ASSERT_EQ(spec->stages.size(), 4u);
  EXPECT_EQ(spec->stages[0].id, "route_it");
  EXPECT_EQ(spec->stages[1].id, "web_search");
  EXPECT_EQ(spec->stages[2].id, "web_search_2");
  EXPECT_EQ(spec->stages[3].id, "request_2");
  EXPECT_EQ(spec->stages[1].when->source, "$route_it.next == \"say \\\"now\\\"\"");
  EXPECT_EQ(spec->stages[1].when->nodes[1].value.text, "say \"now\"");
  EXPECT_EQ(spec->stages[2].when->source, "$route_it.next == \"web search\"");
  EXPECT_EQ(spec->stages[2].tool->name, "web search");
  EXPECT_FALSE(spec->stages[3].when.has_value());
  EXPECT_THAT(spec->stages[3].inputs,
              ElementsAre(Reference{"web_search", ""}, Reference{"web_search_2", ""}));
}

TEST(LangGraph, ChainsHaveNumbersForIds) {
  EXPECT_EQ(error_of(kChain, {}), "nodes that run a model need --model NODE=FILE: ChatOpenAI");
  const auto spec = import_langgraph(kChain, {{"ChatOpenAI", "dir/3b/"}});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->models[0].id, "_3b");
  ASSERT_EQ(spec->stages.size(), 2u);
  EXPECT_EQ(spec->stages[0].tool->name, "ChatPromptTemplate");
  EXPECT_THAT(spec->stages[1].inputs, ElementsAre(Reference{"ChatPromptTemplate", ""}));
}

TEST(LangGraph, WhatIsWrittenReadsBackAsTheSame) {
  const std::vector<std::pair<std::string, std::string>> graphs{
      {kAgent, "agent"}, {kBranches, "request"}, {kChain, "ChatOpenAI"}};
  for (const auto& [json, node] : graphs) {
    const auto spec = import_langgraph(json, {{node, "m x.gguf"}});
    ASSERT_TRUE(spec.has_value()) << spec.error().message;
    const auto again = parse_pipeline(to_yaml(*spec), "p.yaml");
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(*again, *spec);
  }
}

TEST(LangGraph, CirclesThatAreNoLoop) {
  const std::vector<NodeModel> model{{"a", "m"}};
  EXPECT_EQ(
      error_of(
          graph_of({{"__start__", "a"}, {"a", "b"}, {"b", "a"}, {"__start__", "b"}, {"b", "c"}}),
          model),
      "circle a b: entered at a and at b; a loop has one beginning");
  EXPECT_EQ(error_of(graph_of({{"__start__", "a"}, {"a", "b"}, {"b", "a"}, {"b", "c"}}), model),
            "circle a b: no conditional edge leaves it");
  EXPECT_EQ(error_of(graph_of({{"__start__", "c"}, {"a", "b"}, {"b", "?a"}, {"b", "?c"}}), model),
            "circle a b: no edge leads to it");
  EXPECT_EQ(error_of(graph_of({{"__start__", "a"},
                               {"a", "b"},
                               {"b", "c"},
                               {"c", "?b"},
                               {"c", "?a"},
                               {"c", "?__end__"}}),
                     model),
            "node b is in a circle inside a circle");
  EXPECT_EQ(error_of(graph_of({{"__start__", "a"}, {"a", "b"}}), model),
            "node c: no edge leads to it");
}

TEST(LangGraph, ACircleOfOne) {
  const auto spec = import_langgraph(
      graph_of({{"__start__", "a"}, {"a", "?a"}, {"a", "?b"}, {"a", "?c"}}), {{"a", "m"}});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->stages[0].loop->until.source, "$a.next == \"b\" or $a.next == \"c\"");
  EXPECT_THAT(spec->stages[0].loop->body, ElementsAre());
}

TEST(LangGraph, ErrorsNameTheNode) {
  EXPECT_EQ(error_of("[]", {}), "JSON an array, expected an object");
  EXPECT_EQ(error_of("{}", {}), "no list nodes, expected graph.get_graph().to_json()");
  EXPECT_EQ(error_of(R"({"nodes": [{"id": "a"}]})", {}),
            "no list edges, expected graph.get_graph().to_json()");
  EXPECT_EQ(error_of(R"({"nodes": [5], "edges": []})", {}),
            "nodes[0]: number 5, expected an object");
  EXPECT_EQ(error_of(R"({"nodes": [{"id": "a"}, {}], "edges": []})", {}), "nodes[1]: no id");
  EXPECT_EQ(error_of(R"({"nodes": [{"id": "a"}, {"id": "a"}], "edges": []})", {}),
            "nodes[1]: id a twice");
  EXPECT_EQ(error_of(R"({"nodes": [{"id": "a"}], "edges": [{"source": "a", "target": "b"}]})", {}),
            "edges[0]: target b: no such node");
  EXPECT_EQ(error_of(kAgent, {}), "no node runs a model: give --model NODE=FILE for those that do");
  EXPECT_EQ(error_of(kAgent, {{"agnt", "m"}}), "--model agnt: no such node, did you mean agent?");
  EXPECT_EQ(error_of(kAgent, {{"agent", "m"}, {"agent", "n"}}), "--model agent twice");
  EXPECT_THAT(error_of(std::string(100, '{'), {}), HasSubstr("JSON malformed"));
}

}  // namespace
}  // namespace neuros::builder
