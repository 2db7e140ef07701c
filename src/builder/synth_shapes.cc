#include "builder/synth_shapes.h"

#include <array>

namespace neuros::builder {
namespace {

// Figures of the published configurations.
constexpr std::array<SynthShape, 20> kShapes{{
    {"llama-tiny", "llama", 256, 768, 1024, 4, 4, 2, 64, 2048, 10000.0, true, false, false},
    {"llama-small", "llama", 512, 1024, 1024, 4, 8, 4, 64, 2048, 10000.0, true, false, false},
    {"stories-42m", "llama", 512, 1376, 32000, 8, 8, 8, 64, 1024, 10000.0, true, false, false},
    {"smollm2-135m", "llama", 576, 1536, 49152, 30, 9, 3, 64, 8192, 100000.0, true, false, false},
    {"smollm2-360m", "llama", 960, 2560, 49152, 32, 15, 5, 64, 8192, 100000.0, true, false, false},
    {"llama-1b", "llama", 2048, 8192, 128256, 16, 32, 8, 64, 131072, 500000.0, true, false, false},
    {"llama-3b", "llama", 3072, 8192, 128256, 28, 24, 8, 128, 131072, 500000.0, true, false, false},
    {"llama-7b", "llama", 4096, 11008, 32000, 32, 32, 32, 128, 4096, 10000.0, false, false, false},
    {"llama-8b", "llama", 4096, 14336, 128256, 32, 32, 8, 128, 131072, 500000.0, false, false,
     false},
    {"llama-70b", "llama", 8192, 28672, 128256, 80, 64, 8, 128, 131072, 500000.0, false, false,
     false},
    {"tinyllama-1.1b", "llama", 2048, 5632, 32000, 22, 32, 4, 64, 2048, 10000.0, false, false,
     false},
    {"mistral-7b", "llama", 4096, 14336, 32768, 32, 32, 8, 128, 32768, 1000000.0, false, false,
     false},
    {"mistral-nemo-12b", "llama", 5120, 14336, 131072, 40, 32, 8, 128, 131072, 1000000.0, false,
     false, false},
    {"qwen2-0.5b", "qwen2", 896, 4864, 151936, 24, 14, 2, 64, 32768, 1000000.0, true, true, false},
    {"qwen2-1.5b", "qwen2", 1536, 8960, 151936, 28, 12, 2, 128, 32768, 1000000.0, true, true,
     false},
    {"qwen2-7b", "qwen2", 3584, 18944, 152064, 28, 28, 4, 128, 32768, 1000000.0, false, true,
     false},
    {"qwen3-0.6b", "qwen3", 1024, 3072, 151936, 28, 16, 8, 128, 40960, 1000000.0, true, false,
     true},
    {"qwen3-1.7b", "qwen3", 2048, 6144, 151936, 28, 16, 8, 128, 40960, 1000000.0, true, false,
     true},
    {"qwen3-4b", "qwen3", 2560, 9728, 151936, 36, 32, 8, 128, 40960, 1000000.0, true, false, true},
    {"qwen3-8b", "qwen3", 4096, 12288, 151936, 36, 32, 8, 128, 40960, 1000000.0, false, false,
     true},
}};

}  // namespace

std::span<const SynthShape> synth_shapes() {
  return kShapes;
}

}  // namespace neuros::builder
