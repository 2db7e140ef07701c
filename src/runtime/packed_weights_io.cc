#include "runtime/packed_weights_io.h"

#include "base/part_pipeline.h"
#include "base/xxh64.h"
#include "runtime/part_upload.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <unistd.h>

namespace neuros::runtime {
namespace {

using formats::kPackedPartBytes;
using formats::PackedSegment;
using formats::PackedWeightsHeader;

/// What is read, hashed and copied at one time.
struct Part {
  uint64_t in_file = 0;  ///< from where the first segment begins
  std::span<std::byte> place;
};

size_t part_count(uint64_t segment_bytes) {
  return (segment_bytes + kPackedPartBytes - 1) / kPackedPartBytes;
}

/// The parts of one segment at `place`, in order.
void add_parts(uint64_t in_file, std::span<std::byte> place, std::vector<Part>& parts) {
  for (uint64_t done = 0; done < place.size(); done += kPackedPartBytes) {
    const uint64_t bytes = std::min(kPackedPartBytes, place.size() - done);
    parts.push_back({in_file + done, place.subspan(done, bytes)});
  }
}

/// The parts of all segments, which lie back to back in the file and have their places in the
/// arena.
std::vector<Part> parts_of(const std::vector<plan::SegmentPlacement>& segments,
                           std::span<std::byte> arena) {
  std::vector<Part> parts;
  uint64_t in_file = 0;
  for (const plan::SegmentPlacement& segment : segments) {
    const auto bytes = static_cast<size_t>(segment.bytes);
    add_parts(in_file, arena.subspan(static_cast<size_t>(segment.offset), bytes), parts);
    in_file += bytes;
  }
  return parts;
}

/// The hashes of the segments, from those of all parts in order.
std::vector<uint64_t> segment_hashes(std::span<const PackedSegment> segments,
                                     std::span<const uint64_t> part_hashes) {
  std::vector<uint64_t> hashes;
  for (const PackedSegment& segment : segments) {
    const size_t parts = part_count(segment.bytes);
    hashes.push_back(formats::packed_segment_hash(part_hashes.first(parts)));
    part_hashes = part_hashes.subspan(parts);
  }
  return hashes;
}

base::Result<> check_hashes(const std::string& path, std::span<const PackedSegment> segments,
                            std::span<const uint64_t> part_hashes) {
  const std::vector<uint64_t> hashes = segment_hashes(segments, part_hashes);
  for (size_t i = 0; i < segments.size(); ++i) {
    if (hashes[i] == segments[i].hash) continue;
    return base::fail(path + ": segment " + segments[i].name + " is damaged: its hash differs");
  }
  return {};
}

PackedWeightsHeader header_for(const PackedWeightsLabel& label, const plan::Plan& plan) {
  PackedWeightsHeader header{.key = label.key, .made_for = label.made_for, .segments = {}};
  for (const plan::SegmentPlacement& segment : plan.segments) {
    header.segments.push_back({segment.name, static_cast<uint64_t>(segment.bytes), 0});
  }
  return header;
}

/// A file, and parts of an arena, which move from one to the other and are hashed.
class Transfer {
 public:
  /// `ring` for a device with memory of its own, else null.
  Transfer(const base::DirectFile& file, uint64_t data_offset, std::vector<Part> parts,
           UploadRing* ring)
      : file_(file),
        data_offset_(data_offset),
        parts_(std::move(parts)),
        hashes_(parts_.size()),
        ring_(ring) {}

  /// The last copies may still be on their way when it returns.
  base::Result<> read(const OnLoadProgress& on_progress);
  base::Result<> write(const OnLoadProgress& on_progress);
  std::span<const uint64_t> hashes() const { return hashes_; }

 private:
  /// Where the host has a part to be written: in the arena, or in the ring.
  std::span<std::byte> on_host(size_t part) const {
    if (ring_ == nullptr) return parts_[part].place;
    return ring_->part(part % ring_->parts()).first(parts_[part].place.size());
  }
  /// How many parts the host can hold.
  size_t places() const { return ring_ != nullptr ? ring_->parts() : parts_.size(); }

  base::Result<> read_part(size_t part, std::span<std::byte> memory) {
    TRY(file_.read(data_offset_ + parts_[part].in_file, memory));
    hashes_[part] = base::xxh64(memory);
    return {};
  }
  base::Result<> write_part(size_t part) {
    hashes_[part] = base::xxh64(on_host(part));
    return file_.write(data_offset_ + parts_[part].in_file, on_host(part));
  }
  base::Result<> tell(const OnLoadProgress& on_progress, std::string_view stage, size_t part) const;

