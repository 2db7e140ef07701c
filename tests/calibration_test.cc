/// What a text says of a model's inputs, and how that decides which weights lose precision.

#include "base/testing/temporary_directory.h"
#include "builder/convert.h"
#include "builder/spec/pipeline_yaml.h"
#include "builder/synth.h"
#include "device/cpu/cpu_device.h"
#include "formats/checkpoint.h"
#include "kernels/quantise.h"
#include "pipeline/calibration_text.h"
#include "pipeline/input_squares.h"
#include "pipeline/measure_importance.h"
#include "pipeline/model_fleet.h"
#include "pipeline/spec_fleet.h"
#include "plan/plan_file.h"
#include "runtime/executor.h"
#include "runtime/weight_packing.h"
#include "runtime/work_arena.h"
#include "tiny_model.h"

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neuros {
namespace {

using base::testing::TemporaryDirectory;
using ::testing::Contains;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using testing::TinyModel;

/// What kernels are handed as inputs of a matrix, by where the matrix lies.
struct Capture {
  struct Inputs {
    std::vector<double> squares;
    int64_t rows = 0;
  };

  void add(const kernels::PackedMatrix& matrix, const float* x, int64_t tokens) {
    Inputs& inputs = by_matrix[matrix.data];
    inputs.squares.resize(static_cast<size_t>(matrix.cols));
    for (int64_t t = 0; t < tokens; ++t) {
      for (size_t j = 0; j < inputs.squares.size(); ++j) {
        const auto value = static_cast<double>(x[static_cast<size_t>(t * matrix.cols) + j]);
        inputs.squares[j] += value * value;
      }
    }
    inputs.rows += tokens;
  }

  std::map<const std::byte*, Inputs> by_matrix;
};

/// Of the test that runs; kernels are plain functions.
Capture* capturing = nullptr;

template <typename Args>
std::vector<float> normed(const kernels::OpContext& context, const Args& args, int64_t tokens,
                          int64_t cols) {
  std::vector<float> out(static_cast<size_t>(tokens * cols));
  kernels::ref_ops().rms_norm(context, {.x = args.x,
                                        .weight = args.norm_weight,
                                        .out = out.data(),
                                        .tokens = tokens,
                                        .cols = cols,
                                        .epsilon = args.epsilon});
  return out;
}

/// The reference, whose products tell what they are given.
kernels::OpTable capturing_ops() {
  kernels::OpTable table = kernels::ref_ops();
  table.qkv_rope = [](const kernels::OpContext& context, const kernels::QkvRopeArgs& args) {
    const std::vector<float> h = normed(context, args, args.tokens, args.wq.cols);
    for (const auto& matrix : {args.wq, args.wk, args.wv}) {
      capturing->add(matrix, h.data(), args.tokens);
    }
    kernels::ref_ops().qkv_rope(context, args);
  };
  table.gate_up = [](const kernels::OpContext& context, const kernels::GateUpArgs& args) {
    const std::vector<float> h = normed(context, args, args.tokens, args.gate.cols);
    for (const auto& matrix : {args.gate, args.up}) capturing->add(matrix, h.data(), args.tokens);
    kernels::ref_ops().gate_up(context, args);
  };
  table.logits = [](const kernels::OpContext& context, const kernels::LogitsArgs& args) {
    const auto rows = std::ssize(args.rows);  // all of the batch, in order
    const std::vector<float> h = normed(context, args, rows, args.head.cols);
    capturing->add(args.head, h.data(), rows);
    kernels::ref_ops().logits(context, args);
  };
  for (kernels::LinearKernel& kernel : table.linear) {
    if (!kernel) continue;
    kernel.run = [](const kernels::OpContext& context, const kernels::LinearArgs& args) {
      capturing->add(args.weight, args.x, args.tokens);
      kernels::ref_ops().linear_for(args.weight.dtype).run(context, args);
    };
  }
  return table;
}

TEST(InputSquares, AreThoseThatKernelsAreGiven) {
  const TinyModel model;
  const kernels::OpTable ops = capturing_ops();
  const plan::Plan plan = model.plan(ops, {.sequences = 8});
  const auto device = *device::open_cpu_device({.threads = 2, .memory_bytes = 256 << 20});
  const auto stream = *device->create_stream();
  const plan::Plan* const plans[] = {&plan};
  const auto work = *runtime::WorkArena::reserve(plans, *device);
  const auto arenas = *runtime::Arenas::reserve(plan.memory, *device, work.of(0));
  ASSERT_TRUE(
      runtime::pack_weights(plan, model.checkpoint(), ops, {*device, *stream, arenas.weights}, {}));
  runtime::Executor executor(plan, ops, *stream, arenas);
  pipeline::InputSquares squares(plan.program);
  executor.observe(&squares);
  Capture capture;
  capturing = &capture;
  const std::vector<sched::TokenId> four{5, 6, 7, 80}, two{1, 33};
  const std::vector<sched::PageId> pages{0, 1};
  const auto page = [&](size_t number) { return std::span(pages).subspan(number, 1); };
  const sched::BatchItem first{.id = 1, .tokens = four, .pages = page(0), .logits_all = true};
  const sched::BatchItem second{.id = 2, .tokens = two, .pages = page(1), .logits_all = true};
  ASSERT_TRUE(executor.forward({.items = {first}}));
  ASSERT_TRUE(executor.forward({.items = {first, second}}));
  const auto importance = squares.importance("a test");
  ASSERT_TRUE(importance.has_value()) << importance.error().message;
  EXPECT_EQ(importance->mean_squares.size(), 2 * 7 + 1U) << "two layers and the head";
  for (const auto& [name, means] : importance->mean_squares) {
    const auto offset = static_cast<size_t>(plan.find_weight(name)->offset);
    const Capture::Inputs& given = capture.by_matrix.at(arenas.weights.data() + offset);
    ASSERT_EQ(means.size(), given.squares.size()) << name;
    for (size_t j = 0; j < means.size(); ++j) {
      const double mean = given.squares[j] / static_cast<double>(given.rows);
      EXPECT_NEAR(static_cast<double>(means[j]) / mean, 1.0, 1e-4) << name << ", column " << j;
    }
  }
}

TEST(InputSquares, RefuseWhatIsNotFinite) {
  const TinyModel model;
  pipeline::InputSquares squares(model.plan(kernels::ref_ops(), {}).program);
  std::vector<float> x(64, 1.0f);
  x[9] = std::numeric_limits<float>::infinity();
  runtime::BoundLinear down;
  down.args.weight.cols = 64;
  down.args.x = x.data();
  constexpr size_t kFirstDown = 6;  // embed, rope, qkv, attention, output, gate and up
  squares.before_op(kFirstDown, down, 1);
  EXPECT_EQ(squares.importance("a test").error().message,
            "blk.0.ffn_down.weight: the inputs of column 9 are not finite");
}

/// A model of floats that is bytes and words of nobody's language, and texts for it.
class Calibration : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = folder_.file("model.gguf");
    ASSERT_TRUE(builder::synthesise("llama-tiny:bf16", path_, {}).has_value());
    opened_ = std::move(*pipeline::open_model(path_, {}));
  }
  static std::string letters(size_t bytes) {
    std::mt19937 random(1);
    std::string text;
    for (size_t i = 0; i < bytes; ++i) text += static_cast<char>('a' + random() % 26);
    return text;
  }
  base::Result<pipeline::CalibrationText> read(const std::string& text) const {
    return read_file(folder_.write("text.txt", text));
  }
  base::Result<pipeline::CalibrationText> read_file(const std::string& path) const {
    return pipeline::read_calibration_text(path, *opened_.tokenizer,
                                           pipeline::calibration_part_tokens(opened_.program));
  }
  /// What is wrong with a text, after its name.
  std::string error_of(const std::string& text) const {
    const auto read_text = read(text);
    return read_text ? "no error"
                     : read_text.error().message.substr(folder_.file("text.txt").size());
  }
  base::Result<builder::Importance> measure(const pipeline::CalibrationText& text,
                                            int32_t threads) const {
    pipeline::ModelOptions options;
    options.threads = threads;
    return pipeline::measure_importance(opened_, text, options);
  }
  /// A plan that has to give precision up.
  base::Result<plan::FleetPlan> plan(const std::string& calibration) const {
    pipeline::ModelOptions options;
    options.threads = 2;
    options.memory_bytes = size_t{11} << 20;
    options.context = 128;
    options.parallel = 1;
    return pipeline::plan_fleet({{.path = path_,
                                  .name = "llm",
                                  .terms = {.id = "llm", .precision = {"bf16", "q8_0", "q4_k_m"}},
                                  .calibration = calibration}},
                                options);
  }

  TemporaryDirectory folder_;
  std::string path_;
  pipeline::OpenedModel opened_;
};

