#include "pipeline/stages/tool.h"

#include "formats/printable.h"
#include "pipeline/stages/exec_tool.h"

namespace neuros::pipeline {

ToolRegistry standard_tools() {
  return {{"exec", make_exec_tool}};
}

base::Result<std::unique_ptr<Tool>> make_tool(const ToolRegistry& registry,
                                              const ToolContext& context) {
  const builder::StageSpec& stage = context.stage_spec();
  const std::string at = "stages." + stage.id + ".";
  const auto found = registry.find(stage.tool->name);
  if (found == registry.end()) {
    std::string names;
    for (const auto& [name, make] : registry) names += (names.empty() ? "" : ", ") + name;
    return base::fail(at + "tool: " + formats::printable(stage.tool->name) +
                          ": this version cannot run it; it has " + names,
                      base::ErrorKind::kUnsupported);
  }
  auto tool = found->second(context);
  if (!tool) return tl::unexpected(base::Error{tool.error().kind, at + tool.error().message});
  return tool;
}

}  // namespace neuros::pipeline
