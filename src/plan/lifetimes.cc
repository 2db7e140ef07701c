#include "plan/lifetimes.h"

#include <algorithm>

namespace neuros::plan {
namespace {

void touch(Lifetime& lifetime, int32_t op, int32_t step) {
  lifetime.first_op = std::min(lifetime.first_op, op);
  lifetime.last_op = std::max(lifetime.last_op, op);
  lifetime.first_step = std::min(lifetime.first_step, step);
  lifetime.last_step = std::max(lifetime.last_step, step);
}

}  // namespace

std::vector<Lifetime> lifetimes(const Program& program) {
  std::vector<Lifetime> lifetimes(program.values.size());
  int32_t number = 0, step = 0;
  for (const Segment& segment : program.segments) {
    for (const Op& op : segment.ops) {
      for (const ValueId id : reads_of(op))
        touch(lifetimes.at(static_cast<size_t>(id)), number, step);
      for (const ValueId id : writes_of(op)) {
        touch(lifetimes.at(static_cast<size_t>(id)), number, step);
      }
      ++number;
    }
    ++step;
  }
  return lifetimes;
}

}  // namespace neuros::plan