TEST_F(Calibration, ReadsAShortTextWhole) {
  const auto text = read(letters(900));
  ASSERT_TRUE(text.has_value()) << text.error().message;
  std::vector<int32_t> ids;
  for (const std::vector<int32_t>& part : text->parts) {
    EXPECT_LE(part.size(), 512U);
    ids.insert(ids.end(), part.begin(), part.end());
  }
  EXPECT_EQ(std::ssize(ids), text->tokens);
  EXPECT_EQ(opened_.tokenizer->decode(ids), letters(900));
  EXPECT_EQ(text->description(),
            std::to_string(text->tokens) + " tokens of " + folder_.file("text.txt"));
}

TEST_F(Calibration, SamplesALongTextFromItsFirstTokenToItsLast) {
  const std::string whole = letters(40'000);
  const auto text = read(whole);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  ASSERT_EQ(text->parts.size(), pipeline::CalibrationText::kPartsMax);
  EXPECT_EQ(text->tokens, 4 * 512);
  size_t from = 0;
  for (const std::vector<int32_t>& part : text->parts) {
    const std::string words = opened_.tokenizer->decode(part);
    const size_t at = whole.find(words, from);
    ASSERT_NE(at, std::string::npos);
    from = at + words.size();
  }
  EXPECT_EQ(from, whole.size());
  EXPECT_TRUE(whole.starts_with(opened_.tokenizer->decode(text->parts.front())));
}

TEST_F(Calibration, KnowsControlTokens) {
  const text::Vocabulary& vocabulary = opened_.tokenizer->vocabulary();
  ASSERT_TRUE(vocabulary.eos.has_value());
  const auto text =
      read(letters(900) + vocabulary.pieces[static_cast<size_t>(*vocabulary.eos)].text);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->parts.back().back(), *vocabulary.eos);
}

