/// Artefacts: what was built answers as what it was built from does, and whatever is wrong with one
/// is an error that names the file.

#include "formats/artefact.h"

#include "base/mapped_file.h"
#include "base/testing/temporary_directory.h"
#include "builder/synth.h"
#include "hf_directory.h"
#include "pipeline/answer.h"
#include "pipeline/artefact.h"
#include "pipeline/artefact_builder.h"
#include "plan/plan_file.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace neuros {
namespace {

namespace fs = std::filesystem;
using pipeline::ArtefactWeights;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr size_t kMemory = size_t{200} << 20;

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read(const std::string& path) {
  return base::read_text_file(path).value_or("");
}

/// An ELF file as far as its length goes.
std::string executable() {
  Elf64_Ehdr elf{};
  std::memcpy(elf.e_ident, ELFMAG, SELFMAG);
  elf.e_ident[EI_CLASS] = ELFCLASS64;
  elf.e_ident[EI_DATA] = ELFDATA2LSB;
  elf.e_shoff = 4936;
  elf.e_shentsize = 64;
  elf.e_shnum = 1;
  std::string bytes(5000, 'x');
  std::memcpy(bytes.data(), &elf, sizeof elf);
  return bytes;
}

/// Two models, a pretended program, and what is built of them.
class ArtefactTest : public ::testing::Test {
 protected:
  ArtefactTest() {
    write(program_, executable());
    for (const auto& [path, spec] : {std::pair(a_, "llama-tiny:q8_0"), {b_, "llama-tiny:q4_0"}}) {
      EXPECT_TRUE(builder::synthesise(spec, path, {}).has_value());
    }
  }

  std::string path(const std::string& name) const { return folder_.file(name); }
  pipeline::ModelOptions options(size_t memory = kMemory) const {
    pipeline::ModelOptions options;
    options.threads = 1;
    options.memory_bytes = memory;
    options.context = 64;
    options.parallel = 2;
    options.batch_tokens = 16;
    options.weight_cache = path("cache");
    return options;
  }
  base::Result<pipeline::ArtefactReport> build(const std::string& name,
                                               ArtefactWeights weights = ArtefactWeights::kInside,
                                               size_t memory = kMemory) const {
    return pipeline::build_artefact({.output = path(name),
                                     .specification = "models: {}\n",
                                     .models = models_,
                                     .options = options(memory),
                                     .weights = weights,
                                     .executable = program_});
  }

  static std::unique_ptr<pipeline::ModelFleet> boot(const std::string& file,
                                                    const pipeline::BootOptions& options = {}) {
    const auto artefact = pipeline::Artefact::find(file);
    if (!artefact || !*artefact) return nullptr;
    auto prepared = (*artefact)->prepare();
    if (!prepared) return nullptr;
    auto fleet = pipeline::ModelFleet::boot(std::move(*prepared), options);
    return fleet ? std::move(*fleet) : nullptr;
  }
  /// Of a file that ought to be none that can be booted, or not with all of its models; "": it can.
  static std::string error_of(const std::string& file) {
    const auto artefact = pipeline::Artefact::find(file);
    if (!artefact) return artefact.error().message;
    if (!*artefact) return "no artefact";
    auto prepared = (*artefact)->prepare();
    if (!prepared) return prepared.error().message;
    const auto fleet = pipeline::ModelFleet::boot(std::move(*prepared), {});
    if (!fleet) return fleet.error().message;
    std::string errors;
    for (const auto& model : (*fleet)->models()) errors += model->boot_state().error;
    return errors;
  }
  static std::vector<std::string> answers(const pipeline::ModelFleet& fleet) {
    std::vector<std::string> texts;
    for (const auto& model : fleet.models()) {
      pipeline::GenerationRequest request;
      request.prompt = model->tokenizer().encode("once upon a time");
      request.max_tokens = 12;
      request.sampling.temperature = 0;
      const auto answer = pipeline::answer(*model, std::move(request));
      texts.push_back(answer ? model->id() + ": " + answer->text : answer.error().message);
    }
    return texts;
  }
  std::vector<std::string> answers_of_models(size_t memory) const {
    const auto fleet = pipeline::ModelFleet::open(models_, options(memory));
    EXPECT_TRUE(fleet.has_value());
    return fleet ? answers(**fleet) : std::vector<std::string>();
  }
  formats::ArtefactIndex index_of(const std::string& file) const {
    const std::string bytes = read(file);
    const auto all = std::as_bytes(std::span(bytes));
    const auto trailer =
        formats::parse_artefact_trailer(all.last<formats::kArtefactTrailerBytes>(), bytes.size());
    EXPECT_TRUE(trailer && *trailer);
    return *formats::parse_artefact_index(
        all.subspan((*trailer)->index_offset, (*trailer)->index_bytes), **trailer);
  }
  /// With one byte of a copy changed.
  std::string error_when_damaged(const std::string& file, uint64_t at) const {
    std::string bytes = read(file);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    write(path("damaged"), bytes);
    return error_of(path("damaged"));
  }

