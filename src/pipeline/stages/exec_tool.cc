#include "pipeline/stages/exec_tool.h"

#include "builder/spec/quantity.h"
#include "pipeline/stages/child_process.h"
#include "text/unicode.h"

#include <algorithm>
#include <utility>

namespace neuros::pipeline {
namespace {

constexpr int64_t kTimeoutUs = 60'000'000;

class ExecTool final : public Tool {
 public:
  ExecTool(std::string program, std::vector<builder::PromptTemplate> arguments,
           ChildProcess process)
      : program_(std::move(program)),
        arguments_(std::move(arguments)),
        process_(std::move(process)) {}

  const std::vector<builder::PromptTemplate>& templates() const override { return arguments_; }

  base::Result<std::string> run(const ToolCall& call, std::stop_token stop) override {
    ChildProcess process = process_;
    process.command = {program_};
    process.command.insert(process.command.end(), call.texts.begin(), call.texts.end());
    std::string output = TRY(run_child(process, call.input, std::move(stop)));
    const size_t valid = text::valid_utf8_prefix(output);
    if (valid < output.size()) {
      return base::fail("exec " + program_ + ": its output is no UTF-8 text at byte " +
                        std::to_string(valid));
    }
    // As a shell's $(...): `echo` means the word, not the line.
    output.erase(output.find_last_not_of('\n') + 1);
    return output;
  }

 private:
  std::string program_;
  std::vector<builder::PromptTemplate> arguments_;
  ChildProcess process_;
};

/// A reference may name what the stage waits for, and nothing else.
base::Result<> check_reference(const ToolContext& context, const builder::Reference& reference) {
  if (reference.is_request()) return {};
  const int32_t other = context.spec.find_stage(reference.source);
  if (other < 0) return base::fail("command: " + reference.text() + ": no such stage");
  if (context.graph.has_need(context.stage, other)) return {};
  return base::fail("command: " + reference.text() +
                    ": the stage does not wait for it; name it in 'in' or 'after'");
}

base::Result<std::vector<builder::PromptTemplate>> read_arguments(const ToolContext& context) {
  const std::vector<std::string>& command = context.stage_spec().tool->command;
  std::vector<builder::PromptTemplate> arguments;
  for (size_t i = 1; i < command.size(); ++i) {
    auto argument = builder::parse_prompt_template(command[i]);
    if (!argument) {
      return tl::unexpected(
          base::with_context(std::move(argument).error(), "command[" + std::to_string(i) + "]"));
    }
    for (const builder::Reference& reference : argument->references()) {
      TRY(check_reference(context, reference));
    }
    arguments.push_back(std::move(*argument));
  }
  return arguments;
}

base::Result<int64_t> read_timeout_us(const builder::ToolSpec& tool) {
  int64_t timeout_us = kTimeoutUs;
  if (tool.latency) timeout_us = std::max(timeout_us, 2 * tool.latency->max_us);
  for (const builder::NamedArgument& argument : tool.arguments) {
    if (argument.name != "timeout") {
      return base::fail("args." + argument.name + ": exec takes timeout and nothing else");
    }
    const auto* const text = std::get_if<std::string>(&argument.value);
    if (text == nullptr) return base::fail("args.timeout: expected a time, as in 5s");
    const auto parsed = builder::parse_time(*text);
    if (!parsed) return tl::unexpected(base::with_context(parsed.error(), "args.timeout"));
    timeout_us = *parsed;
  }
  return timeout_us;
}

base::Result<> refuse_other_keys(const builder::StageSpec& stage) {
  const builder::ToolSpec& tool = *stage.tool;
  const char* key = !tool.index.empty()          ? "index"
                    : !tool.embed.empty()        ? "embed"
                    : !tool.rerank.empty()       ? "rerank"
                    : tool.top > 0               ? "top"
                    : stage.input_tokens_max > 0 ? "max_input_tokens"
                                                 : nullptr;
  if (key == nullptr) return {};
  return base::fail(std::string(key) + ": exec does not use it");
}

}  // namespace

base::Result<std::unique_ptr<Tool>> make_exec_tool(const ToolContext& context) {
  const builder::ToolSpec& tool = *context.stage_spec().tool;
  TRY(refuse_other_keys(context.stage_spec()));
  std::vector<builder::PromptTemplate> arguments = TRY(read_arguments(context));
  ChildProcess process;
  process.folder = context.folder;
  process.timeout = std::chrono::microseconds(TRY(read_timeout_us(tool)));
  return std::make_unique<ExecTool>(tool.command.front(), std::move(arguments), std::move(process));
}

}  // namespace neuros::pipeline
