#include "serve/api.h"

#include <chrono>

namespace neuros::serve {

const std::string& system_fingerprint() {
  static const std::string fingerprint = "neuros-" NEUROS_VERSION;
  return fingerprint;
}

int64_t unix_time_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace neuros::serve
