#include "runtime/mailbox.h"

#include "base/check.h"
#include "runtime/live_process.h"

#include <cstddef>
#include <numeric>
#include <string>
#include <utility>

namespace neuros::runtime {

using base::ErrorKind;

base::Result<sched::ProcessId> Mailbox::submit(ProcessSpec spec) {
  const std::lock_guard lock(mutex_);
  if (closed_) return base::fail("engine: stopping", ErrorKind::kUnavailable);
  const auto first = waiting_.begin() + static_cast<std::ptrdiff_t>(spec.priority);
  const int32_t ahead = std::accumulate(first, waiting_.end(), 0);
  if (ahead >= queue_max_) {
    return base::fail("engine: queue full: " + std::to_string(ahead) + " waiting, limit " +
                          std::to_string(queue_max_),
                      ErrorKind::kUnavailable);
  }
  const sched::ProcessId id = next_id_++;
  ++*first;
  mail_.submissions.push_back({id, std::move(spec), now_us()});
  ++processes_;
  doorbell_.ring();
  return id;
}

void Mailbox::cancel(sched::ProcessId id) {
  const std::lock_guard lock(mutex_);
  mail_.cancellations.push_back(id);
  doorbell_.ring();
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void Mailbox::stop() {
  const std::lock_guard lock(mutex_);
  closed_ = mail_.stop = true;
  doorbell_.ring();
}

void Mailbox::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return processes_ == 0; });
}

Mail Mailbox::collect() {
  const std::lock_guard lock(mutex_);
  return std::exchange(mail_, {.submissions = {}, .cancellations = {}, .stop = mail_.stop});
}

void Mailbox::left_queue(sched::Priority priority) {
  const std::lock_guard lock(mutex_);
  int32_t& waiting = waiting_[static_cast<size_t>(priority)];
  CHECK(waiting > 0);
  --waiting;
}

void Mailbox::ended() {
  const std::lock_guard lock(mutex_);
  CHECK(processes_ > 0);
  if (--processes_ == 0) idle_.notify_all();
}

}  // namespace neuros::runtime
