/// Plans for other machines: made from their profiles, and refused by the boot of this one.

#include "device/cpu/cpu_device.h"
#include "device/measure_profile.h"
#include "device/shipped_profiles.h"
#include "kernels/op_table.h"
#include "pipeline/language_model.h"
#include "pipeline/model_fleet.h"
#include "runtime/engine.h"
#include "runtime/machine_check.h"
#include "tiny_model.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;

const std::string kModel = std::string(NEUROS_SOURCE_DIR) + "/zoo/assistant/assistant.gguf";

device::HardwareProfile here() {
  auto profile = device::probe_profile();
  CHECK(profile.has_value());
  return std::move(*profile);
}

/// A host of 1000 cores with every instruction set, and no GPU.
device::HardwareProfile large_host() {
  device::HardwareProfile profile;
  device::ProcessorProfile cpu;
  cpu.brand = "Large";
  cpu.cores = 1000;
  cpu.threads = 2000;
  cpu.memory_bytes = int64_t{1} << 40;
  cpu.levels = {base::CpuLevel::kGeneric, base::CpuLevel::kAvx2, base::CpuLevel::kAvx512,
                base::CpuLevel::kVnni, base::CpuLevel::kAmx};
  cpu.avx512_bf16 = true;
  profile.processor = cpu;
  return profile;
}

/// Why a plan for the tiny model does not boot here once what it counts on has been changed.
base::Error refusal(const std::function<void(plan::MachineFacts&)>& doctor) {
  const TinyModel tiny;
  plan::Plan plan = tiny.plan(kernels::ref_ops(), {});
  doctor(plan.machine);
  auto device = device::open_cpu_device({.threads = 2, .memory_bytes = size_t{256} << 20});
  auto engine = runtime::Engine::boot(std::move(plan), tiny.checkpoint(), **device,
                                      {.queue_max = 4, .load = {}});
  return engine ? base::Error{base::ErrorKind::kInvalid, "it booted"} : engine.error();
}

TEST(Machine, BootRefusesAPlanForAnotherMachineAndSaysWhere) {
  const auto cores = refusal([](auto& machine) { machine.cores = 1000; });
  EXPECT_EQ(cores.kind, base::ErrorKind::kUnsupported);
  EXPECT_EQ(cores.message,
            "boot: this machine is not the one planned for: processor.cores: planned for 1000, "
            "here " +
                std::to_string(here().processor->cores));
  const auto memory = refusal([](auto& machine) { machine.host_bytes = int64_t{1} << 45; });
  EXPECT_THAT(memory.message, HasSubstr("processor.memory_bytes: planned for 35184.4 GB, here "));
  const auto gpu = refusal([](auto& machine) {
    machine.gpu = plan::GpuFacts{
        .name = "Card", .compute_capability = "9.0", .memory_bytes = 1, .pinned_bytes = 1};
  });
  EXPECT_THAT(gpu.message, HasSubstr("gpus: planned for 1, here 0"));
}

TEST(Machine, BootNamesEveryDifference) {
  const auto error = refusal([](auto& machine) {
    machine.cores = 1000;
    machine.host_bytes = int64_t{1} << 45;
  });
  EXPECT_THAT(error.message, HasSubstr("processor.cores: "));
  EXPECT_THAT(error.message, HasSubstr("; processor.memory_bytes: "));
}

TEST(Machine, BootRefusesFactsThatAreNone) {
  const auto level = refusal([](auto& machine) { machine.cpu_level = "mmx"; });
  EXPECT_THAT(level.message, HasSubstr("instruction set mmx, expected generic"));
  const auto capability = refusal([](auto& machine) { machine.gpu.emplace(); });
  EXPECT_THAT(capability.message, HasSubstr("compute capability , expected major.minor"));
}

TEST(Machine, APlanForThisMachineCountsOnWhatItHas) {
  pipeline::ModelOptions options;
  options.threads = 1;
  const auto plan = pipeline::plan_model(kModel, options);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->machine.cores, 1);
  EXPECT_EQ(plan->machine.host_bytes, plan->memory.peak_bytes());
  EXPECT_FALSE(plan->machine.cpu_level.empty());
  EXPECT_FALSE(plan->machine.gpu.has_value());
  const auto device = device::open_cpu_device({.threads = 1, .memory_bytes = 0});
  EXPECT_TRUE(runtime::check_machine(*plan, **device).has_value());
  EXPECT_THAT(plan::describe(*plan), HasSubstr("needs       1 cores, "));
}