  const base::testing::TemporaryDirectory folder_;
  const std::string program_ = path("program"), a_ = path("a.gguf"), b_ = path("b.gguf");
  std::vector<pipeline::FleetModelOptions> models_{{.path = a_, .name = "a"},
                                                   {.path = b_, .name = "b"}};
};

TEST_F(ArtefactTest, AnswersAsItsModelsDo) {
  const auto report = build("app");
  ASSERT_TRUE(report.has_value()) << report.error().message;
  const std::string bytes = read(path("app"));
  EXPECT_EQ(report->file_bytes, bytes.size());
  EXPECT_EQ(bytes.substr(0, executable().size()), executable());
  const auto fleet = boot(path("app"));
  ASSERT_TRUE(fleet);
  EXPECT_EQ(fleet->models()[0]->load_report().from, runtime::LoadReport::From::kArtefact);
  EXPECT_EQ(answers(*fleet), answers_of_models(kMemory));
}

TEST_F(ArtefactTest, WhatDoesNotFitIsPagedFromTheArtefactItself) {
  const std::vector<std::string> expected = answers_of_models(kMemory);
  const auto whole = pipeline::plan_fleet(models_, options());
  ASSERT_TRUE(whole.has_value());
  const auto little = static_cast<size_t>(whole->device_bytes()) - (size_t{1} << 20);
  for (const auto weights : {ArtefactWeights::kInside, ArtefactWeights::kBeside}) {
    const auto report = build("app", weights, little);
    ASSERT_TRUE(report.has_value()) << report.error().message;
    ASSERT_TRUE(report->plan.pages());
    const size_t before = folder_.entries();
    const auto fleet = boot(path("app"));
    ASSERT_TRUE(fleet);
    EXPECT_EQ(answers(*fleet), expected);
    EXPECT_EQ(folder_.entries(), before) << "nothing is packed or copied";
    EXPECT_THAT(fleet->models()[0]->load_report().path, HasSubstr("app"));
  }
}

TEST_F(ArtefactTest, WritesATraceOfWhatRanAndWhatCame) {
  const auto whole = pipeline::plan_fleet(models_, options());
  ASSERT_TRUE(whole.has_value());
  const auto little = static_cast<size_t>(whole->device_bytes()) - (size_t{1} << 20);
  ASSERT_TRUE(build("app", ArtefactWeights::kInside, little).has_value());
  pipeline::BootOptions traced;
  traced.trace = path("trace.json");
  auto fleet = boot(path("app"), traced);
  ASSERT_TRUE(fleet);
  answers(*fleet);
  fleet.reset();
  const auto trace = nlohmann::json::parse(read(path("trace.json")), nullptr, false);
  ASSERT_FALSE(trace.is_discarded());
  const std::string text = trace.dump();
  for (const char* what : {"\"a weights\"", "\"b weights\"", "\"decode\"", "\"load "}) {
    EXPECT_THAT(text, HasSubstr(what));
  }
}

TEST_F(ArtefactTest, WeightsMayLieBesideIt) {
  const auto report = build("app", ArtefactWeights::kBeside);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->weights_file, path("app.weights"));
  EXPECT_EQ(report->weights_bytes, fs::file_size(path("app.weights")));
  EXPECT_LT(report->file_bytes, report->weights_bytes);
  const auto fleet = boot(path("app"));
  ASSERT_TRUE(fleet);
  EXPECT_EQ(answers(*fleet), answers_of_models(kMemory));
}

