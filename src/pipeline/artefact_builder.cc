#include "pipeline/artefact_builder.h"

#include "base/mapped_file.h"
#include "base/new_file.h"
#include "base/xxh64.h"
#include "builder/model_header.h"
#include "formats/artefact.h"
#include "formats/checkpoint.h"
#include "pipeline/model_opening.h"
#include "plan/map_hash.h"
#include "plan/plan_file.h"
#include "runtime/host_packing.h"
#include "runtime/op_tables.h"

#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace neuros::pipeline {
namespace {

using base::NewFile;
using formats::ArtefactPart;

uint64_t aligned(uint64_t bytes) {
  return (bytes + formats::kArtefactAlignment - 1) / formats::kArtefactAlignment *
         formats::kArtefactAlignment;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Builds one artefact: everything but the weights is made first, so that every part's place is
/// known before a byte is written.
class Build {
 public:
  static base::Result<Build> start(const ArtefactRequest& request);
  base::Result<ArtefactReport> finish();

 private:
  Build(const ArtefactRequest& request, base::MappedFile executable)
      : request_(request), executable_(std::move(executable)) {}

  base::Result<> describe_models();
  void place_parts();
  ArtefactPart place(std::span<const std::byte> bytes);
  void place_weights();
  runtime::PackedWeightsLabel label(size_t model) const;
  base::Result<> create_files();
  base::Result<> write_parts();
  base::Result<> write_weights(size_t model);
  base::Result<> write_end();
  const base::DirectFile& weights_file() const {
    return beside_ ? beside_->file() : artefact_->file();
  }
  uint64_t file_bytes() const {
    return index_offset_ + formats::encode_artefact_index(index_).size() +
           formats::kArtefactTrailerBytes;
  }

  const ArtefactRequest& request_;
  base::MappedFile executable_;
  plan::FleetPlan plan_;
  std::vector<std::byte> plan_bytes_;
  std::vector<std::string> metadata_;  ///< of each model
  formats::ArtefactIndex index_;
  uint64_t next_ = 0;  ///< where the next part goes
  uint64_t index_offset_ = 0;
  std::optional<NewFile> artefact_, beside_;
};

base::Result<Build> Build::start(const ArtefactRequest& request) {
  if (request.models.empty()) return base::fail(request.output + ": an artefact without models");
  base::MappedFile executable = TRY(base::MappedFile::open(request.executable));
  Build build(request, std::move(executable));
  build.plan_ = TRY(plan_fleet(request.models, request.options, request.wishes));
  // What else was free when it was made is nothing that the artefact needs.
  if (request.options.memory_bytes == 0) build.plan_.budget_bytes = build.plan_.device_bytes();
  build.plan_bytes_ = plan::write_plan(build.plan_);
  TRY(build.describe_models());
  build.place_parts();
  return build;
}

/// Their tokenizers are read too: what does not boot is not built.
base::Result<> Build::describe_models() {
  for (size_t i = 0; i < plan_.models.size(); ++i) {
    ModelOptions named = request_.options;
    named.name = plan_.allocations[i].names.front();
    const OpenedModel opened = TRY(open_model(plan_.models[i].model_path, named));
    metadata_.push_back(TRY(builder::model_header(opened.checkpoint)));
    index_.models.push_back({.id = opened.id, .metadata = {}, .weights = {}});
  }
  return {};
}

ArtefactPart Build::place(std::span<const std::byte> bytes) {
  const ArtefactPart part{next_, bytes.size(), base::xxh64(bytes)};
  next_ = aligned(part.end());
  return part;
}

void Build::place_parts() {
  next_ = aligned(executable_.bytes().size());
  index_.plan = place(plan_bytes_);
  index_.specification = place(bytes_of(request_.specification));
  for (size_t i = 0; i < metadata_.size(); ++i) {
    index_.models[i].metadata = place(bytes_of(metadata_[i]));
  }
  const uint64_t end_of_parts = next_;
  if (request_.weights == ArtefactWeights::kBeside) next_ = 0;
  place_weights();
  if (request_.weights == ArtefactWeights::kBeside) {
    index_.weights_file = std::filesystem::path(request_.output).filename().string() + ".weights";
    index_.weights_file_bytes = std::exchange(next_, end_of_parts);
  }
  index_offset_ = next_;
}

void Build::place_weights() {
  for (size_t i = 0; i < index_.models.size(); ++i) {
    const uint64_t bytes = runtime::packed_weights_file_bytes(label(i), plan_.models[i]);
    index_.models[i].weights = {next_, bytes, 0};
    next_ += bytes;
  }
}

runtime::PackedWeightsLabel Build::label(size_t model) const {
  return {.key = plan::map_hash(plan_),
          .made_for = index_.models[model].id + " for " + plan_.models[model].op_table};
}

base::Result<> Build::create_files() {
  artefact_.emplace(TRY(NewFile::create(request_.output, file_bytes())));
  if (request_.weights == ArtefactWeights::kInside) return {};
  beside_.emplace(TRY(NewFile::create(request_.output + ".weights", index_.weights_file_bytes)));
  return {};
}

base::Result<> Build::write_parts() {
  const base::DirectFile& file = artefact_->file();
  TRY(file.write(0, executable_.bytes()));
  TRY(file.write(index_.plan.offset, plan_bytes_));
  TRY(file.write(index_.specification.offset, bytes_of(request_.specification)));
  for (size_t i = 0; i < metadata_.size(); ++i) {
    TRY(file.write(index_.models[i].metadata.offset, bytes_of(metadata_[i])));
  }
  return {};
}

base::Result<> Build::write_weights(size_t model) {
  const plan::Plan& plan = plan_.models[model];
  const kernels::OpTable* ops = runtime::find_op_table(plan.op_table);
  if (ops == nullptr) {
    return base::fail("this program does not have kernels " + plan.op_table,
                      base::ErrorKind::kUnsupported);
  }
  const formats::Checkpoint checkpoint = TRY(formats::open_checkpoint(plan.model_path));
  ArtefactPart& part = index_.models[model].weights;
  part.hash = TRY(runtime::pack_to_file({weights_file(), part.offset}, label(model), plan,
                                        checkpoint, *ops, request_.options.on_progress));
  return {};
}

base::Result<> Build::write_end() {
  const std::vector<std::byte> index = formats::encode_artefact_index(index_);
  const auto trailer = formats::encode_artefact_trailer({.file_bytes = file_bytes(),
                                                         .payload_offset = index_.plan.offset,
                                                         .index_offset = index_offset_,
                                                         .index_bytes = index.size(),
                                                         .index_hash = base::xxh64(index)});
  TRY(artefact_->file().write(index_offset_, index));
  return artefact_->file().write(index_offset_ + index.size(), trailer);
}

/// Both files are whole before either has its name.
base::Result<ArtefactReport> Build::finish() {
  TRY(create_files());
  TRY(write_parts());
  for (size_t i = 0; i < index_.models.size(); ++i) TRY(write_weights(i));
  TRY(write_end());
  TRY(artefact_->synchronise(NewFile::Mode::kExecutable));
  if (beside_) TRY(beside_->synchronise(NewFile::Mode::kData));
  ArtefactReport report{.plan = std::move(plan_), .file_bytes = file_bytes()};
  for (const formats::ArtefactModel& model : index_.models) {
    report.weights_bytes += model.weights.bytes;
  }
  if (beside_) report.weights_file = request_.output + ".weights";
  if (beside_) TRY(beside_->publish());
  TRY(artefact_->publish());
  return report;
}

}  // namespace

base::Result<ArtefactReport> build_artefact(const ArtefactRequest& request) {
  Build build = TRY(Build::start(request));
  return build.finish();
}

}  // namespace neuros::pipeline
