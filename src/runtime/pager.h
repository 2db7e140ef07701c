#pragma once

/// Weights in and out of a device, segment by segment, behind addresses that stay.

#include "base/result.h"
#include "device/device.h"
#include "device/frame_pool.h"
#include "plan/plan.h"
#include "runtime/hand_over.h"
#include "runtime/segment_source.h"
#include "runtime/upload_ring.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace neuros::runtime {

/// A model whose weights come and go. Its plan was made with segments that begin with the range's
/// frames (builder::PlanRequest::segment_alignment).
struct PagedModel {
  device::AddressRange* weights = nullptr;  ///< nobody else maps it
  const plan::Plan* plan = nullptr;
  SegmentSource* source = nullptr;
};

enum class PagerJob : uint8_t { kLoad, kDrop };

/// How a job ended.
struct PagerReport {
  using Clock = std::chrono::steady_clock;
  int32_t model = 0, segment = 0;
  PagerJob job = PagerJob::kLoad;
  WeightTier tier = WeightTier::kPinned;  ///< of the model's source
  base::Result<> result;  ///< after a failed load the segment has no memory; kCancelled: abandoned
  int64_t bytes = 0;      ///< of the segment, without the rest of its last frame
  int64_t map_us = 0;     ///< to give it frames, or to take them away
  int64_t copy_us = 0;    ///< from the start of its copy, or the end of the one before, to its end
  Clock::time_point begin, end;
};

/// Sums over jobs that succeeded, and how many did not.
struct PagerTraffic {
  int64_t jobs = 0, failures = 0, bytes = 0, map_us = 0, copy_us = 0;
};

/// By job and tier.
struct PagerStats {
  std::array<std::array<PagerTraffic, kWeightTiers>, 2> traffic{};

  const PagerTraffic& of(PagerJob job, WeightTier tier) const {
    return traffic[static_cast<size_t>(job)][static_cast<size_t>(tier)];
  }
};

/// Carries out jobs in order, by threads of its own: one maps, one copies by a stream of low
/// priority, one reports. A segment is mapped while the one before it is copied: two loads are
/// under way at most. Jobs are given by any thread, also from within on_done.
class Pager {
 public:
  /// Called on one thread of the pager, in the order of the jobs; must not stop the pager.
  using OnDone = std::function<void(const PagerReport&)>;

  /// On a device with memory of its own, reserves plan::kUploadBytes of pinned memory for copies
  /// from other memory. The device outlives the pager.
  static base::Result<std::unique_ptr<Pager>> create(device::Device& device, OnDone on_done);
  ~Pager();  ///< abandons what has not begun
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

  /// A number for the model, all of whose segments are without memory. What it is made of outlives
  /// the pager. Fails where its segments do not begin with frames or do not fit its range.
  base::Result<int32_t> add(const PagedModel& model);

  /// Gives a segment memory, and brings its weights there. To load what is there is an error.
  void load(int32_t model, int32_t segment);
  /// Takes a segment's memory away; no work that uses it is under way, or will be before it is
  /// loaded again. To drop what is not there is an error.
  void drop(int32_t model, int32_t segment);

  enum class Stop { kFinish, kAbandon };
  /// Returns when all jobs are reported: done, or, of those that had not begun, abandoned. Later
  /// ones are neither done nor reported. Segments stay where they are.
  void stop(Stop how);

  PagerStats stats() const;

 private:
  using Clock = PagerReport::Clock;
  enum class State : uint8_t { kNone, kComing, kThere };
  struct Model {
    PagedModel paged;
    std::vector<State> segments;  ///< guarded by the pager's mutex
  };
  /// A job on its way through the threads.
  struct Step {
    PagerReport report;
    Model* model = nullptr;
    std::optional<size_t> slot;  ///< of a load that was begun: which event is its own
    Clock::time_point copy_begin;
  };

  Pager(std::unique_ptr<device::Stream> stream, std::optional<UploadRing> ring, OnDone on_done);
  void ask(int32_t model, int32_t segment, PagerJob job);

  void map_all();
  void map(Step& step);
  void begin_load(Step& step);
  void drop_now(Step& step);
  void copy_all();
  void begin_copy(Step& step);
  void report_all();
  void finish_load(Step& step);
  void count(const PagerReport& report);

  /// Waits until no earlier job of the segment is under way.
  bool wait_until_settled(std::unique_lock<std::mutex>& lock, const Step& step, size_t loads_most);
  State& state(const Step& step) {
    return step.model->segments[static_cast<size_t>(step.report.segment)];
  }
  /// Whole frames behind the segment.
  base::Result<> unmap(const Step& step);

  const std::unique_ptr<device::Stream> stream_;
  std::optional<UploadRing> ring_;
  static constexpr size_t kLoadsMost = 2;  ///< under way at a time
  std::array<std::unique_ptr<device::Event>, kLoadsMost> copied_;
  const OnDone on_done_;
  std::atomic<bool> abandons_ = false;

  mutable std::mutex mutex_;  ///< guards what follows, up to the queues
  std::condition_variable settled_;
  std::deque<Model> models_;  ///< elements stay where they are
  size_t loads_begun_ = 0, loads_ended_ = 0;
  PagerStats stats_;

  HandOver<Step> asked_, mapped_, copying_;
  Clock::time_point last_copy_end_;  ///< of the reporting thread
  std::array<std::thread, 3> threads_;
};

}  // namespace neuros::runtime