TEST_F(ArtefactTest, IsTheSameWhenItIsBuiltAgain) {
  ASSERT_TRUE(build("one") && build("two"));
  EXPECT_EQ(read(path("one")), read(path("two")));
  ASSERT_TRUE(build("one", ArtefactWeights::kBeside));
  const std::string app = read(path("one")), weights = read(path("one.weights"));
  ASSERT_TRUE(build("one", ArtefactWeights::kBeside));
  EXPECT_EQ(read(path("one")), app);
  EXPECT_EQ(read(path("one.weights")), weights);
}

TEST_F(ArtefactTest, OfAHuggingFaceDirectoryKnowsWhatItsFilesSay) {
  const testing::HfDirectory directory("artefact_hf", {{"architectures", {"Qwen3ForCausalLM"}},
                                                       {"model_type", "qwen3"},
                                                       {"max_position_embeddings", 256},
                                                       {"rope_theta", 10000.0},
                                                       {"tie_word_embeddings", true}});
  directory.write("generation_config.json", R"({"temperature": 0.25, "top_k": 7})");
  models_ = {{.path = directory.path(), .name = "hf"}};
  const auto report = build("app");
  ASSERT_TRUE(report.has_value()) << report.error().message;
  const auto built = boot(path("app"));
  const auto opened = pipeline::ModelFleet::open(models_, options());
  ASSERT_TRUE(built && opened);
  EXPECT_EQ(answers(*built), answers(**opened));
  const pipeline::LanguageModel &a = *built->models()[0], &b = *(*opened)->models()[0];
  EXPECT_EQ(a.chat_template_source(), b.chat_template_source());
  EXPECT_EQ(a.default_sampling().temperature, 0.25f);
  EXPECT_EQ(a.default_sampling().top_k, b.default_sampling().top_k);
  EXPECT_EQ(a.encode_chat("<|begin|>and then<|im_end|>"),
            b.encode_chat("<|begin|>and then<|im_end|>"));
}

TEST_F(ArtefactTest, HasThePlanAndTheSpecification) {
  const auto report = build("app");
  ASSERT_TRUE(report.has_value());
  const auto artefact = pipeline::Artefact::find(path("app"));
  ASSERT_TRUE(artefact && *artefact);
  EXPECT_EQ(plan::write_plan((*artefact)->plan()), plan::write_plan(report->plan));
  EXPECT_EQ((*artefact)->specification(), "models: {}\n");
}

TEST_F(ArtefactTest, AProgramAloneIsNone) {
  EXPECT_EQ(error_of(program_), "no artefact");
  EXPECT_EQ(error_of(a_), "no artefact");
  write(path("empty"), "");
  EXPECT_EQ(error_of(path("empty")), "no artefact");
}

TEST_F(ArtefactTest, NoticesDamageWhereverItIs) {
  ASSERT_TRUE(build("app"));
  const auto index = index_of(path("app"));
  const uint64_t end = fs::file_size(path("app"));
  const auto damaged = [&](uint64_t at) { return error_when_damaged(path("app"), at); };
  const auto names = [&](const char* what) {
    return AllOf(HasSubstr(path("damaged")), HasSubstr(what));
  };
  EXPECT_THAT(damaged(index.plan.offset + 100), names("its plan is damaged"));
  EXPECT_THAT(damaged(index.specification.offset), names("its specification is damaged"));
  EXPECT_THAT(damaged(index.models[1].metadata.offset + 50), names("metadata of model b"));
  EXPECT_THAT(damaged(index.models[1].weights.offset + 60), names("header is damaged"));
  EXPECT_THAT(damaged(index.models[0].weights.end() - 4096), names("segment head is damaged"));
  EXPECT_THAT(damaged(end - formats::kArtefactTrailerBytes - 1), names("its index is damaged"));
  EXPECT_THAT(damaged(end - 1), names("its trailer is damaged"));
  EXPECT_THAT(damaged(end - formats::kArtefactTrailerBytes), names("cut short or damaged"));
}