  const base::DirectFile& file_;
  uint64_t data_offset_;
  std::vector<Part> parts_;
  std::vector<uint64_t> hashes_;  ///< one for each part; each thread writes its own
  UploadRing* ring_;
};

base::Result<> Transfer::read(const OnLoadProgress& on_progress) {
  std::vector<std::span<std::byte>> places;
  for (const Part& part : parts_) places.push_back(part.place);
  return bring_parts(
      places, ring_,
      [this](size_t part, std::span<std::byte> memory) { return read_part(part, memory); },
      [&](size_t part) { return tell(on_progress, "reading", part); });
}

base::Result<> Transfer::write(const OnLoadProgress& on_progress) {
  base::PartPipeline writing(parts_.size(), base::disk_threads(),
                             [this](size_t part) { return write_part(part); });
  if (ring_ == nullptr) writing.allow(parts_.size());
  for (size_t part = 0; part < parts_.size() + places(); ++part) {
    if (part >= places()) {
      TRY(writing.wait_for(part - places()));
      TRY(tell(on_progress, "caching", part - places()));
    }
    if (ring_ == nullptr || part >= parts_.size()) continue;
    ring_->stream().copy(on_host(part).data(), parts_[part].place.data(),
                         parts_[part].place.size());
    TRY(ring_->stream().synchronize());
    writing.allow(part + 1);
  }
  return {};
}

base::Result<> Transfer::tell(const OnLoadProgress& on_progress, std::string_view stage,
                              size_t part) const {
  if (!on_progress) return {};
  const Part& last = parts_.back();
  return on_progress(
      {.stage = stage,
       .done_bytes = static_cast<int64_t>(parts_[part].in_file + parts_[part].place.size()),
       .total_bytes = static_cast<int64_t>(last.in_file + last.place.size())});
}

/// What a device with memory of its own needs.
base::Result<std::optional<UploadRing>> ring_for(const WeightTarget& target) {
  if (target.device.memory_is_host()) return std::nullopt;
  UploadRing ring = TRY(UploadRing::create(target.device, target.stream, kPackedPartBytes));
  return std::optional<UploadRing>(std::move(ring));
}

/// A name beside `path` that nobody else takes.
std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return path + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

base::Result<> check_arena(const std::string& path, const plan::Plan& plan,
                           std::span<const std::byte> arena) {
  for (const plan::SegmentPlacement& segment : plan.segments) {
    if (segment.offset + segment.bytes <= std::ssize(arena)) continue;
    return base::fail(path + ": segment " + segment.name + " ends at " +
                      std::to_string(segment.offset + segment.bytes) + ", the arena has " +
                      std::to_string(arena.size()));
  }
  return {};
}

/// The bytes of a header that begins at `offset` and may be as long as `bytes_max`.
base::Result<std::vector<std::byte>> read_header(const base::DirectFile& file, uint64_t offset,
                                                 uint64_t bytes_max) {
  std::array<std::byte, 16> memory{};
  const auto start = std::span(memory).first(std::min<uint64_t>(memory.size(), bytes_max));
  TRY(file.read(offset, start));
  const uint64_t bytes = TRY(formats::packed_header_bytes(start));
  std::vector<std::byte> header(std::min(bytes, bytes_max));
  TRY(file.read(offset, header));
  return header;
}

base::Result<> write_file(const std::string& path, const PackedWeightsLabel& label,
                          const plan::Plan& plan, const WeightTarget& target,
                          const OnLoadProgress& on_progress) {
  TRY(check_arena(path, plan, target.arena));
  const base::DirectFile file =
      TRY(base::DirectFile::create(path, packed_weights_file_bytes(label, plan)));
  TRY(write_packed_weights_at(file, 0, label, plan, target, on_progress));
  return {};
}

}  // namespace

base::Result<PackedWeightsFile> PackedWeightsFile::read(base::DirectFile file, uint64_t offset,
                                                        uint64_t bytes) {
  const std::vector<std::byte> header = TRY(read_header(file, offset, bytes));
  formats::PackedWeightsHeader parsed = TRY(formats::parse_packed_header(header, bytes));
  return PackedWeightsFile(std::move(file), std::move(parsed), base::xxh64(header), offset + bytes);
}

base::Result<PackedWeightsFile> PackedWeightsFile::open(const std::string& path) {
  base::DirectFile file = TRY(base::DirectFile::open(path));
  const uint64_t bytes = file.size();
  auto opened = read(std::move(file), 0, bytes);
  if (!opened) return tl::unexpected(base::with_context(std::move(opened).error(), path));
  return opened;
}

base::Result<PackedWeightsFile> PackedWeightsFile::open_part(const std::string& path,
                                                             uint64_t offset, uint64_t bytes) {
  base::DirectFile file = TRY(base::DirectFile::open(path));
  if (offset > file.size() || bytes > file.size() - offset) {
    return base::fail(path + ": " + std::to_string(file.size()) + " bytes, packed weights end at " +
                      std::to_string(offset + bytes));
  }
  auto opened = read(std::move(file), offset, bytes);
  if (!opened) return tl::unexpected(base::with_context(std::move(opened).error(), path));
  return opened;
}

base::Result<> check_segments(const PackedWeightsFile& file, const plan::Plan& plan) {
  const std::vector<PackedSegment>& found = file.header().segments;
  const bool same = std::ranges::equal(
      found, plan.segments, [](const PackedSegment& a, const plan::SegmentPlacement& b) {
        return a.name == b.name && a.bytes == static_cast<uint64_t>(b.bytes);
      });
  if (same) return {};
  return base::fail(file.file().path() + ": " + std::to_string(found.size()) +
                    " segments, not those of the plan");
}

base::Result<> read_packed_weights(const PackedWeightsFile& file, const plan::Plan& plan,
                                   const WeightTarget& target, const OnLoadProgress& on_progress) {
  const std::string& path = file.file().path();
  TRY(check_segments(file, plan));
  TRY(check_arena(path, plan, target.arena));
  std::optional<UploadRing> ring = TRY(ring_for(target));
  Transfer transfer(file.file(), file.data_offset(), parts_of(plan.segments, target.arena),
                    ring ? &*ring : nullptr);
  const base::Result<> read = transfer.read(on_progress);
  // Also after an error: the ring must outlive the copies from it.
  if (ring) TRY(target.stream.synchronize());
  TRY(read);
  return check_hashes(path, file.header().segments, transfer.hashes());
}

base::Result<> read_packed_segment(const PackedWeightsFile& file, size_t index, std::byte* place,
                                   UploadRing* ring) {
  const std::span<const PackedSegment> segments = file.header().segments;
  const PackedSegment& segment = segments[index];
  uint64_t in_file = 0;
  for (const PackedSegment& before : segments.first(index)) in_file += before.bytes;
  std::vector<Part> parts;
  add_parts(in_file, {place, segment.bytes}, parts);
  Transfer transfer(file.file(), file.data_offset(), std::move(parts), ring);
  if (auto read = transfer.read({}); !read) {
    return tl::unexpected(base::with_context(std::move(read).error(), "segment " + segment.name));
  }
  return check_hashes(file.file().path(), segments.subspan(index, 1), transfer.hashes());
}

base::Result<> write_packed_weights(const std::string& path, const PackedWeightsLabel& label,
                                    const plan::Plan& plan, const WeightTarget& target,
                                    const OnLoadProgress& on_progress) {
  const std::string temporary = temporary_name(path);
  base::Result<> result = write_file(temporary, label, plan, target, on_progress);
  if (result && std::rename(temporary.c_str(), path.c_str()) != 0) {
    result = base::fail(path + ": cannot rename the finished file to it: " + std::strerror(errno),
                        base::ErrorKind::kIo);
  }
  if (!result) ::unlink(temporary.c_str());
  return result;
}

base::Result<uint64_t> write_packed_weights_at(const base::DirectFile& file, uint64_t offset,
                                               const PackedWeightsLabel& label,
                                               const plan::Plan& plan, const WeightTarget& target,
                                               const OnLoadProgress& on_progress) {
  TRY(check_arena(file.path(), plan, target.arena));
  PackedWeightsHeader header = header_for(label, plan);
  const uint64_t header_bytes = formats::encode_packed_header(header).size();
  std::optional<UploadRing> ring = TRY(ring_for(target));
  Transfer transfer(file, offset + header_bytes, parts_of(plan.segments, target.arena),
                    ring ? &*ring : nullptr);
  TRY(transfer.write(on_progress));
  const std::vector<uint64_t> hashes = segment_hashes(header.segments, transfer.hashes());
  for (size_t i = 0; i < hashes.size(); ++i) header.segments[i].hash = hashes[i];
  const std::vector<std::byte> bytes = formats::encode_packed_header(header);
  TRY(file.write(offset, bytes));
  return base::xxh64(bytes);
}

uint64_t packed_weights_file_bytes(const PackedWeightsLabel& label, const plan::Plan& plan) {
  const PackedWeightsHeader header = header_for(label, plan);
  return formats::encode_packed_header(header).size() + header.data_bytes();
}

}  // namespace neuros::runtime
