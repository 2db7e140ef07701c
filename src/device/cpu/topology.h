#pragma once

#include <cstdint>
#include <vector>

namespace neuros::device {

struct CacheLevel {
  int level = 0;
  int64_t bytes = 0;
  int count = 0;  ///< how many of them the machine has
};

/// The machine as hwloc sees it.
struct Topology {
  int packages = 0, numa_nodes = 0, cores = 0, threads = 0;
  int64_t memory_bytes = 0;
  std::vector<CacheLevel> caches;  ///< data and unified, level 1 first
  std::vector<int> core_cpus;      ///< one processor index per core this process may use
};

/// Read once.
const Topology& read_topology();

}  // namespace neuros::device
