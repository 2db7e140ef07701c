#include "pipeline/stages/pipeline_run.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::pipeline {
namespace {

int64_t microseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

base::Error of_stage(base::Error error, const std::string& stage) {
  return base::with_context(std::move(error), "stage " + stage);
}

/// What a model's end says of its stage, which was not asked to stop.
base::Result<> outcome_of(const GenerationEnd& end) {
  if (end.reason == FinishReason::kCancelled) {
    return base::fail("the model is stopping", base::ErrorKind::kUnavailable);
  }
  if (end.reason == FinishReason::kFailed) {
    return base::fail("the model failed: " + end.error, base::ErrorKind::kIo);
  }
  return {};
}

}  // namespace

/// Carries what a model gives from its thread to the executor's.
class PipelineRun::Relay final : public ModelSink {
 public:
  Relay(std::shared_ptr<PipelineRun> run, int32_t stage)
      : events_(run->context_.events), run_(std::move(run)), stage_(stage) {}

  void on_text(PipelineText text) override {
    events_->post([run = run_, stage = stage_, text = std::move(text)]() mutable {
      run->text_arrived(stage, std::move(text));
    });
  }
  void on_end(GenerationEnd end) override {
    // The last that this thread has of the request: whoever waits for its end may go on to destroy
    // what it uses.
    events_->post([run = std::move(run_), stage = stage_, end = std::move(end)]() mutable {
      run->model_ended(stage, std::move(end));
    });
  }

 private:
  std::shared_ptr<TaskQueue> events_;
  std::shared_ptr<PipelineRun> run_;
  int32_t stage_;
};

PipelineRun::PipelineRun(RunContext& context, PipelineRequest request,
                         std::shared_ptr<PipelineSink> sink, std::function<void()> on_over)
    : context_(context),
      request_(std::move(request)),
      sink_(std::move(sink)),
      on_over_(std::move(on_over)),
      values_(request_.request, request_.facts),
      flow_(context.spec, context.graph, values_),
      model_of_stage_(context.spec.stages.size(), -1) {}

int64_t PipelineRun::now_us() const {
  return microseconds(Clock::now() - arrived_);
}

std::optional<size_t> PipelineRun::model_of(int32_t stage) const {
  const int32_t model = model_of_stage_[static_cast<size_t>(stage)];
  return model < 0 ? std::nullopt : std::optional(static_cast<size_t>(model));
}

/// A route decides before any stage has run, and for all stages that it is for alike.
base::Result<> PipelineRun::choose_models() {
  const auto source = values_.source();
  for (size_t s = 0; s < model_of_stage_.size(); ++s) {
    std::string id = context_.spec.stages[s].run;
    if (id.empty()) continue;
    if (const builder::RouteSpec* route = context_.spec.find_route(id)) {
      auto chosen = builder::choose(*route, source);
      if (!chosen) {
        return tl::unexpected(base::with_context(std::move(chosen).error(), "route " + id));
      }
      id = std::move(*chosen);
    }
    const builder::ModelSpec* model = context_.spec.find_model(id);
    CHECK(model != nullptr, "a stage runs a model that does not exist");
    model_of_stage_[s] = static_cast<int32_t>(model - context_.spec.models.data());
  }
  return {};
}

void PipelineRun::begin() {
  if (auto chosen = choose_models(); !chosen) return fail(std::move(chosen).error());
  expect_after(builder::StagingTrigger::kArrival);
  start_stages(flow_.begin());
  if (!error_) sink_->on_start();
  end_if_idle();
}

void PipelineRun::start_stages(base::Result<std::vector<int32_t>> started) {
  if (!started) return fail(std::move(started).error());
  for (const int32_t stage : *started) {
    if (!error_) start_stage(stage);
  }
  forget_settled();
}

void PipelineRun::start_stage(int32_t stage) {
  forget_expected(stage);
  expect_after(stage);
  Running& running = running_[stage];
  running.report.stage = spec_of(stage).id;
  running.report.round = flow_.round(stage);
  running.report.start_us = now_us();
  const auto started = model_of(stage) ? start_model(stage, running) : start_tool(stage, running);
  if (started) return;
  running_.erase(stage);
  fail(of_stage(started.error(), spec_of(stage).id));
}

base::Result<std::string> PipelineRun::input_of(const builder::StageSpec& stage) const {
  return stage.prompt ? values_.render(*stage.prompt) : values_.join(stage.inputs);
}

base::Result<> PipelineRun::start_model(int32_t stage, Running& running) {
  const builder::StageSpec& spec = spec_of(stage);
  const size_t place = *model_of(stage);
  const builder::ModelSpec& model = context_.spec.models[place];
  std::string prompt = TRY(input_of(spec));
  ModelCall call{.prompt = std::move(prompt)};
  call.input_tokens_max = spec.input_tokens_max;
  call.output_tokens_max = spec.output_tokens_max;
  call.priority = request_.priority.value_or(spec.priority.value_or(model.priority));
  if (stage == context_.answer_stage) {
    call.conversation = request_.conversation;
    call.parameters = request_.parameters;
  }
  running.report.model = model.id;
  running.model = context_.models[place];
  running.generation =
      TRY(running.model->start(call, std::make_shared<Relay>(shared_from_this(), stage)));
  return {};
}

