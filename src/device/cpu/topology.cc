#include "device/cpu/topology.h"

#include "base/check.h"

#include <hwloc.h>

namespace neuros::device {
namespace {

int count_of(hwloc_topology_t topology, hwloc_obj_type_t type) {
  const int count = hwloc_get_nbobjs_by_type(topology, type);
  return count > 0 ? count : 0;
}

std::vector<CacheLevel> caches_of(hwloc_topology_t topology) {
  std::vector<CacheLevel> caches;
  for (hwloc_obj_type_t type : {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE}) {
    const int count = count_of(topology, type);
    if (count == 0) continue;
    const hwloc_obj_t first = hwloc_get_obj_by_type(topology, type, 0);
    caches.push_back({static_cast<int>(first->attr->cache.depth),
                      static_cast<int64_t>(first->attr->cache.size), count});
  }
  return caches;
}

std::vector<int> core_cpus_of(hwloc_topology_t topology) {
  std::vector<int> cpus;
  for (int i = 0; i < count_of(topology, HWLOC_OBJ_CORE); ++i) {
    const hwloc_obj_t core =
        hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, static_cast<unsigned>(i));
    const int cpu = hwloc_bitmap_first(core->cpuset);
    if (cpu >= 0) cpus.push_back(cpu);
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

Topology load_topology() {
  Topology found;
  hwloc_topology_t topology;
  CHECK(hwloc_topology_init(&topology) == 0);
  if (hwloc_topology_load(topology) == 0) {
    found.packages = count_of(topology, HWLOC_OBJ_PACKAGE);
    found.numa_nodes = count_of(topology, HWLOC_OBJ_NUMANODE);
    found.cores = count_of(topology, HWLOC_OBJ_CORE);
    found.threads = count_of(topology, HWLOC_OBJ_PU);
    found.memory_bytes = static_cast<int64_t>(hwloc_get_root_obj(topology)->total_memory);
    found.caches = caches_of(topology);
    found.core_cpus = core_cpus_of(topology);
  }
  hwloc_topology_destroy(topology);
  return found;
}

}  // namespace

const Topology& read_topology() {
  static const Topology topology = load_topology();
  return topology;
}

}  // namespace neuros::device
