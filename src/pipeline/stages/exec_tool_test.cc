#include "pipeline/stages/exec_tool.h"

#include "base/testing/temporary_directory.h"
#include "pipeline/stages/child_process.h"
#include "pipeline/stages/testing/stage_spec.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace neuros::pipeline {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

base::Result<std::string> run(std::vector<std::string> command, const std::string& input = "",
                              std::stop_token stop = {}) {
  return run_child({.command = std::move(command)}, input, std::move(stop));
}
base::Result<std::string> shell(const std::string& script, const std::string& input = "") {
  return run({"sh", "-c", script}, input);
}
std::string error_of(const base::Result<std::string>& result) {
  return result ? "ended well" : result.error().message;
}

std::set<std::string> open_files() {
  std::set<std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    open.insert(entry.path().filename().string());
  }
  return open;
}
bool has_children() {
  return ::waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD;
}

/// Every test leaves neither a file descriptor nor a process behind.
class ChildProcessTest : public ::testing::Test {
 protected:
  ~ChildProcessTest() override {
    EXPECT_EQ(open_files(), before_);
    EXPECT_FALSE(has_children());
  }

 private:
  std::set<std::string> before_ = open_files();
};

TEST_F(ChildProcessTest, GivesBackWhatItWrites) {
  EXPECT_EQ(run({"echo", "a b", "$HOME", "*"}).value(), "a b $HOME *\n") << "no shell";
  EXPECT_EQ(run({"cat"}, "input").value(), "input");
  EXPECT_EQ(shell("echo out; echo err >&2").value(), "out\n");
  EXPECT_EQ(run({"true"}).value(), "");
}

TEST_F(ChildProcessTest, MoreThanPipesHoldGoesThroughBothWays) {
  std::string input(8 << 20, 'x');
  for (size_t i = 0; i < input.size(); i += 61) input[i] = '\n';
  EXPECT_TRUE(run({"cat"}, input).value() == input);
  EXPECT_TRUE(shell("cat | tee /dev/stderr", input).value() == input) << "with a full stderr";
}

TEST_F(ChildProcessTest, AProgramNeedNotReadItsInput) {
  const std::string input(4 << 20, 'x');
  EXPECT_EQ(run({"true"}, input).value(), "");
  EXPECT_EQ(run({"head", "-c", "3"}, input).value(), "xxx");
  EXPECT_EQ(shell("exec 0<&-; echo done", input).value(), "done\n");
}

TEST_F(ChildProcessTest, AFailureShowsTheEndOfStandardError) {
  EXPECT_EQ(error_of(shell("echo bad >&2; exit 3")), "exec sh: exit status 3: bad\\n");
  EXPECT_EQ(error_of(shell("exit 1")), "exec sh: exit status 1");
  EXPECT_EQ(error_of(shell("kill -TERM $$")), "exec sh: ended by signal 15");
  EXPECT_THAT(error_of(shell("seq 100000 >&2; exit 2")),
              AllOf(StartsWith("exec sh: exit status 2: "), EndsWith("99999\\n100000\\n")));
}

TEST_F(ChildProcessTest, WhatCannotBeStartedIsAnError) {
  EXPECT_EQ(error_of(run({"no-such-program-here"})),
            "exec no-such-program-here: cannot be started: No such file or directory");
  EXPECT_EQ(error_of(run({"/"})), "exec /: cannot be started: Permission denied");
  EXPECT_EQ(error_of(run({"echo", std::string("a\0b", 3)})),
            "exec echo: an argument has a zero byte");
  EXPECT_THAT(error_of(run({"echo", std::string(4 << 20, 'x')})),
              HasSubstr("Argument list too long"));
}

TEST_F(ChildProcessTest, WhoTakesTooLongIsKilled) {
  const auto result =
      run_child({.command = {"sleep", "1000"}, .timeout = milliseconds(30)}, "", {});
  EXPECT_EQ(error_of(result), "exec sleep: no end after 30 ms");
  // Its children too, and one that writes without end does not keep us from looking at the time.
  const auto writing = run_child(
      {.command = {"sh", "-c", "yes >&2 & yes >&2"}, .timeout = milliseconds(30)}, "", {});
  EXPECT_EQ(error_of(writing), "exec sh: no end after 30 ms");
}

TEST_F(ChildProcessTest, WhoWritesTooMuchIsKilled) {
  EXPECT_EQ(error_of(run({"yes"})), "exec yes: more than 16777216 bytes of output");
}

TEST_F(ChildProcessTest, WhatItLeavesRunningIsKilled) {
  const base::testing::TemporaryDirectory folder;
  const std::string file = folder.file("pid");
  EXPECT_EQ(shell("sleep 1000 & echo $! > " + file + "; echo over").value(), "over\n");
  pid_t left = 0;
  std::ifstream(file) >> left;
  ASSERT_GT(left, 0);
  // Somebody else's child by now; gone once that has noticed.
  for (int i = 0; i < 1000 && ::kill(left, 0) == 0; ++i) {
    std::ifstream stat("/proc/" + std::to_string(left) + "/stat");
    std::string number, name, state;
    if (stat >> number >> name >> state && state == "Z") break;
    std::this_thread::sleep_for(milliseconds(5));
  }
  std::ifstream stat("/proc/" + std::to_string(left) + "/stat");
  std::string number, name, state = "gone";
  stat >> number >> name >> state;
  EXPECT_TRUE(state == "gone" || state == "Z") << state;
}

TEST_F(ChildProcessTest, StopsWhenAsked) {
  std::stop_source stop;
  std::jthread asks([&] {
    std::this_thread::sleep_for(milliseconds(20));
    stop.request_stop();
  });
  const auto stopped = run({"sleep", "1000"}, "", stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, base::ErrorKind::kCancelled);
  asks.join();
  EXPECT_EQ(error_of(run({"sleep", "1000"}, "", stop.get_token())), "exec sleep: stopped")
      << "asked before it began";
}

