#include "base/cpu_features.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace neuros::base {
namespace {

constexpr std::array<std::string_view, 5> kLevelNames{"generic", "avx2", "avx512", "vnni", "amx"};

#if defined(__x86_64__)

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Leaf out;
  __get_cpuid_count(leaf, subleaf, &out.eax, &out.ebx, &out.ecx, &out.edx);
  return out;
}

bool has(uint32_t word, int bit) { return ((word >> bit) & 1u) != 0; }

uint64_t enabled_state() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

/// Asks the kernel for the AMX tile data (Documentation/arch/x86/xstate.rst).
bool request_tile_permission() {
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureXtiledata = 18;
  return ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
}

std::string brand_string() {
  std::string brand;
  for (uint32_t leaf = 0x80000002u; leaf <= 0x80000004u; ++leaf) {
    const Leaf part = cpuid(leaf);
    char text[16];
    std::memcpy(text, &part, sizeof(text));
    brand.append(text, ::strnlen(text, sizeof(text)));
  }
  while (!brand.empty() && brand.back() == ' ') brand.pop_back();
  return brand;
}

CpuFeatures detect() {
  CpuFeatures features;
  features.brand = brand_string();
  const Leaf one = cpuid(1);
  if (!has(one.ecx, 27)) return features;  // OSXSAVE
  const uint64_t state = enabled_state();
  const Leaf seven = cpuid(7);
  const bool avx2 = (state & 0x6) == 0x6 && has(seven.ebx, 5) && has(one.ecx, 12) &&
                    has(one.ecx, 29);
  if (!avx2) return features;
  features.level = CpuLevel::kAvx2;
  const bool avx512 = (state & 0xe6) == 0xe6 && has(seven.ebx, 16) && has(seven.ebx, 17) &&
                      has(seven.ebx, 28) && has(seven.ebx, 30) && has(seven.ebx, 31);
  if (!avx512) return features;
  features.level = CpuLevel::kAvx512;
  if (!has(seven.ecx, 11)) return features;
  features.level = CpuLevel::kVnni;
  features.avx512_bf16 = has(cpuid(7, 1).eax, 5);
  const bool amx = has(seven.edx, 22) && has(seven.edx, 24) && has(seven.edx, 25) &&
                   (state & 0x60000) == 0x60000 && request_tile_permission();
  if (amx && features.avx512_bf16) features.level = CpuLevel::kAmx;
  return features;
}

#else

CpuFeatures detect() { return CpuFeatures{}; }

#endif

}  // namespace

std::string_view name(CpuLevel level) { return kLevelNames.at(static_cast<size_t>(level)); }

std::vector<CpuLevel> CpuFeatures::levels() const {
  std::vector<CpuLevel> all;
  for (int i = 0; i <= static_cast<int>(level); ++i) all.push_back(static_cast<CpuLevel>(i));
  return all;
}

CpuFeatures detect_cpu() {
  static const CpuFeatures features = detect();
  return features;
}

Result<CpuFeatures> chosen_cpu() {
  CpuFeatures features = detect_cpu();
  const char* wanted = std::getenv("NEUROS_CPU");
  if (wanted == nullptr || *wanted == '\0') return features;
  std::string known;
  for (CpuLevel level : features.levels()) {
    if (name(level) == wanted) {
      features.level = level;
      features.avx512_bf16 = features.avx512_bf16 && level >= CpuLevel::kVnni;
      return features;
    }
    known += std::string(known.empty() ? "" : ", ") + std::string(name(level));
  }
  return fail("NEUROS_CPU=" + std::string(wanted) + ": this processor has " + known,
              ErrorKind::kUnsupported);
}

}  // namespace neuros::base
