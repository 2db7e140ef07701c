#include "device/host_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include <unistd.h>

namespace neuros::device {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

/// A limit of a control group; kUnlimited where it is "max", or where there is none.
int64_t limit_in(const std::string& path) {
  std::ifstream file(path);
  int64_t bytes = 0;
  return file >> bytes && bytes > 0 ? bytes : kUnlimited;
}

/// This process's control group in the hierarchy that has memory (cgroups(7)), from the mount's
/// root: "/user.slice/x", or "" where /proc does not say.
std::string control_group(const std::string& controllers) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    if (line.substr(first + 1, second - first - 1) == controllers) return line.substr(second + 1);
  }
  return "";
}

/// The least limit of the group and those around it.
int64_t limit_along(const std::string& mount, std::string group, const std::string& name) {
  int64_t least = limit_in(mount + "/" + name);
  while (group.size() > 1 && group.front() == '/') {
    least = std::min(least, limit_in(mount + group + "/" + name));
    group.resize(group.rfind('/'));
  }
  return least;
}

int64_t control_group_bytes() {
  const std::string mount = "/sys/fs/cgroup";
  return std::min(limit_along(mount, control_group(""), "memory.max"),
                  limit_along(mount + "/memory", control_group("memory"), "memory.limit_in_bytes"));
}

}  // namespace

int64_t host_memory_bytes() {
  return static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
}

int64_t host_available_bytes() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  int64_t kib = 0;
  while (meminfo >> key >> kib >> unit) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return host_memory_bytes();  // kernels before 3.14
}

int64_t pinned_limit_bytes() {
  return std::min(host_memory_bytes(), control_group_bytes()) / 8 * 7;
}

}  // namespace neuros::device
