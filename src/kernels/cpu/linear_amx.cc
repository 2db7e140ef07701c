#include "kernels/cpu/engine.h"

#if defined(__x86_64__)

namespace neuros::kernels::cpu {

const EngineTable& amx_engine() { return vnni_bf16_engine(); }

}  // namespace neuros::kernels::cpu

#endif
