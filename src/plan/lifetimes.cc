#include "plan/lifetimes.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace neuros::plan {
namespace {

/// Goes through the ops in their order.
class Walk {
 public:
  explicit Walk(size_t values) : lifetimes_(values), written_by_(values, -1) {}

  void visit(const Op& op, int32_t step) {
    for (const ValueId id : reads_of(op)) read(static_cast<size_t>(id), step);
    for (const ValueId id : writes_of(op)) write(static_cast<size_t>(id), step);
    ++op_;
  }
  std::vector<Lifetime> lifetimes() && { return std::move(lifetimes_); }

 private:
  void read(size_t value, int32_t step) {
    Lifetime& lifetime = touch(value);
    const bool takes_over = written_by_[value] != step;
    if (takes_over && lifetime.taken_over_by < 0) lifetime.taken_over_by = step;
  }
  void write(size_t value, int32_t step) {
    touch(value);
    written_by_[value] = step;
  }
  Lifetime& touch(size_t value) {
    Lifetime& lifetime = lifetimes_.at(value);
    lifetime.first_op = std::min(lifetime.first_op, op_);
    lifetime.last_op = op_;
    return lifetime;
  }

  std::vector<Lifetime> lifetimes_;
  std::vector<int32_t> written_by_;  ///< the last step that wrote each value; -1: none yet
  int32_t op_ = 0;
};

}  // namespace

std::vector<Lifetime> lifetimes(const Program& program) {
  Walk walk(program.values.size());
  for (size_t step = 0; step < program.segments.size(); ++step) {
    for (const Op& op : program.segments[step].ops) walk.visit(op, static_cast<int32_t>(step));
  }
  return std::move(walk).lifetimes();
}

}  // namespace neuros::plan
