/// A model file cut anywhere, or with a byte changed anywhere, gives an error or a model that runs;
/// never a crash. The whole path is walked: open, plan, boot, generate.

#include "base/mapped_file.h"
#include "pipeline/answer.h"
#include "pipeline/language_model.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace {

using namespace neuros;

constexpr int kDamages = 1000;
constexpr uint64_t kSeed = 20261121;

const std::string kModel = NEUROS_SOURCE_DIR "/../shared/data/models/stories260K.gguf";

/// A file in the temporary folder that goes with the object.
class DamagedFile {
 public:
  DamagedFile()
      : path_((std::filesystem::temp_directory_path() /
               ("neuros_damage_" + std::to_string(::getpid()) + ".gguf"))
                  .string()) {}
  ~DamagedFile() { std::filesystem::remove(path_); }
  void write(const std::string& bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// True if the file loads and answers; an error must say something.
bool loads_and_answers(const std::string& path) {
  pipeline::ModelOptions options;
  options.threads = 1;
  options.context = 32;
  options.batch_tokens = 32;
  options.parallel = 1;
  auto model = pipeline::LanguageModel::open(path, options);
  if (!model) {
    EXPECT_FALSE(model.error().message.empty());
    return false;
  }
  pipeline::GenerationRequest request;
  request.prompt = (*model)->tokenizer().encode("Once upon a time");
  if (request.prompt.empty() || request.prompt.size() > 24) return true;
  request.max_tokens = 3;
  request.sampling.seed = 1;
  pipeline::answer(**model, std::move(request));
  return true;
}

class Damage : public testing::Test {
 protected:
  void SetUp() override {
    auto bytes = base::read_text_file(kModel);
    if (!bytes) GTEST_SKIP() << "reference data is absent: " << bytes.error().message;
    whole_ = std::move(*bytes);
    std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  }
  std::string whole_;
  DamagedFile file_;
};

TEST_F(Damage, CutAnywhere) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < kDamages; ++i) {
    const size_t size = random() % whole_.size();
    file_.write(whole_.substr(0, size));
    EXPECT_FALSE(loads_and_answers(file_.path())) << "cut at " << size;
  }
}

TEST_F(Damage, AnyByteChanged) {
  std::mt19937_64 random(kSeed + 1);
  constexpr size_t kHeaderBytes = 16384;  // half of the changes hit what is parsed
  int loaded = 0;
  for (int i = 0; i < kDamages; ++i) {
    std::string changed = whole_;
    const size_t at = i % 2 == 0 ? random() % kHeaderBytes : random() % whole_.size();
    changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1 + random() % 255));
    file_.write(changed);
    loaded += loads_and_answers(file_.path()) ? 1 : 0;
  }
  std::printf("%d of %d changed files load\n", loaded, kDamages);
  EXPECT_GT(loaded, kDamages / 4);  // weights may have any value
}

}  // namespace
