#pragma once

/// What stages with `tool` call. To add a tool: a class, its row in standard_tools(), its paragraph
/// in docs/formats/pipeline.md.

#include "base/result.h"
#include "builder/spec/pipeline_spec.h"
#include "builder/spec/stage_graph.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace neuros::pipeline {

struct ToolCall {
  std::string input;                 ///< what the stage's `in` names, joined by blank lines
  std::vector<std::string> texts{};  ///< Tool::templates(), filled in
};

/// Of one stage. Thread-safe: many requests call it at the same time.
class Tool {
 public:
  virtual ~Tool() = default;
  /// Texts of the specification with references inside, to be filled in for each call.
  virtual const std::vector<builder::PromptTemplate>& templates() const { return kNone; }
  /// Works on the caller's thread for as long as it takes, and returns soon after `stop` was
  /// requested, with any error.
  virtual base::Result<std::string> run(const ToolCall& call, std::stop_token stop) = 0;

 private:
  inline static const std::vector<builder::PromptTemplate> kNone{};
};

/// The stage that a tool is made for.
struct ToolContext {
  const builder::PipelineSpec& spec;
  const builder::StageGraph& graph;
  int32_t stage = 0;
  std::string folder{};  ///< of the specification; "": the working folder

  const builder::StageSpec& stage_spec() const { return spec.stages[static_cast<size_t>(stage)]; }
};

using MakeTool = std::function<base::Result<std::unique_ptr<Tool>>(const ToolContext& context)>;
using ToolRegistry = std::map<std::string, MakeTool>;

/// Those that come with the program.
ToolRegistry standard_tools();
/// kUnsupported where no tool has the name. Errors begin with the stage: "stages.docs.tool: ...".
base::Result<std::unique_ptr<Tool>> make_tool(const ToolRegistry& registry,
                                              const ToolContext& context);

}  // namespace neuros::pipeline
