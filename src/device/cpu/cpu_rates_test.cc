#include "device/cpu/cpu_rates.h"

#include "device/cpu/cpu_device.h"
#include "device/cpu/instruction_rates.h"
#include "device/cpu/topology.h"

#include <gtest/gtest.h>

namespace neuros::device {
namespace {

TEST(CpuRates, EveryInstructionOfTheLevelHasARate) {
  auto device = open_cpu_device({.threads = 1, .memory_bytes = size_t{64} << 20});
  auto stream = (*device)->create_stream();
  const base::CpuFeatures features = base::detect_cpu();
  const auto rates = measure_cpu_rates(**device, **stream, features, size_t{16} << 20);
  ASSERT_TRUE(rates.has_value());
  EXPECT_GT(rates->read_bytes_per_s, 1e8);
  EXPECT_GT(rates->copy_bytes_per_s, 1e8);
  EXPECT_EQ(rates->int8_ops_per_s > 0, features.level >= base::CpuLevel::kVnni);
  EXPECT_EQ(rates->f32_flops_per_s > 0, features.level >= base::CpuLevel::kAvx2);
}

TEST(CpuRates, StreamReadSeesEveryByteAtEveryLevel) {
  std::vector<std::byte> data(4096 + 8192);  // room for the prefetches
  base::CpuFeatures features = base::detect_cpu();
  for (base::CpuLevel level : features.levels()) {
    features.level = level;
    const uint64_t before = stream_read(features, data.data(), 4096);
    for (size_t at : {0u, 777u, 4095u}) {
      data[at] ^= std::byte{1};
      EXPECT_NE(stream_read(features, data.data(), 4096), before) << at;
      data[at] ^= std::byte{1};
    }
  }
}

TEST(Topology, IsPlausible) {
  const Topology topology = read_topology();
  EXPECT_GE(topology.cores, 1);
  EXPECT_GE(topology.threads, topology.cores);
  EXPECT_GT(topology.memory_bytes, 0);
  EXPECT_EQ(topology.core_cpus.size(), static_cast<size_t>(topology.cores));
}

}  // namespace
}  // namespace neuros::device