TEST_F(ArtefactTest, AModelWithAFlippedByteLeavesTheOthersAlone) {
  const std::vector<std::string> expected = answers_of_models(kMemory);
  ASSERT_TRUE(build("app"));
  const auto index = index_of(path("app"));
  for (const uint64_t at : {index.models[0].weights.end() - 4096,  // of a segment
                            index.models[0].weights.offset + 60}) {
    error_when_damaged(path("app"), at);
    for (const sched::BootMode mode : {sched::BootMode::kEager, sched::BootMode::kOnDemand}) {
      const auto fleet = boot(path("damaged"), {.on_progress = {}, .boot = mode});
      ASSERT_TRUE(fleet);
      const std::vector<std::string> said = answers(*fleet);
      EXPECT_THAT(said[0], AllOf(HasSubstr(path("damaged")), HasSubstr("is damaged")));
      EXPECT_EQ(said[1], expected[1]) << name(mode);
      EXPECT_EQ(fleet->models()[0]->boot_state().state, runtime::ModelState::kFailed);
    }
  }
}

TEST_F(ArtefactTest, NoticesThatItIsCutShort) {
  ASSERT_TRUE(build("app"));
  const std::string bytes = read(path("app"));
  for (const size_t left : {bytes.size() - 1, bytes.size() / 2, size_t{8192}, size_t{4000}}) {
    write(path("short"), bytes.substr(0, left));
    EXPECT_THAT(error_of(path("short")), AllOf(HasSubstr(path("short")), HasSubstr("cut short")));
  }
}

TEST_F(ArtefactTest, KnowsItsWeightsFile) {
  ASSERT_TRUE(build("app", ArtefactWeights::kBeside));
  const std::string weights = read(path("app.weights"));
  fs::remove(path("app.weights"));
  EXPECT_THAT(error_of(path("app")), AllOf(HasSubstr("app.weights"), HasSubstr("No such file")));
  write(path("app.weights"), weights.substr(0, weights.size() - 4096));
  EXPECT_THAT(error_of(path("app")), HasSubstr("cut short or of another build"));
  std::string damaged = weights;
  damaged[damaged.size() - 4096] ^= 1;
  write(path("app.weights"), damaged);
  EXPECT_THAT(error_of(path("app")), HasSubstr("segment head is damaged"));
  ASSERT_TRUE(builder::synthesise("llama-tiny:q8_0", b_, {}).has_value());
  ASSERT_TRUE(build("other", ArtefactWeights::kBeside));
  fs::copy_file(path("other.weights"), path("app.weights"), fs::copy_options::overwrite_existing);
  EXPECT_THAT(error_of(path("app")), HasSubstr("another build"));
}

TEST_F(ArtefactTest, WeightsOfTheSameLengthMayBeOfAnotherBuildToo) {
  ASSERT_TRUE(build("app", ArtefactWeights::kBeside));
  std::swap(models_[0].path, models_[1].path);
  ASSERT_TRUE(build("other", ArtefactWeights::kBeside));
  ASSERT_EQ(fs::file_size(path("app.weights")), fs::file_size(path("other.weights")));
  fs::copy_file(path("other.weights"), path("app.weights"), fs::copy_options::overwrite_existing);
  EXPECT_THAT(error_of(path("app")), HasSubstr("app.weights"));
}

TEST_F(ArtefactTest, BootsOnTheMachineItWasPlannedForOnly) {
  pipeline::ModelOptions other = options();
  device::ProcessorProfile& processor = other.planned_for.emplace().processor.emplace();
  processor.cores = processor.threads = 1000;
  processor.memory_bytes = int64_t{1} << 44;
  processor.levels = {base::CpuLevel::kGeneric};
  other.threads = 1000;
  const auto built = pipeline::build_artefact({.output = path("app"),
                                               .specification = "",
                                               .models = models_,
                                               .options = other,
                                               .executable = program_});
  ASSERT_TRUE(built.has_value()) << built.error().message;
  EXPECT_THAT(error_of(path("app")), HasSubstr("this machine is not the one planned for"));
}

TEST_F(ArtefactTest, LeavesNothingWhereItCannotBeBuilt) {
  ASSERT_TRUE(build("app"));
  const std::string before = read(path("app"));
  const size_t files_before = folder_.entries();
  write(b_, "no model");
  EXPECT_FALSE(build("app").has_value());
  EXPECT_FALSE(build("app", ArtefactWeights::kBeside).has_value());
  EXPECT_EQ(read(path("app")), before);
  EXPECT_EQ(folder_.entries(), files_before);
  EXPECT_THAT(build("none/app").error().message, HasSubstr("b.gguf"));
}

}  // namespace
}  // namespace neuros
