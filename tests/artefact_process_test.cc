/// Artefacts as processes: what `neuros build` makes runs by itself and answers as `neuros run`
/// does.

#include "base/mapped_file.h"
#include "base/testing/temporary_directory.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace neuros {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kNeuros = NEUROS_PROGRAM;
const std::string kAsk = " --raw -p 'once upon a time' -n 12 --temperature 0 -q";
const std::string kLimits = " -t 1 -c 64 --batch 16 --parallel 2";

struct Outcome {
  int code = -1;
  std::string output;  ///< of both streams
};

Outcome shell(const std::string& command) {
  Outcome outcome;
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> piece{};
  for (size_t got = 0; (got = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;) {
    outcome.output.append(piece.data(), got);
  }
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  return outcome;
}

class ArtefactProcess : public ::testing::Test {
 protected:
  ArtefactProcess() {
    expect_success(kNeuros + " synth llama-tiny:q8_0 -o " + a_);
    expect_success(kNeuros + " synth llama-tiny:q4_0 -o " + b_);
    folder_.write("pipeline.yaml",
                  "models:\n  first: { file: a.gguf }\n  second: { file: b.gguf }\n");
  }
  static std::string expect_success(const std::string& command) {
    const Outcome outcome = shell(command);
    EXPECT_EQ(outcome.code, 0) << command << "\n" << outcome.output;
    return outcome.output;
  }
  std::string answer_of(const std::string& model) const {
    return expect_success(kNeuros + " run " + model + kLimits + kAsk);
  }

  const base::testing::TemporaryDirectory folder_;
  const std::string a_ = folder_.file("a.gguf"), b_ = folder_.file("b.gguf"),
                    app_ = folder_.file("app"), pipeline_ = folder_.file("pipeline.yaml");
};

TEST_F(ArtefactProcess, OfAModelAnswersAsTheModel) {
  const std::string expected = answer_of(a_);
  for (const char* weights : {" --weights embed", " --weights split"}) {
    expect_success(kNeuros + " build " + a_ + kLimits + weights + " -o " + app_);
    EXPECT_EQ(expect_success(app_ + " run" + kAsk), expected) << weights;
  }
  EXPECT_TRUE(fs::exists(app_ + ".weights"));
}

TEST_F(ArtefactProcess, OfAPipelineServesWhatSharesTooLittleMemory) {
  const std::string whole =
      expect_success(kNeuros + " build " + pipeline_ + kLimits + " --memory 100MB -o " + app_);
  EXPECT_THAT(whole, HasSubstr("2 models"));
  expect_success(kNeuros + " build " + pipeline_ + kLimits + " --memory 6MB -o " + app_);
  const std::string plan = expect_success(app_ + " plan");
  EXPECT_THAT(plan, AllOf(HasSubstr("frames of"), HasSubstr("map  ")));
  EXPECT_EQ(plan, expect_success(kNeuros + " plan " + app_));
  EXPECT_EQ(expect_success(app_ + " run --model second" + kAsk), answer_of(b_));
  EXPECT_EQ(expect_success(app_ + " run" + kAsk), answer_of(a_));
  EXPECT_EQ(expect_success(app_ + " plan --specification"), *base::read_text_file(pipeline_));
  const Outcome other = shell(app_ + " run --model third" + kAsk);
  EXPECT_EQ(other.code, 1);
  EXPECT_THAT(other.output, HasSubstr("no model third, there are first, second"));
}

TEST_F(ArtefactProcess, ServesUntilItIsToldToEnd) {
  expect_success(kNeuros + " build " + pipeline_ + kLimits + " -o " + app_);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t server = ::fork();
  if (server == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl(app_.c_str(), app_.c_str(), "serve", "--port", "0", nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string output;
  for (char byte = 0; output.find("second listening on http://") == output.npos;) {
    if (::read(ends[0], &byte, 1) != 1) break;
    output += byte;
  }
  EXPECT_THAT(output, HasSubstr("first listening on http://"));
  EXPECT_THAT(output, HasSubstr("second listening on http://"));
  ::kill(server, SIGTERM);
  int status = -1;
  ::waitpid(server, &status, 0);
  ::close(ends[0]);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(ArtefactProcess, DoesNotRunWhenItIsCutShort) {
  expect_success(kNeuros + " build " + a_ + kLimits + " -o " + app_);
  fs::resize_file(app_, fs::file_size(app_) - 4096);
  const Outcome outcome = shell(app_ + " run" + kAsk);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr(app_), HasSubstr("cut short or damaged")));
}

TEST_F(ArtefactProcess, LeavesNothingOnAFullDisk) {
  const size_t before = folder_.entries();
  // Blocks of 512 bytes; more is an error where the signal is not taken.
  const Outcome outcome =
      shell("trap '' XFSZ; ulimit -f 100; " + kNeuros + " build " + a_ + kLimits + " -o " + app_);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, AllOf(HasSubstr(app_), HasSubstr("no room for")));
  EXPECT_EQ(folder_.entries(), before);
}

TEST_F(ArtefactProcess, IsPlannedAsItsSpecificationSays) {
  folder_.write("pipeline.yaml", "models:\n  first: { file: a.gguf, context: 96 }\n");
  expect_success(kNeuros + " build " + pipeline_ + " -t 1 -o " + app_);
  EXPECT_THAT(expect_success(app_ + " plan"), HasSubstr("context 96"));
}

}  // namespace
}  // namespace neuros
