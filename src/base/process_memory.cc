#include "base/process_memory.h"

#include <fstream>
#include <limits>
#include <string>

#include <malloc.h>

namespace neuros::base {

ProcessMemory process_memory() {
  ProcessMemory memory;
  std::ifstream status("/proc/self/status");  // lines of "VmHWM:     1234 kB"
  for (std::string key; status >> key;) {
    int64_t* value = key == "VmRSS:"     ? &memory.resident
                     : key == "VmHWM:"   ? &memory.peak
                     : key == "RssAnon:" ? &memory.anonymous
                     : key == "RssFile:" ? &memory.mapped_files
                                         : nullptr;
    if (value != nullptr && status >> *value) *value *= 1024;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return memory;
}

void release_free_heap() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

}  // namespace neuros::base
