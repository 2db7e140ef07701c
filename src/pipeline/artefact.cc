#include "pipeline/artefact.h"

#include "base/xxh64.h"
#include "formats/gguf_reader.h"
#include "plan/map_hash.h"
#include "plan/plan_file.h"

#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace neuros::pipeline {
namespace {

using formats::ArtefactPart;
using formats::ArtefactTrailer;

template <typename T>
base::Result<T> about(const std::string& path, base::Result<T> result) {
  if (result) return result;
  return tl::unexpected(with_context(std::move(result).error(), path));
}

/// Of a part that is read into memory: all but weights.
constexpr uint64_t kPartBytesMax = uint64_t{1} << 30;

base::Result<std::vector<std::byte>> read_part(const base::DirectFile& file,
                                               const ArtefactPart& part, const std::string& what) {
  if (part.bytes > kPartBytesMax) {
    return base::fail(file.path() + ": " + what + " of " + std::to_string(part.bytes) +
                      " bytes, limit " + std::to_string(kPartBytesMax));
  }
  std::vector<std::byte> bytes(part.bytes);
  TRY(file.read(part.offset, bytes));
  if (base::xxh64(bytes) == part.hash) return bytes;
  return base::fail(file.path() + ": " + what + " is damaged: its hash differs");
}

/// Of a file that does not end as an artefact does: whether it had more to it.
base::Result<> check_no_rest(const base::DirectFile& file) {
  std::array<std::byte, formats::kElfHeaderBytes> header{};
  TRY(file.read(0, header));
  const auto bytes = formats::executable_bytes(header);
  if (!bytes || *bytes == file.size()) return {};
  if (*bytes > file.size()) {
    return base::fail(file.path() + ": " + std::to_string(file.size()) +
                      " bytes, its executable alone has " + std::to_string(*bytes) +
                      ": it is cut short");
  }
  return base::fail(file.path() + ": " + std::to_string(file.size() - *bytes) +
                    " bytes behind the executable do not end as an artefact does: it is cut short "
                    "or damaged");
}

base::Result<std::optional<ArtefactTrailer>> read_trailer(const base::DirectFile& file) {
  std::array<std::byte, formats::kArtefactTrailerBytes> end{};
  if (file.size() < end.size()) return std::nullopt;
  TRY(file.read(file.size() - end.size(), end));
  auto trailer = TRY(about(file.path(), formats::parse_artefact_trailer(end, file.size())));
  if (!trailer) TRY(check_no_rest(file));
  return trailer;
}

}  // namespace

base::Result<std::optional<Artefact>> Artefact::find(const std::string& path) {
  base::DirectFile file = TRY(base::DirectFile::open(path));
  const auto trailer = TRY(read_trailer(file));
  if (!trailer) return std::nullopt;
  Artefact artefact = TRY(read(std::move(file), *trailer));
  return std::optional<Artefact>(std::move(artefact));
}

base::Result<Artefact> Artefact::read(base::DirectFile file, const ArtefactTrailer& trailer) {
  std::vector<std::byte> bytes(trailer.index_bytes);
  TRY(file.read(trailer.index_offset, bytes));
  formats::ArtefactIndex index =
      TRY(about(file.path(), formats::parse_artefact_index(bytes, trailer)));
  const std::vector<std::byte> plan_bytes = TRY(read_part(file, index.plan, "its plan"));
  plan::FleetPlan plan = TRY(about(file.path(), plan::read_plan(plan_bytes)));
  if (plan.models.size() != index.models.size()) {
    return base::fail(file.path() + ": a plan of " + std::to_string(plan.models.size()) +
                      " models, weights of " + std::to_string(index.models.size()));
  }
  const std::vector<std::byte> text =
      TRY(read_part(file, index.specification, "its specification"));
  std::string specification(reinterpret_cast<const char*>(text.data()), text.size());
  return Artefact(std::move(file), std::move(index), std::move(plan), std::move(specification));
}

std::string Artefact::weights_path() const {
  if (index_.weights_file.empty()) return path();
  return std::filesystem::path(path()).replace_filename(index_.weights_file).string();
}

base::Result<> Artefact::check_weights_file() const {
  if (index_.weights_file.empty()) return {};
  auto file = base::DirectFile::open(weights_path());
  if (!file) {
    return tl::unexpected(with_context(std::move(file).error(), "the weights of " + path()));
  }
  if (file->size() == index_.weights_file_bytes) return {};
  return base::fail(weights_path() + ": " + std::to_string(file->size()) +
                    " bytes, the weights of " + path() + " have " +
                    std::to_string(index_.weights_file_bytes) +
                    ": it is cut short or of another build");
}

base::Result<runtime::PackedWeightsFile> Artefact::open_weights(const formats::ArtefactModel& model,
                                                                const plan::Plan& plan) const {
  runtime::PackedWeightsFile weights = TRY(runtime::PackedWeightsFile::open_part(
      weights_path(), model.weights.offset, model.weights.bytes));
  if (weights.header_hash() == model.weights.hash &&
      weights.header().key == plan::map_hash(plan_)) {
    TRY(check_segments(weights, plan));
    return weights;
  }
  return base::fail(weights_path() + ": not the weights that " + path() +
                    " was built with: their hash differs");
}

base::Result<PreparedModel> Artefact::prepare(const formats::ArtefactModel& model,
                                              const plan::Plan& plan) const {
  const std::string what = "metadata of model " + model.id;
  const std::vector<std::byte> bytes = TRY(read_part(file_, model.metadata, what));
  PreparedModel prepared;
  prepared.id = model.id;
  prepared.metadata = TRY(about(path() + ": " + what, formats::parse_gguf(bytes)));
  prepared.metadata.path = path() + ": model " + model.id;
  auto weights = about("model " + model.id, open_weights(model, plan));
  if (weights) {
    prepared.weights = std::make_shared<const runtime::PackedWeightsFile>(std::move(*weights));
  } else {
    prepared.broken = std::move(weights).error();
  }
  return prepared;
}

base::Result<PreparedFleet> Artefact::prepare() const {
  TRY(check_weights_file());
  PreparedFleet fleet{.plan = plan_, .models = {}};
  for (size_t i = 0; i < index_.models.size(); ++i) {
    fleet.models.push_back(TRY(prepare(index_.models[i], plan_.models[i])));
  }
  return fleet;
}

}  // namespace neuros::pipeline
