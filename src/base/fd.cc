#include "base/fd.h"

#include <unistd.h>

namespace neuros::base {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace neuros::base
