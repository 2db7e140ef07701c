#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace neuros::pipeline {

/// How many stages of all requests are about to use each model; tells when that becomes none or
/// some. Not thread-safe.
class ExpectedModels {
 public:
  using Tell = std::function<void(size_t model, bool expected)>;

  ExpectedModels(size_t models, Tell tell) : counts_(models), tell_(std::move(tell)) {}

  void add(size_t model) {
    if (counts_[model]++ == 0 && tell_) tell_(model, true);
  }
  void remove(size_t model) {
    if (--counts_[model] == 0 && tell_) tell_(model, false);
  }

 private:
  std::vector<int> counts_;
  Tell tell_;
};

}  // namespace neuros::pipeline
