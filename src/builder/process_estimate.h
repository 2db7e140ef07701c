#pragma once

#include "formats/checkpoint.h"
#include "plan/plan.h"

namespace neuros::builder {

/// What the process has besides the arenas: fills plan.memory.metadata, process and driver from
/// the sizes of the checkpoint's texts and vocabulary. tests/memory_test.cc holds it to account.
void estimate_process(const formats::Checkpoint& checkpoint, plan::Plan& plan);

/// What a GPU's driver keeps of its memory for a process, whatever that reserves.
int64_t gpu_driver_bytes();

/// What models in one process have together: the parts of plan.memory that count
/// once.
struct SharedProcess {
  int64_t process = 0, staging = 0, driver = 0;
};
SharedProcess shared_process(const plan::Plan& plan);

}  // namespace neuros::builder
