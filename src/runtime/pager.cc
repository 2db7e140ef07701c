#include "runtime/pager.h"

#include "base/check.h"
#include "formats/packed_weights.h"

#include <algorithm>
#include <string>
#include <utility>

namespace neuros::runtime {
namespace {

int64_t us_between(PagerReport::Clock::time_point begin, PagerReport::Clock::time_point end) {
  return std::chrono::duration_cast<std::chrono::microseconds>(end - begin).count();
}

/// Where a segment lies in its range, in whole frames.
struct Extent {
  size_t offset = 0, bytes = 0;
};

Extent frames_of(const PagedModel& model, int32_t segment) {
  const plan::SegmentPlacement& placed = model.plan->segments[static_cast<size_t>(segment)];
  const size_t frame = model.weights->pool().frame_bytes();
  const auto bytes = static_cast<size_t>(placed.bytes);
  return {static_cast<size_t>(placed.offset), (bytes + frame - 1) / frame * frame};
}

base::Result<> check(const PagedModel& model) {
  const size_t frame = model.weights->pool().frame_bytes();
  for (size_t i = 0; i < model.plan->segments.size(); ++i) {
    const Extent extent = frames_of(model, static_cast<int32_t>(i));
    if (extent.offset % frame == 0 && extent.offset + extent.bytes <= model.weights->size())
      continue;
    return base::fail(model.plan->model_path + ": segment " + model.plan->segments[i].name +
                      " at " + std::to_string(extent.offset) + ", expected at a multiple of " +
                      std::to_string(frame) + " and to end before " +
                      std::to_string(model.weights->size()));
  }
  return {};
}

base::Error about_segment(const PagedModel& model, int32_t segment, const std::string& what,
                          base::ErrorKind kind) {
  const std::string& name = model.plan->segments[static_cast<size_t>(segment)].name;
  return {kind, model.plan->model_path + ": segment " + name + ": " + what};
}

}  // namespace

base::Result<std::unique_ptr<Pager>> Pager::create(device::Device& device, OnDone on_done) {
  auto stream = TRY(device.create_stream({.priority = device::StreamOptions::Priority::kLow}));
  std::optional<UploadRing> ring;
  if (!device.memory_is_host()) {
    ring = TRY(UploadRing::create(device, *stream, formats::kPackedPartBytes));
  }
  return std::unique_ptr<Pager>(new Pager(std::move(stream), std::move(ring), std::move(on_done)));
}

Pager::Pager(std::unique_ptr<device::Stream> stream, std::optional<UploadRing> ring, OnDone on_done)
    : stream_(std::move(stream)), ring_(std::move(ring)), on_done_(std::move(on_done)) {
  for (auto& event : copied_) event = stream_->create_event();
  threads_ = {std::thread([this] { map_all(); }), std::thread([this] { copy_all(); }),
              std::thread([this] { report_all(); })};
}

Pager::~Pager() {
  stop(Stop::kAbandon);
}

base::Result<int32_t> Pager::add(const PagedModel& model) {
  TRY(check(model));
  const std::lock_guard lock(mutex_);
  models_.push_back({model, std::vector<State>(model.plan->segments.size(), State::kNone)});
  return static_cast<int32_t>(models_.size()) - 1;
}

void Pager::load(int32_t model, int32_t segment) {
  ask(model, segment, PagerJob::kLoad);
}

void Pager::drop(int32_t model, int32_t segment) {
  ask(model, segment, PagerJob::kDrop);
}

void Pager::ask(int32_t model, int32_t segment, PagerJob job) {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    step.model = &models_.at(static_cast<size_t>(model));
  }
  const PagedModel& paged = step.model->paged;
  step.report = {.model = model,
                 .segment = segment,
                 .job = job,
                 .tier = paged.source->tier(),
                 .result = {},
                 .bytes = paged.plan->segments.at(static_cast<size_t>(segment)).bytes,
                 .begin = {},
                 .end = {}};
  asked_.put(std::move(step));
}