base::Result<> PipelineRun::start_tool(int32_t stage, Running& running) {
  Tool& tool = *context_.tools[static_cast<size_t>(stage)];
  std::string input = TRY(input_of(spec_of(stage)));
  ToolCall call{.input = std::move(input)};
  for (const builder::PromptTemplate& text : tool.templates()) {
    call.texts.push_back(TRY(values_.render(text)));
  }
  context_.tool_tasks->post([run = shared_from_this(), &tool, stage, call = std::move(call),
                             stop = running.stop.get_token(), posted = Clock::now()]() mutable {
    const int64_t queue_us = microseconds(Clock::now() - posted);
    base::Result<std::string> output = base::fail("stopped", base::ErrorKind::kCancelled);
    if (!stop.stop_requested()) output = tool.run(call, std::move(stop));
    const auto events = run->context_.events;
    events->post([run = std::move(run), stage, queue_us, output = std::move(output)]() mutable {
      run->tool_ended(stage, queue_us, std::move(output));
    });
  });
  return {};
}

/// The last round of a loop is known when it is over, so what a loop answers comes as a whole.
bool PipelineRun::is_streamed(int32_t stage) const {
  return stage == context_.answer_stage && context_.graph.loop_head(stage) < 0;
}

void PipelineRun::emit(PipelineText text) {
  if (!std::exchange(has_text_, true)) context_.first_tokens.add(now_us());
  sink_->on_text(std::move(text));
}

void PipelineRun::text_arrived(int32_t stage, PipelineText text) {
  running_.at(stage).text += text.content;
  if (is_streamed(stage) && !error_ && !cancelled_) emit(std::move(text));
}

void PipelineRun::model_ended(int32_t stage, GenerationEnd end) {
  Running& running = running_.at(stage);
  running.report.times = end.times;
  running.report.prompt_tokens = end.prompt_tokens;
  running.report.completion_tokens = end.completion_tokens;
  running.report.cached_tokens = end.cached_tokens;
  if (stage == context_.answer_stage) {
    answer_reason_ = end.reason;
    answer_tokens_ = end.completion_tokens;
  }
  const auto outcome = outcome_of(end);
  if (!outcome) return stage_ended(stage, tl::unexpected(outcome.error()));
  stage_ended(stage, std::move(running.text));
}

void PipelineRun::tool_ended(int32_t stage, int64_t queue_us, base::Result<std::string> output) {
  running_.at(stage).report.times.queue_us = queue_us;
  stage_ended(stage, std::move(output));
}

void PipelineRun::stage_ended(int32_t stage, base::Result<std::string> output) {
  StageReport report = std::move(running_.at(stage).report);
  running_.erase(stage);
  report.end_us = now_us();
  reports_.push_back(std::move(report));
  if (error_ || cancelled_) return end_if_idle();
  if (!output) return fail(of_stage(std::move(output).error(), spec_of(stage).id));
  start_stages(flow_.finish(stage, StageValue::of_text(std::move(*output))));
  end_if_idle();
}

void PipelineRun::expect_after(int32_t stage) {
  for (const builder::StagingTrigger& trigger : context_.schedule) {
    if (trigger.at != stage || !flow_.may_start(trigger.user)) continue;
    const std::optional<size_t> model = model_of(trigger.user);
    const bool used = model && context_.spec.models[*model].id == trigger.model;
    if (!used || !expected_[trigger.user].empty()) continue;
    expected_[trigger.user].push_back(*model);
    context_.expected.add(*model);
  }
}

void PipelineRun::forget_expected(int32_t user) {
  const auto found = expected_.find(user);
  if (found == expected_.end()) return;
  for (const size_t model : found->second) context_.expected.remove(model);
  expected_.erase(found);
}

void PipelineRun::forget_settled() {
  for (int32_t s = 0; s < context_.graph.size(); ++s) {
    if (!flow_.may_start(s)) forget_expected(s);
  }
}

void PipelineRun::fail(base::Error error) {
  if (!error_) error_ = std::move(error);
  stop_running();
  end_if_idle();
}

void PipelineRun::cancel() {
  if (over_ || std::exchange(cancelled_, true)) return;
  stop_running();
  end_if_idle();
}

void PipelineRun::stop_running() {
  for (auto& [stage, running] : running_) {
    if (running.model != nullptr) {
      running.model->cancel(running.generation);
    } else {
      running.stop.request_stop();
    }
  }
}

void PipelineRun::end_if_idle() {
  const bool all_done = error_ || cancelled_ || flow_.is_over();
  if (over_ || !running_.empty() || !all_done) return;
  over_ = true;
  for (int32_t s = 0; s < context_.graph.size(); ++s) forget_expected(s);
  std::stable_sort(
      reports_.begin(), reports_.end(),
      [](const StageReport& a, const StageReport& b) { return a.start_us < b.start_us; });
  PipelineEnd end{.reason = answer_reason_, .stages = std::move(reports_)};
  if (cancelled_) {
    end.reason = FinishReason::kCancelled;
  } else if (error_) {
    end.reason = FinishReason::kFailed;
    end.error = std::move(*error_);
  } else if (!has_text_) {
    std::string text = values_.text({spec_of(context_.answer_stage).id, ""});
    if (!text.empty()) {
      emit({.content = std::move(text), .reasoning = "", .tokens = answer_tokens_});
    }
  }
  sink_->on_end(std::move(end));
  // Not from here: whoever waits for it may go on to destroy what callers still look at.
  context_.events->post([run = shared_from_this()] { run->on_over_(); });
}

}  // namespace neuros::pipeline
