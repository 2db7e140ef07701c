#pragma once

/// Models made ready one after the other, some of them while others compute.

#include "base/result.h"
#include "sched/boot_order.h"

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace neuros::runtime {

/// Carries out what sched::BootOrder decides: on the thread that calls prepare_next(), and from
/// start() on by a thread of its own, of lower priority than those that compute.
class Preparation {
 public:
  struct Hooks {
    /// Makes a model ready. Asks stops() now and then, and ends early where it does.
    std::function<base::Result<>(sched::ModelId model)> prepare;
    /// How that ended; on the same thread. Not for what stop() broke off.
    std::function<void(sched::ModelId model, const base::Result<>& result)> on_done;
  };

  Preparation(const std::vector<sched::ModelId>& order, Hooks hooks);
  ~Preparation() { stop(); }
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  /// Prepares the next model; false: none is left. Not after start().
  bool prepare_next();
  /// The models that are left, if any, on a thread of its own, which ends with the last.
  void start();
  /// Breaks off what is under way, begins nothing more, and returns when the thread has ended.
  void stop();
  bool stops() const { return stops_; }

  // From any thread: who is waited for, as in sched::BootOrder.
  void set_demand(sched::ModelId model, const sched::Demand& demand);
  void expect(sched::ModelId model, bool expected);

  int32_t count(sched::BootState state) const;

 private:
  const Hooks hooks_;
  std::atomic<bool> stops_ = false;
  mutable std::mutex mutex_;
  sched::BootOrder order_;  ///< guarded by mutex_
  std::thread thread_;
};

}  // namespace neuros::runtime
