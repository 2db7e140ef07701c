#pragma once

/// Reading ahead, and writing behind.

#include "base/result.h"

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace neuros::base {

/// Moves numbered parts by threads of its own, begun in order, each once it is allowed; another
/// thread allows them and waits for them. The first error ends it.
class PartPipeline {
 public:
  using Move = std::function<Result<>(size_t part)>;

  PartPipeline(size_t parts, int threads, Move move);
  /// Returns when no thread moves anything any more.
  ~PartPipeline();
  PartPipeline(const PartPipeline&) = delete;
  PartPipeline& operator=(const PartPipeline&) = delete;

  /// The first `count` parts may be moved: their memory is free, or filled.
  void allow(size_t count);
  /// Returns when the part has been moved, or with the first error of any.
  Result<> wait_for(size_t part);

 private:
  void work();
  /// The part to move next, once it is allowed; none: it is over.
  std::optional<size_t> claim();
  void done(size_t part, Result<> result);

  const size_t parts_;
  const Move move_;
  std::mutex mutex_;  ///< guards all that follows, but for the threads
  std::condition_variable allowed_more_, moved_one_;
  std::vector<bool> moved_;
  size_t next_ = 0, allowed_ = 0;
  bool stopping_ = false;
  std::optional<Error> error_;
  std::vector<std::thread> threads_;
};

/// How many threads read or write a file at the disk's speed: enough of them for its queue, also
/// where there are few cores, as they mostly wait.
int disk_threads();

}  // namespace neuros::base
