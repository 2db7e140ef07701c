#include "plan/map_hash.h"

#include "base/xxh64.h"

#include <cstdio>
#include <initializer_list>
#include <span>
#include <vector>

namespace neuros::plan {
namespace {

class Map {
 public:
  void add(std::initializer_list<int64_t> numbers) {
    numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
  }
  void add(const MemoryPlan& m) {
    add({m.weights, m.kv, m.activations, m.scratch, m.shared, m.host, m.kv_host,
         m.arenas_on_host ? 1 : 0});
  }
  template <typename Placement>
  void add_all(const std::vector<Placement>& placed) {
    add({static_cast<int64_t>(placed.size())});
    for (const Placement& part : placed) add({part.offset, part.bytes});
  }
  void add(const Plan& plan) {
    add(plan.memory);
    add({plan.kv.pages, plan.kv.page_tokens, plan.kv.page_bytes, plan.kv.host_pages});
    add_all(plan.segments);
    add_all(plan.weights);
    add_all(plan.values);
    for (const ValuePlacement& value : plan.values) add({static_cast<int64_t>(value.region)});
  }
  uint64_t hash() const { return base::xxh64(std::as_bytes(std::span(numbers_))); }

 private:
  std::vector<int64_t> numbers_;
};

}  // namespace

uint64_t map_hash(const FleetPlan& fleet) {
  Map map;
  map.add({fleet.frames, fleet.frame_bytes, static_cast<int64_t>(fleet.models.size())});
  map.add(fleet.memory);
  for (const Plan& plan : fleet.models) map.add(plan);
  return map.hash();
}

uint64_t map_hash(const Plan& plan) {
  return map_hash(fleet_of_one(plan));
}

std::string map_hash_text(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace neuros::plan
