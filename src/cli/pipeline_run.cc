#include "cli/pipeline_run.h"

#include "cli/terminal.h"
#include "pipeline/stages/stage_report_json.h"

#include <condition_variable>
#include <cstdio>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Waits for an answer, and prints it as it comes unless it is for machines.
class WaitingSink final : public pipeline::PipelineSink {
 public:
  explicit WaitingSink(bool prints) : prints_(prints) {}

  void on_text(pipeline::PipelineText text) override {
    text_ += text.content;
    if (!prints_) return;
    std::fwrite(text.content.data(), 1, text.content.size(), stdout);
    std::fflush(stdout);
  }
  void on_end(pipeline::PipelineEnd end) override {
    const std::lock_guard lock(mutex_);
    end_ = std::move(end);
    ended_.notify_all();
  }

  base::Result<pipeline::PipelineEnd> wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return end_.has_value(); });
    if (end_->reason == pipeline::FinishReason::kFailed) return tl::unexpected(end_->error);
    return std::move(*end_);
  }
  const std::string& text() const { return text_; }

 private:
  bool prints_;
  std::string text_;  ///< of the executor's thread until the end
  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<pipeline::PipelineEnd> end_;  ///< guarded by mutex_
};

double ms(int64_t us) {
  return static_cast<double>(us) / 1e3;
}

void print_stages(const pipeline::PipelineEnd& end) {
  for (const pipeline::StageReport& stage : end.stages) {
    const std::string round = stage.round > 1 ? " round " + std::to_string(stage.round) : "";
    std::fprintf(stderr, "[%s%s%s%s: %.1f to %.1f ms, queue %.1f", stage.stage.c_str(),
                 round.c_str(), stage.model.empty() ? "" : " on ", stage.model.c_str(),
                 ms(stage.start_us), ms(stage.end_us), ms(stage.times.queue_us));
    if (!stage.model.empty()) {
      std::fprintf(stderr, ", swap %.1f, prefill %.1f, decode %.1f; %d + %d tokens",
                   ms(stage.times.swap_us), ms(stage.times.prefill_us), ms(stage.times.decode_us),
                   stage.prompt_tokens, stage.completion_tokens);
    }
    std::fprintf(stderr, "]\n");
  }
}

void print_json(const std::string& text, const pipeline::PipelineEnd& end) {
  Json json{{"text", text},
            {"finish_reason", end.reason == pipeline::FinishReason::kLength ? "length" : "stop"}};
  json["stages"] = Json::array();
  for (const pipeline::StageReport& stage : end.stages) {
    json["stages"].push_back(pipeline::stage_report_json(stage));
  }
  std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

/// A conversation with a pipeline: its last stage sees what was said before.
class PipelineChat {
 public:
  PipelineChat(pipeline::PipelineApp& app, const AnswerFlags& flags, bool verbose)
      : app_(app), flags_(flags), verbose_(verbose) {
    if (flags.system.empty()) return;
    messages_.push_back({{"role", "system"}, {"content", flags.system}});
  }

  base::Result<> say(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    const auto sink = std::make_shared<WaitingSink>(!flags_.json);
    TRY(app_.executor()->start(request_for(text), sink));
    const pipeline::PipelineEnd end = TRY(sink->wait());
    messages_.push_back({{"role", "assistant"}, {"content", sink->text()}});
    if (flags_.json) {
      print_json(sink->text(), end);
    } else {
      std::printf("\n");
      std::fflush(stdout);
      if (verbose_) print_stages(end);
    }
    return {};
  }

  base::Result<> converse() {
    const bool terminal = input_is_terminal();
    if (terminal && !flags_.quiet) {
      std::fprintf(stderr, "%s. Ctrl-D ends.\n", app_.spec().name.c_str());
    }
    for (std::string line; next_line(terminal, line);) {
      if (!line.empty()) TRY(say(line));
    }
    return {};
  }

 private:
  static bool next_line(bool terminal, std::string& line) {
    if (terminal) std::fprintf(stderr, "> ");
    return static_cast<bool>(std::getline(std::cin, line));
  }

  pipeline::PipelineRequest request_for(const std::string& text) {
    std::string context;
    for (const Json& message : messages_) {
      context += (context.empty() ? "" : "\n") + message["content"].get<std::string>();
    }
    const int64_t latency_us = app_.executor()->first_token_us_p50();
    pipeline::PipelineRequest request{.request = pipeline::StageValue::of(text, nullptr),
                                      .conversation = std::make_shared<const Json>(messages_),
                                      .facts = app_.facts(text, context, latency_us)};
    request.parameters.sampling = [&sampling =
                                       flags_.sampling](const pipeline::SamplingParams& defaults) {
      return sampling.over(defaults);
    };
    if (flags_.max_tokens > 0) request.parameters.max_tokens = flags_.max_tokens;
    return request;
  }

  pipeline::PipelineApp& app_;
  const AnswerFlags& flags_;
  const bool verbose_;
  Json messages_ = Json::array();
};

}  // namespace

base::Result<> answer_by_stages(pipeline::PipelineApp& app, const AnswerFlags& flags,
                                bool verbose) {
  if (app.executor() == nullptr) {
    return base::fail(app.spec().name +
                      ": has no stages to run; neuros serve answers for its models");
  }
  PipelineChat chat(app, flags, verbose);
  return flags.prompt.empty() ? chat.converse() : chat.say(flags.prompt);
}

}  // namespace neuros::cli
