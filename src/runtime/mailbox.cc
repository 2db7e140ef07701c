#include "runtime/mailbox.h"

#include "base/check.h"
#include "runtime/live_process.h"

#include <string>
#include <utility>

namespace neuros::runtime {

using base::ErrorKind;

base::Result<sched::ProcessId> Mailbox::submit(ProcessSpec spec) {
  const std::lock_guard lock(mutex_);
  if (closed_) return base::fail("engine: stopping", ErrorKind::kUnavailable);
  if (waiting_ >= queue_max_) {
    return base::fail("engine: queue full: " + std::to_string(waiting_) + " waiting, limit " +
                          std::to_string(queue_max_),
                      ErrorKind::kUnavailable);
  }
  const sched::ProcessId id = next_id_++;
  mail_.submissions.push_back({id, std::move(spec), now_us()});
  ++waiting_;
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

void Mailbox::left_queue() {
  const std::lock_guard lock(mutex_);
  CHECK(waiting_ > 0);
  --waiting_;
}

void Mailbox::ended() {
  const std::lock_guard lock(mutex_);
  CHECK(processes_ > 0);
  if (--processes_ == 0) idle_.notify_all();
}

}  // namespace neuros::runtime