TEST_F(ChildProcessTest, InheritsNoFilesAndWorksInItsFolder) {
  EXPECT_EQ(shell("cd /proc/self/fd && echo *").value(), "0 1 2 3\n") << "3: the folder itself";
  const base::testing::TemporaryDirectory folder;
  folder.write("here", "found");
  EXPECT_EQ(run_child({.command = {"cat", "here"}, .folder = folder.path()}, "", {}).value(),
            "found");
}

TEST_F(ChildProcessTest, SeesSignalsAsProgramsExpectThem) {
  auto* const before = std::signal(SIGPIPE, SIG_IGN);
  const auto status = shell("grep -E 'Sig(Blk|Ign)' /proc/self/status");
  std::signal(SIGPIPE, before);
  // The first 28 of them; two further up belong to the C library.
  EXPECT_THAT(status.value(),
              AllOf(StartsWith("SigBlk:\t0000000000000000\nSigIgn:"), EndsWith("0000000\n")));
}

/// The tool of the stage t.
base::Result<std::unique_ptr<Tool>> tool_of(const std::string& stages) {
  const builder::PipelineSpec spec = testing::spec_of(stages);
  const builder::StageGraph graph = testing::graph_of(spec);
  return make_tool(standard_tools(), {.spec = spec, .graph = graph, .stage = spec.find_stage("t")});
}
std::string refusal(const std::string& stages) {
  const auto tool = tool_of(stages);
  return tool ? "accepted" : tool.error().message;
}

TEST(ExecTool, RunsItsCommandWithItsInput) {
  const auto tool = tool_of("[{id: t, tool: exec, command: [cat, '-'], in: $request}]");
  ASSERT_TRUE(tool) << tool.error().message;
  EXPECT_EQ((*tool)->templates().size(), 1U);
  EXPECT_EQ((*tool)->run({.input = "a\n\nb\n\n", .texts = {"-"}}, {}).value(), "a\n\nb")
      << "without the line ends at its end";
}

TEST(ExecTool, AFilledInArgumentStaysOneArgument) {
  const auto tool = tool_of(R"([{id: t, tool: exec, command: [echo, "-n", "<$request>", "$$5"]}])");
  ASSERT_TRUE(tool) << tool.error().message;
  const auto& templates = (*tool)->templates();
  ASSERT_EQ(templates.size(), 3U);
  EXPECT_EQ(templates[1].references().size(), 1U);
  EXPECT_EQ(templates[2].pieces.front().text, "$5");
  EXPECT_EQ((*tool)->run({.input = "", .texts = {"-n", "<a; rm -rf \"b\">"}}, {}).value(),
            "<a; rm -rf \"b\">");
}

TEST(ExecTool, RefusesOutputThatIsNoText) {
  const auto tool = tool_of(R"([{id: t, tool: exec, command: [printf, "ab\\377"]}])");
  ASSERT_TRUE(tool) << tool.error().message;
  EXPECT_EQ((*tool)->run({.input = "", .texts = {"ab\\377"}}, {}).error().message,
            "exec printf: its output is no UTF-8 text at byte 2");
}

TEST(ExecTool, TakesATimeout) {
  const auto tool =
      tool_of("[{id: t, tool: exec, command: [sleep, '1000'], args: {timeout: 20ms}}]");
  ASSERT_TRUE(tool) << tool.error().message;
  EXPECT_EQ((*tool)->run({.input = "", .texts = {"1000"}}, {}).error().message,
            "exec sleep: no end after 20 ms");
}

TEST(ExecTool, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refusal("[{id: t, tool: exec, command: [x], args: {timeout: 5}}]"),
            "stages.t.args.timeout: expected a time, as in 5s");
  EXPECT_THAT(refusal("[{id: t, tool: exec, command: [x], args: {timeout: soon}}]"),
              StartsWith("stages.t.args.timeout: soon"));
  EXPECT_EQ(refusal("[{id: t, tool: exec, command: [x], args: {shell: true}}]"),
            "stages.t.args.shell: exec takes timeout and nothing else");
  EXPECT_EQ(refusal("[{id: t, tool: exec, command: [x], top: 3}]"),
            "stages.t.top: exec does not use it");
  EXPECT_EQ(refusal("[{id: t, tool: exec, command: [x], max_input_tokens: 3}]"),
            "stages.t.max_input_tokens: exec does not use it");
  EXPECT_EQ(refusal("[{id: t, tool: exec, command: [x, $y]}]"),
            "stages.t.command: $y: no such stage");
  EXPECT_EQ(refusal("[{id: t, tool: exec, command: [x, $y]}, {id: y, run: m, in: $request}]"),
            "stages.t.command: $y: the stage does not wait for it; name it in 'in' or 'after'");
  EXPECT_EQ(
      refusal("[{id: t, tool: exec, command: [x, $y], after: y}, {id: y, run: m, in: $request}]"),
      "accepted");
  EXPECT_THAT(refusal("[{id: t, tool: exec, command: [x, '${y']}]"),
              StartsWith("stages.t.command[1]: column 1: "));
}

TEST(MakeTool, NamesAToolThatThereIsNot) {
  const auto tool = tool_of("[{id: t, tool: retrieve, index: notes.db, in: $request}]");
  ASSERT_FALSE(tool);
  EXPECT_EQ(tool.error().kind, base::ErrorKind::kUnsupported);
  EXPECT_EQ(tool.error().message,
            "stages.t.tool: retrieve: this version cannot run it; it has exec");
}

}  // namespace
}  // namespace neuros::pipeline
