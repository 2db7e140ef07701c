#include "builder/convert.h"

#include "base/thread_pool.h"
#include "builder/convert_plan.h"
#include "builder/convert_tensor.h"
#include "builder/type_mix.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <thread>
#include <vector>

namespace neuros::builder {
namespace {

namespace fs = std::filesystem;

/// Share of the weights' size (RMS) from which on a rounding to ternary is worth a note.
constexpr double kNotableLoss = 0.02;

base::Result<TypeMix> mix_named(const std::string& type) {
  if (auto mix = find_type_mix(type)) return *std::move(mix);
  std::string known;
  for (const std::string& name : type_mix_names()) known += (known.empty() ? "" : ", ") + name;
  return base::fail("type " + type + ": not known; known: " + known);
}

/// The source is mapped while the output is written.
base::Result<> check_output(const std::string& output, const formats::Checkpoint& checkpoint) {
  std::error_code ignored;
  if (fs::is_directory(output, ignored)) return base::fail(output + ": is a directory");
  for (const base::MappedFile& file : checkpoint.files) {
    if (fs::equivalent(output, file.path(), ignored)) {
      return base::fail(output + ": is what would be read; choose another name for the output");
    }
  }
  return {};
}

base::Result<> check_space(const std::string& output, uint64_t bytes) {
  std::error_code error;
  const fs::path folder = fs::absolute(output, error).parent_path();
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= bytes) return {};
  return base::fail(output + ": needs " + std::to_string(bytes) + " bytes, the disk has " +
                        std::to_string(space.available) + " left",
                    base::ErrorKind::kIo);
}

int thread_count(int wanted) {
  if (wanted > 0) return wanted;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// Takes pages that were read out of this process's memory.
void drop_pages(const formats::Checkpoint& checkpoint, std::span<const std::byte> part) {
  for (const base::MappedFile& file : checkpoint.files) {
    const auto bytes = file.bytes();
    const bool inside =
        part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size();
    if (inside) file.drop(part);
  }
}

std::vector<std::string> notes_on_loss(const std::string& type, const RoundingLoss& loss) {
  if (loss.squared_values <= 0.0) return {};
  const double share = std::sqrt(loss.squared_error / loss.squared_values);
  if (!std::isfinite(share) || share < kNotableLoss) return {};
  return {type + " is made for ternary weights; rounding these changed them by " +
          std::to_string(static_cast<int>(std::lround(100.0 * share))) + " % (RMS)"};
}

base::Result<> write_tensors(const formats::Checkpoint& checkpoint, const ConvertPlan& plan,
                             const ConvertOptions& options, formats::GgufWriter& writer,
                             TensorConverter& converter) {
  const auto on_piece = [&] {
    if (!options.on_progress) return;
    options.on_progress(static_cast<double>(writer.bytes_written()) /
                        static_cast<double>(writer.bytes_total()));
  };
  for (const ConvertedTensor& tensor : plan.tensors) {
    TRY(converter.write(tensor, writer, on_piece));
    drop_pages(checkpoint, tensor.source.bytes);
  }
  return {};
}

}  // namespace

base::Result<> convert(const std::string& path, const std::string& output, const std::string& type,
                       const ConvertOptions& options) {
  const TypeMix mix = TRY(mix_named(type));
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(path));
  TRY(check_output(output, checkpoint));
  const ConvertPlan plan = TRY(plan_conversion(checkpoint, mix));
  formats::GgufWriter writer =
      TRY(formats::GgufWriter::create(output, plan.metadata, plan.declarations()));
  TRY(check_space(output, writer.bytes_total()));
  base::ThreadPoolOptions threads;
  threads.threads = thread_count(options.threads);
  base::ThreadPool pool(threads);
  TensorConverter converter(pool, options.importance);
  TRY(write_tensors(checkpoint, plan, options, writer, converter));
  TRY(writer.finish());
  if (!options.on_note) return {};
  for (const std::string& note : plan.notes) options.on_note(note);
  for (const std::string& note : notes_on_loss(mix.name, converter.ternary_loss())) {
    options.on_note(note);
  }
  return {};
}

}  // namespace neuros::builder
