#include "device/hardware_profile_yaml.h"

#include "base/testing/temporary_directory.h"
#include "device/profile_json.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros::device {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Every field with a value of its own.
HardwareProfile full_profile() {
  HardwareProfile profile;
  profile.notes = {"disk not measured: \"/tmp\": tmpfs", "second # note"};
  profile.processor = ProcessorProfile{
      .brand = "Some(R) CPU @ 2.00GHz",
      .packages = 2,
      .numa_nodes = 4,
      .cores = 64,
      .threads = 128,
      .memory_bytes = 1'081'936'302'080,
      .caches = {{1, 49152, 64}, {3, 110100480, 2}},
      .levels = base::CpuFeatures{.level = base::CpuLevel::kAmx, .avx512_bf16 = true, .brand = ""}
                    .levels(),
      .avx512_bf16 = true,
      .measured_threads = 64,
      .read_bytes_per_s = 4.21e11,
      .copy_bytes_per_s = 3.6e11,
      .f32_flops_per_s = 1.4e13,
      .bf16_flops_per_s = 1.5e14,
      .int8_ops_per_s = 3e14};
  profile.disks = {{"/home/me", "/dev/nvme0n1p2", "ext4", 6.4e9}, {"/mnt", "", "", 0}};
  GpuProfile gpu;
  gpu.name = "NVIDIA H200";
  gpu.pci_bus_id = "0000:18:00.0";
  gpu.compute_capability = {9, 0};
  gpu.multiprocessors = 132;
  gpu.memory_bytes = 150'109'880'320;
  gpu.pinned_limit_bytes = 946'694'264'320;
  gpu.fp8_flops_per_s = 1.5e15;
  gpu.pageable_download_bytes_per_s = 1.5e10;
  profile.gpus = {gpu, gpu};
  profile.gpus[1].compute_capability = {12, 1};
  return profile;
}

std::string error_of(const std::string& text) {
  const auto profile = parse_profile_yaml(text, "machine.yaml");
  return profile ? "" : profile.error().message;
}

/// The profile's text with one part of it replaced.
std::string changed(const std::string& part, const std::string& by) {
  std::string text = write_profile_yaml(full_profile());
  const size_t at = text.find(part);
  EXPECT_NE(at, std::string::npos) << part << " is not in\n" << text;
  if (at != std::string::npos) text.replace(at, part.size(), by);
  return text;
}

TEST(HardwareProfileYaml, ReadsWhatItWrites) {
  const HardwareProfile profile = full_profile();
  const std::string text = write_profile_yaml(profile);
  const auto read = parse_profile_yaml(text, "machine.yaml");
  ASSERT_TRUE(read.has_value()) << read.error().message << "\n" << text;
  EXPECT_EQ(profile_json(*read), profile_json(profile));
  EXPECT_EQ(write_profile_yaml(*read), text);
  EXPECT_EQ(read->notes, profile.notes);
  EXPECT_EQ(read->processor->levels.size(), 5U);
  EXPECT_EQ(read->gpus[1].compute_capability, (ComputeCapability{12, 1}));
}

TEST(HardwareProfileYaml, FilesComeBack) {
  const base::testing::TemporaryDirectory folder;
  const std::string path = folder.file("machine.yaml");
  ASSERT_TRUE(write_profile_file(full_profile(), path).has_value());
  const auto read = read_profile_file(path);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(profile_json(*read), profile_json(full_profile()));
  EXPECT_EQ(read_profile_file(path + ".not").error().kind, base::ErrorKind::kNotFound);
}

TEST(HardwareProfileYaml, TheLeastThereIs) {
  const auto cards = parse_profile_yaml("{version: 1, source: published}", "x");
  ASSERT_TRUE(cards.has_value()) << cards.error().message;
  EXPECT_EQ(cards->source, ProfileSource::kPublished);
  EXPECT_FALSE(cards->processor.has_value());
}

