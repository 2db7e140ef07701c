#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace neuros::base::internal {

void check_failed(const char* condition, const char* file, int line, const char* text) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s %s\n", file, line, condition, text);
  std::abort();
}

}  // namespace neuros::base::internal