TEST_F(Calibration, SaysWhatIsWrongWithAText) {
  EXPECT_EQ(error_of(""), ": empty, expected text");
  EXPECT_EQ(error_of("word \xff"), ": byte 5 is not UTF-8");
  EXPECT_EQ(error_of("a"), ": 1 tokens, expected at least 128");
  EXPECT_THAT(error_of(std::string(pipeline::CalibrationText::kFileBytesMax + 1, 'a')),
              HasSubstr(": 16777217 bytes, limit 16777216"));
  const std::string nowhere = folder_.file("nowhere.txt");
  const auto missing = read_file(nowhere);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().kind, base::ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr(nowhere));
  EXPECT_THAT(plan(nowhere).error().message, HasSubstr(nowhere)) << "also where it was not needed";
}

TEST_F(Calibration, IsTheSameOnAnyNumberOfThreads) {
  const auto text = read(letters(3000));
  ASSERT_TRUE(text.has_value());
  const auto one = measure(*text, 1);
  const auto three = measure(*text, 3);
  ASSERT_TRUE(one.has_value()) << one.error().message;
  ASSERT_TRUE(three.has_value()) << three.error().message;
  EXPECT_EQ(one->source, text->description());
  EXPECT_EQ(one->mean_squares.size(), 4 * 7 + 1U);
  EXPECT_TRUE(one->mean_squares == three->mean_squares) << "bits differ";
}

TEST_F(Calibration, OfThePlanIsSaidAndGivesTheSameBytesAgain) {
  const std::string text = folder_.write("notes.txt", letters(6000));
  const auto first = plan(text), again = plan(text), without = plan("");
  ASSERT_TRUE(first.has_value()) << first.error().message;
  ASSERT_TRUE(again && without);
  EXPECT_EQ(plan::write_plan(*first), plan::write_plan(*again));
  EXPECT_THAT(first->reasons, Contains("llm: sensitivity from 2048 tokens of " + text));
  EXPECT_THAT(without->reasons, Not(Contains(HasSubstr("sensitivity"))));
}

/// What a file's matrix has of the original's, as its products see it.
double error_of_products(const formats::Checkpoint& original, const formats::Checkpoint& rounded,
                         const std::string& matrix, std::span<const float> mean_squares) {
  const base::TensorView exact = *original.tensor(matrix), rough = *rounded.tensor(matrix);
  std::vector<float> a(static_cast<size_t>(exact.rows() * exact.cols())), b(a.size());
  kernels::dequantise(exact.dtype, exact.bytes.data(), a);
  kernels::dequantise(rough.dtype, rough.bytes.data(), b);
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double lost = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    error += lost * lost * static_cast<double>(mean_squares[i % mean_squares.size()]);
  }
  return error;
}

TEST_F(Calibration, MakesAConversionLoseLessWhereItMatters) {
  const std::string matrix = "blk.1.ffn_down.weight", other = "blk.2.ffn_down.weight";
  std::vector<float> mean_squares(static_cast<size_t>(opened_.checkpoint.tensor(matrix)->cols()));
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (float& square : mean_squares) square = std::exp(3.0f * normal(random));
  const std::string plain = folder_.file("plain.gguf"), weighed = folder_.file("weighed.gguf");
  builder::ConvertOptions options;
  options.threads = 2;
  ASSERT_TRUE(builder::convert(path_, plain, "q4_k_m", options).has_value());
  options.importance.mean_squares[matrix] = mean_squares;
  ASSERT_TRUE(builder::convert(path_, weighed, "q4_k_m", options).has_value());
  const auto by_weights = *formats::open_checkpoint(plain);
  const auto by_products = *formats::open_checkpoint(weighed);
  EXPECT_LT(error_of_products(opened_.checkpoint, by_products, matrix, mean_squares),
            0.9 * error_of_products(opened_.checkpoint, by_weights, matrix, mean_squares));
  EXPECT_THAT(by_products.tensor(other)->bytes, ElementsAreArray(by_weights.tensor(other)->bytes));
}

TEST_F(Calibration, IsLookedForFromTheSpecificationsFolder) {
  const auto spec = builder::parse_pipeline(
      "models: {a: {file: m, precision: [f16, q8_0], calibration: ../notes.txt}, b: {file: m}}",
      "p.yaml");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  const auto models = pipeline::fleet_models(*spec, "some/where");
  ASSERT_TRUE(models.has_value());
  EXPECT_EQ((*models)[0].calibration, "some/notes.txt");
  EXPECT_EQ((*models)[1].calibration, "");
}

}  // namespace
}  // namespace neuros