TEST(HardwareProfileYaml, ErrorsNameFilePlaceKeyValueAndLimit) {
  EXPECT_THAT(error_of(changed("150109880320", "-3")),
              ::testing::MatchesRegex("machine.yaml:[0-9]+:19: gpus\\[0\\].memory_bytes: -3, "
                                      "expected 1 to 1125899906842624"));
  EXPECT_EQ(error_of("version: 1\nsource: guessed\n"),
            "machine.yaml:2:9: source: guessed, expected measured or published");
  EXPECT_EQ(error_of("version: 2\nsource: measured\n"),
            "machine.yaml:1:10: version: 2, expected 1");
  EXPECT_EQ(error_of("source: measured\n"), "machine.yaml:1:1: no key version");
}

TEST(HardwareProfileYaml, UnknownKeysAreErrors) {
  EXPECT_THAT(error_of(changed("    multiprocessors", "    cores: 1\n    multiprocessors")),
              HasSubstr(": gpus[0].cores: unknown key, expected one of name, pci_bus_id"));
  EXPECT_THAT(error_of("version: 1\nsource: measured\nversion: 1\n"),
              "machine.yaml:3:1: version: given twice");
}

TEST(HardwareProfileYaml, RefusesWhatIsNotAProfile) {
  const std::string head = "version: 1\nsource: measured\n";
  EXPECT_THAT(error_of(""), HasSubstr("0 YAML documents, expected 1"));
  EXPECT_THAT(error_of("[]"), HasSubstr("machine.yaml:1:1: expected keys and values"));
  EXPECT_THAT(error_of(head + "---\n" + head), HasSubstr("more than one YAML document"));
  EXPECT_THAT(error_of(",$"), HasSubstr("more than one YAML document"));
  EXPECT_THAT(error_of(head + "gpus: 3\n"), HasSubstr("3:7: gpus: expected a list"));
  EXPECT_THAT(error_of(head + "gpus: [3]\n"), HasSubstr("gpus[0]: expected keys and values"));
  EXPECT_THAT(error_of(head + "notes: [[]]\n"), HasSubstr("notes[0]: expected one value"));
  EXPECT_THAT(error_of(head + "notes: [\"a\\eb\"]\n"), HasSubstr("a?b has characters that cannot"));
  EXPECT_EQ(error_of(head + "notes: [Grün]\n"), "");
  for (const char* bytes : {"\xff", "\xc3", "\xed\xa0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_NE(error_of(head + "notes: [\"" + bytes + "\"]\n"), "") << bytes;
  }
  EXPECT_THAT(error_of(head + "gpus: *here\n"), StartsWith("machine.yaml:3:"));
  EXPECT_THAT(error_of(head + "gpus: &a [*a]\n"), HasSubstr("gpus[0]: expected keys and values"));
  EXPECT_THAT(error_of("version: [1\n"), StartsWith("machine.yaml:"));
  EXPECT_THAT(error_of(std::string(5000, '[')), StartsWith("machine.yaml:"));
  EXPECT_THAT(error_of(std::string(kProfileBytesMax + 1, ' ')), HasSubstr("65537 bytes, expected"));
}

TEST(HardwareProfileYaml, RefusesValuesThatAreNone) {
  EXPECT_THAT(error_of(changed("1.5e+15", "nan")), HasSubstr("nan, expected a number of 0"));
  EXPECT_THAT(error_of(changed("1.5e+15", "-1")), HasSubstr("fp8_flops_per_s: -1, expected"));
  EXPECT_THAT(error_of(changed("amx", "mmx")), HasSubstr("processor.levels[4]: mmx, expected"));
  EXPECT_THAT(error_of(changed("\"9.0\"", "90")), HasSubstr("90, expected major.minor"));
  EXPECT_THAT(error_of(changed("cores: 64", "cores: 6e1")), HasSubstr("cores: 6e1, expected 1 to"));
  EXPECT_THAT(error_of(changed("NVIDIA H200", std::string(1100, 'x'))), HasSubstr("1100 bytes"));
  EXPECT_THAT(error_of(changed("avx512_bf16: true", "avx512_bf16: 1")), HasSubstr("true or false"));
}

}  // namespace
}  // namespace neuros::device
