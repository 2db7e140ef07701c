#pragma once

#include "pipeline/stages/tool.h"

#include <memory>

namespace neuros::pipeline {

/// `tool: exec`: runs a program of the machine, input on its standard input, and gives its standard
/// output. docs/formats/pipeline.md, "exec".
base::Result<std::unique_ptr<Tool>> make_exec_tool(const ToolContext& context);

}  // namespace neuros::pipeline