TEST(Machine, TheReferenceNeedsNoInstructionSet) {
  pipeline::ModelOptions options;
  options.op_table = "ref";
  EXPECT_EQ(pipeline::plan_model(kModel, options)->machine.cpu_level, "");
}

TEST(Machine, PlansForTheHostOfAProfile) {
  pipeline::ModelOptions options;
  options.planned_for = large_host();
  const auto plan = pipeline::plan_model(kModel, options);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->workers, 1000);
  EXPECT_EQ(plan->machine.cores, 1000);
  EXPECT_EQ(plan->machine.cpu_level, "amx");
  EXPECT_EQ(plan->op_table, kernels::cpu_ops(options.planned_for->processor->features()).name);
}

TEST(Machine, AModelPlannedForAnotherMachineDoesNotOpenHere) {
  pipeline::ModelOptions options;
  options.planned_for = large_host();
  const auto model = pipeline::LanguageModel::open(kModel, options);
  ASSERT_FALSE(model.has_value());
  EXPECT_THAT(model.error().message, HasSubstr("processor.cores: planned for 1000, here "));
}

TEST(Machine, ABudgetBeyondTheProfilesMemoryIsRefused) {
  pipeline::ModelOptions options;
  options.planned_for = large_host();
  options.memory_bytes = size_t{1} << 41;
  EXPECT_EQ(pipeline::plan_model(kModel, options).error().message,
            "memory 2097152 MiB: the profile's cpu has 1048576 MiB");
}

TEST(Machine, EachModelOfAFleetCountsOnWhatAllNeed) {
  pipeline::ModelOptions options;
  options.threads = 1;
  const auto fleet = pipeline::plan_fleet(
      {{.path = kModel, .name = "a"}, {.path = kModel, .name = "b", .kv_dtype = base::DType::kF32}},
      options);
  ASSERT_TRUE(fleet.has_value()) << fleet.error().message;
  for (const plan::Plan& model : fleet->models) {
    EXPECT_EQ(model.machine.host_bytes, fleet->peak_bytes());
    EXPECT_GT(model.machine.host_bytes, model.memory.peak_bytes());
  }
}

TEST(Machine, PlansForACardWithoutHavingOne) {
  if (kernels::cuda_ops() == nullptr) GTEST_SKIP() << "built without CUDA";
  pipeline::ModelOptions options;
  options.device = "cuda";
  options.planned_for = *device::open_profile("rtx-4090");
  const auto plan = pipeline::plan_model(kModel, options);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->device, "cuda:0");
  EXPECT_FALSE(plan->memory.arenas_on_host);
  ASSERT_TRUE(plan->machine.gpu.has_value());
  EXPECT_EQ(plan->machine.gpu->compute_capability, "8.9");
  EXPECT_EQ(plan->machine.gpu->memory_bytes, plan->memory.arena_bytes());
  EXPECT_GT(plan->machine.gpu->pinned_bytes, plan->memory.host);
  EXPECT_EQ(plan->device_kind, "sm_89/128");
  EXPECT_EQ(plan->machine.cpu_level, "");
  EXPECT_THAT(plan::describe(*plan), HasSubstr("compute capability 8.9 with "));
  options.memory_bytes = size_t{600} << 20;
  const auto small = pipeline::plan_model(kModel, options);
  ASSERT_TRUE(small.has_value()) << small.error().message;
  EXPECT_GT(small->memory.driver, 0);
  EXPECT_LE(small->memory.arena_bytes() + small->memory.driver, int64_t{600} << 20);
}

TEST(Machine, ACardTheProfileLacksIsNamed) {
  pipeline::ModelOptions options;
  options.planned_for = *device::open_profile("rtx-4090");
  options.device = "cuda:1";
  EXPECT_EQ(pipeline::plan_model(kModel, options).error().message,
            "cuda:1: the machine has 1 GPUs");
}

}  // namespace
}  // namespace neuros