void Pager::stop(Stop how) {
  if (how == Stop::kAbandon) abandons_ = true;
  asked_.close();  // each thread then closes the queue to the next
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

PagerStats Pager::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// The thread that maps.

void Pager::map_all() {
  while (auto step = asked_.take()) {
    map(*step);
    mapped_.put(std::move(*step));
  }
  mapped_.close();
}

void Pager::map(Step& step) {
  if (abandons_) {
    step.report.begin = Clock::now();
    step.report.result = tl::unexpected(about_segment(
        step.model->paged, step.report.segment, "the pager stops", base::ErrorKind::kCancelled));
    return;
  }
  step.report.job == PagerJob::kLoad ? begin_load(step) : drop_now(step);
}

bool Pager::wait_until_settled(std::unique_lock<std::mutex>& lock, const Step& step,
                               size_t loads_most) {
  settled_.wait(lock, [&] {
    return state(step) != State::kComing && loads_begun_ - loads_ended_ <= loads_most;
  });
  return state(step) == State::kThere;
}

void Pager::begin_load(Step& step) {
  const PagedModel& model = step.model->paged;
  {
    std::unique_lock lock(mutex_);
    const bool is_there = wait_until_settled(lock, step, kLoadsMost - 1);
    step.report.begin = Clock::now();
    if (is_there) {
      step.report.result = tl::unexpected(about_segment(
          model, step.report.segment, "it is there already", base::ErrorKind::kInvalid));
      return;
    }
    state(step) = State::kComing;
    step.slot = loads_begun_++ % kLoadsMost;
  }
  const Extent extent = frames_of(model, step.report.segment);
  step.report.result = model.weights->map(extent.offset, extent.bytes);
  step.report.map_us = us_between(step.report.begin, Clock::now());
}

void Pager::drop_now(Step& step) {
  const PagedModel& model = step.model->paged;
  std::unique_lock lock(mutex_);
  const bool is_there = wait_until_settled(lock, step, kLoadsMost);
  step.report.begin = Clock::now();
  if (!is_there) {
    step.report.result = tl::unexpected(
        about_segment(model, step.report.segment, "it is not there", base::ErrorKind::kInvalid));
    return;
  }
  lock.unlock();  // only this thread begins anything
  step.report.result = unmap(step);
  step.report.end = Clock::now();
  step.report.map_us = us_between(step.report.begin, step.report.end);
  lock.lock();
  if (step.report.result) state(step) = State::kNone;
}

base::Result<> Pager::unmap(const Step& step) {
  const PagedModel& model = step.model->paged;
  const Extent extent = frames_of(model, step.report.segment);
  return model.weights->unmap(extent.offset, extent.bytes);
}

// The thread that copies.

void Pager::copy_all() {
  while (auto step = mapped_.take()) {
    if (step->slot && step->report.result) begin_copy(*step);
    copying_.put(std::move(*step));
  }
  copying_.close();
}

void Pager::begin_copy(Step& step) {
  const PagedModel& model = step.model->paged;
  step.copy_begin = Clock::now();
  const Extent extent = frames_of(model, step.report.segment);
  step.report.result = model.source->read(
      step.report.segment,
      {model.weights->data() + extent.offset, *stream_, ring_ ? &*ring_ : nullptr});
  copied_[*step.slot]->record();
}

// The thread that reports.

void Pager::report_all() {
  while (auto step = copying_.take()) {
    if (step->slot) finish_load(*step);
    if (step->report.end == Clock::time_point()) step->report.end = Clock::now();
    count(step->report);
    if (on_done_) on_done_(step->report);
  }
}

void Pager::finish_load(Step& step) {
  const bool is_mapped = step.copy_begin != Clock::time_point();
  if (is_mapped) {
    // Also after an error: copies may be on their way.
    auto copied = copied_[*step.slot]->wait();
    if (step.report.result) step.report.result = std::move(copied);
    step.report.end = Clock::now();
    step.report.copy_us = us_between(std::max(step.copy_begin, last_copy_end_), step.report.end);
    last_copy_end_ = step.report.end;
    // An error of unmapping is one of the device, as the one that is told.
    if (!step.report.result) static_cast<void>(unmap(step));
  }
  {
    const std::lock_guard lock(mutex_);
    state(step) = step.report.result ? State::kThere : State::kNone;
    ++loads_ended_;
  }
  settled_.notify_all();
}

void Pager::count(const PagerReport& report) {
  const std::lock_guard lock(mutex_);
  PagerTraffic& traffic =
      stats_.traffic[static_cast<size_t>(report.job)][static_cast<size_t>(report.tier)];
  if (!report.result) {
    ++traffic.failures;
    return;
  }
  ++traffic.jobs;
  traffic.bytes += report.bytes;
  traffic.map_us += report.map_us;
  traffic.copy_us += report.copy_us;
}

}  // namespace neuros::runtime
