#include "runtime/dispatcher.h"

#include "base/check.h"

#include <exception>
#include <limits>
#include <utility>

namespace neuros::runtime {
namespace {

sched::SchedulerLimits scheduler_limits(const plan::Plan& plan) {
  return {.context = plan.limits.context,
          .batch_tokens = plan.limits.batch_tokens,
          .sequences = plan.limits.sequences,
          .logit_rows = plan.limits.logit_rows,
          .pages = plan.kv.pages,
          .host_pages = plan.kv.host_pages,
          .page_tokens = plan.kv.page_tokens,
          .queue = std::numeric_limits<int32_t>::max(),    // the mailbox refuses before
          .decodes_differ = !plan.memory.arenas_on_host};  // CPUs ignore the kind of a row
}

}  // namespace

Dispatcher::Dispatcher(const plan::Plan& plan, Executor& executor, Mailbox& mailbox)
    : scheduler_(scheduler_limits(plan)), executor_(executor), mailbox_(mailbox) {
  publish();
}

bool Dispatcher::take_mail() {
  Mail mail = mailbox_.collect();
  for (Submission& submission : mail.submissions) accept(std::move(submission));
  for (const sched::ProcessId id : mail.cancellations) cancel(id);
  if (!mail.submissions.empty()) publish();
  return !mail.stop;
}

void Dispatcher::accept(Submission submission) {
  ProcessSpec& spec = submission.spec;
  LiveProcess process;
  process.client = std::move(spec.client);
  process.priority = spec.priority;
  process.prompt_tokens = static_cast<int32_t>(spec.prompt.size());
  process.max_new_tokens = spec.max_new_tokens;
  // Weights it waits for from now on count; what it waited in the mailbox is the queue's.
  process.submitted = {submission.submitted_us, swap_us_};
  processes_.emplace(submission.id, std::move(process));
  const sched::Admission admission = scheduler_.arrive({.id = submission.id,
                                                        .prompt = std::move(spec.prompt),
                                                        .max_new_tokens = spec.max_new_tokens,
                                                        .priority = spec.priority,
                                                        .prompt_logits = spec.prompt_logits},
                                                       submission.submitted_us);
  CHECK(admission == sched::Admission::kQueued, "submit() refuses what cannot run");
}

void Dispatcher::cancel(sched::ProcessId id) {
  if (!processes_.contains(id)) return;  // ended meanwhile
  Ending ending = end(id, EndReason::kCancelled, "");
  CHECK(scheduler_.cancel(id));
  publish();
  tell(std::move(ending));
}

const sched::Batch& Dispatcher::begin_pass(int32_t rows_most) {
  CHECK(!batch_);
  const int64_t started_us = now_us();
  batch_ = scheduler_.next_batch(started_us, rows_most);
  CHECK(batch_.has_value(), "demand without a batch");
  note_start(*batch_, started_us);
  return *batch_;
}

void Dispatcher::finish_pass(const base::Result<>& computed, int64_t busy_us) {
  CHECK(batch_.has_value());
  count(*batch_, busy_us);
  if (!computed) return fail_pass(computed.error().message);
  const std::vector<LiveProcess*> owners = owners_of(*batch_);
  std::vector<sched::ItemResult> results;
  results.reserve(owners.size());
  std::vector<Ending> endings;
  int32_t logit_row = 0;
  for (size_t i = 0; i < owners.size(); ++i) {
    const sched::BatchItem& item = batch_->items[i];
    const bool cancelled = owners[i] == nullptr;
    Outcome outcome = cancelled ? Outcome{} : deliver(item, logit_row, *owners[i]);
    logit_row += item.logit_rows();
    results.push_back(outcome.result);
    if (outcome.ends) endings.push_back(end(item.id, outcome.reason, std::move(outcome.error)));
  }
  batch_.reset();
  scheduler_.batch_done(results, now_us());
  publish();
  for (Ending& ending : endings) tell(std::move(ending));
}

/// Of all items at once: a pass took long enough for them to leave the caches, and the device
/// waits.
std::vector<LiveProcess*> Dispatcher::owners_of(const sched::Batch& batch) {
  std::vector<LiveProcess*> owners;
  owners.reserve(batch.items.size());
  for (const sched::BatchItem& item : batch.items) {
    const auto found = processes_.find(item.id);
    owners.push_back(found == processes_.end() ? nullptr : &found->second);
  }
  for (const LiveProcess* owner : owners) {
    if (owner != nullptr) __builtin_prefetch(owner->client.get());
  }
  return owners;
}

void Dispatcher::fail_pass(const std::string& error) {
  std::vector<Ending> endings;
  for (const sched::BatchItem& item : batch_->items) {
    const bool cancelled = !processes_.contains(item.id);
    if (!cancelled) endings.push_back(end(item.id, EndReason::kFailed, error));
  }
  batch_.reset();
  scheduler_.batch_failed(now_us());
  publish();
  for (Ending& ending : endings) tell(std::move(ending));
}

void Dispatcher::end_all(EndReason reason, const std::string& error) {
  std::vector<Ending> endings;
  while (!processes_.empty()) {
    const sched::ProcessId id = processes_.begin()->first;
    endings.push_back(end(id, reason, error));
    CHECK(scheduler_.cancel(id));
  }
  if (batch_) {
    scheduler_.batch_failed(now_us());
    batch_.reset();
  }
  publish();
  for (Ending& ending : endings) tell(std::move(ending));
}

void Dispatcher::shut_down() {
  mailbox_.close();
  take_mail();
  end_all(EndReason::kCancelled, "");
}

void Dispatcher::note_start(const sched::Batch& batch, int64_t started_us) {
  for (const sched::BatchItem& item : batch.items) {
    if (item.decodes) continue;  // after its prompt
    LiveProcess& process = processes_.at(item.id);
    if (process.has_started()) continue;
    process.started = {started_us, swap_us_};
    mailbox_.left_queue(process.priority);
  }
}

Dispatcher::Outcome Dispatcher::failed(const std::string& error) {
  return {.result = {.token = std::nullopt, .finished = true},
          .ends = true,
          .reason = EndReason::kFailed,
          .error = error};
}

Dispatcher::Outcome Dispatcher::deliver(const sched::BatchItem& item, int32_t logit_row,
                                        LiveProcess& process) {
  Outcome outcome;
  try {
    base::Result<Outcome> handed = hand_over(item, logit_row, process);
    outcome = handed ? std::move(*handed) : failed(handed.error().message);
  } catch (const std::exception& exception) {
    outcome = {.result = {}, .ends = true, .reason = EndReason::kFailed, .error = exception.what()};
  } catch (...) {
    outcome = {.result = {}, .ends = true, .reason = EndReason::kFailed, .error = "client threw"};
  }
  if (outcome.ends && !outcome.result.token) outcome.result.finished = true;
  return outcome;
}

base::Result<Dispatcher::Outcome> Dispatcher::hand_over(const sched::BatchItem& item,
                                                        int32_t logit_row, LiveProcess& process) {
  Outcome outcome;
  const auto rows = static_cast<int32_t>(item.tokens.size());
  const int32_t last_row = logit_row + item.logit_rows() - 1;
  for (int32_t i = 0; item.logits_all && i < rows; ++i) {
    const std::span<float> logits = TRY(executor_.logits(logit_row + i));
    process.client->on_prompt_logits(item.first_position + i, logits);
  }
  if (!item.logits_last) {
    const bool scored =
        process.max_new_tokens == 0 && item.first_position + rows == process.prompt_tokens;
    if (scored) outcome = {.result = {}, .ends = true, .reason = EndReason::kLength, .error = ""};
    return outcome;
  }
  if (process.answering.us < 0) process.answering = {now_us(), swap_us_};
  const NextToken next = TRY(next_token(*process.client, last_row));
  const size_t vocabulary = executor_.vocabulary();
  if (next.stop) {
    outcome.ends = true;
  } else if (next.id < 0 || static_cast<size_t>(next.id) >= vocabulary) {
    outcome = {.result = {},
               .ends = true,
               .reason = EndReason::kFailed,
               .error = "next token " + std::to_string(next.id) + ", vocabulary of " +
                        std::to_string(vocabulary)};
  } else {
    outcome.result.token = next.id;
    outcome.ends = ++process.generated_tokens == process.max_new_tokens;
    outcome.reason = EndReason::kLength;
  }
  return outcome;
}

base::Result<NextToken> Dispatcher::next_token(ProcessClient& client, int32_t logit_row) {
  if (const kernels::TopLogits* top = executor_.top_logits(logit_row)) {
    if (const auto next = client.on_top_logits(*top)) return *next;
  }
  const std::span<float> logits = TRY(executor_.logits(logit_row));
  return client.on_logits(logits);
}

Dispatcher::Ending Dispatcher::end(sched::ProcessId id, EndReason reason, std::string error) {
  const auto info = scheduler_.info(id);
  CHECK(info.has_value());
  LiveProcess process = std::move(processes_.at(id));
  processes_.erase(id);
  ProcessEnd end{.reason = reason,
                 .error = std::move(error),
                 .times = process.times({now_us(), swap_us_}),
                 .prompt_tokens = process.prompt_tokens,
                 .generated_tokens = process.generated_tokens,
                 .cached_tokens = info->cached_tokens};
  return {std::move(process), std::move(end)};
}

void Dispatcher::tell(Ending ending) {
  if (!ending.process.has_started()) mailbox_.left_queue(ending.process.priority);
  try {
    ending.process.client->on_end(ending.end);
  } catch (...) {  // It asked for nothing more; the engine goes on.
  }
  ending.process.client.reset();
  mailbox_.ended();
}

void Dispatcher::count(const sched::Batch& batch, int64_t busy_us) {
  ++stats_.batches;
  stats_.busy_us += busy_us;
  for (const sched::BatchItem& item : batch.items) {
    (item.decodes ? stats_.tokens_decoded : stats_.tokens_prefilled) += item.tokens.size();
  }
}

void Dispatcher::publish() {
  stats_.scheduler = scheduler_.stats();
  const std::lock_guard lock(published_mutex_);
  published_ = stats_;
}

EngineStats Dispatcher::stats() const {
  const std::lock_guard lock(published_mutex_);
  return published_;
}

}  // namespace neuros::runtime
