#include "runtime/packed_weights_io.h"

#include "base/xxh64.h"
#include "runtime/part_pipeline.h"
#include "runtime/upload_ring.h"

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
  uint64_t offset = 0, bytes = 0;  ///< in the arena; the file has it at data_offset + offset
};

/// The parts of all segments, in order.
std::vector<Part> parts_of(const std::vector<PackedSegment>& segments) {
  std::vector<Part> parts;
  uint64_t offset = 0;
  for (const PackedSegment& segment : segments) {
    for (uint64_t done = 0; done < segment.bytes; done += kPackedPartBytes) {
      const uint64_t bytes = std::min(kPackedPartBytes, segment.bytes - done);
      parts.push_back({offset, bytes});
      offset += bytes;
    }
  }
  return parts;
}

/// The hashes of the segments, from those of all parts in order.
std::vector<uint64_t> segment_hashes(const std::vector<PackedSegment>& segments,
                                     std::span<const uint64_t> part_hashes) {
  std::vector<uint64_t> hashes;
  for (const PackedSegment& segment : segments) {
    const uint64_t parts = (segment.bytes + kPackedPartBytes - 1) / kPackedPartBytes;
    hashes.push_back(formats::packed_segment_hash(part_hashes.first(parts)));
    part_hashes = part_hashes.subspan(parts);
  }
  return hashes;
}

PackedWeightsHeader header_for(const PackedWeightsLabel& label, const plan::Plan& plan) {
  PackedWeightsHeader header{.key = label.key, .made_for = label.made_for, .segments = {}};
  for (const plan::SegmentPlacement& segment : plan.segments) {
    header.segments.push_back({segment.name, static_cast<uint64_t>(segment.bytes), 0});
  }
  return header;
}

/// One file and one arena, whose parts move from one to the other and are hashed.
class Transfer {
 public:
  Transfer(const base::DirectFile& file, uint64_t data_offset,
           const std::vector<PackedSegment>& segments, const WeightTarget& target)
      : file_(file),
        data_offset_(data_offset),
        parts_(parts_of(segments)),
        hashes_(parts_.size()),
        target_(target) {}

  /// Reserves what a device with memory of its own needs.
  base::Result<> prepare() {
    if (target_.device.memory_is_host()) return {};
    UploadRing ring = TRY(UploadRing::create(target_.device, target_.stream, kPackedPartBytes));
    ring_.emplace(std::move(ring));
    return {};
  }
  base::Result<> read(const OnLoadProgress& on_progress);
  base::Result<> write(const OnLoadProgress& on_progress);
  std::span<const uint64_t> hashes() const { return hashes_; }

 private:
  std::span<std::byte> in_arena(size_t part) const {
    return target_.arena.subspan(parts_[part].offset, parts_[part].bytes);
  }
  /// Where the host has a part: in the arena, or in the ring.
  std::span<std::byte> on_host(size_t part) const {
    if (!ring_) return in_arena(part);
    return ring_->part(part % ring_->parts()).first(parts_[part].bytes);
  }
  /// How many parts the host can hold.
  size_t places() const { return ring_ ? ring_->parts() : parts_.size(); }

  base::Result<> read_part(size_t part) {
    TRY(file_.read(data_offset_ + parts_[part].offset, on_host(part)));
    hashes_[part] = base::xxh64(on_host(part));
    return {};
  }
  base::Result<> write_part(size_t part) {
    hashes_[part] = base::xxh64(on_host(part));
    return file_.write(data_offset_ + parts_[part].offset, on_host(part));
  }
  /// Starts the copy of a part that was read, and allows the parts whose places are free by now.
  base::Result<> upload(size_t part, PartPipeline& reading);
  void tell(const OnLoadProgress& on_progress, std::string_view stage, size_t part) const;

  const base::DirectFile& file_;
  uint64_t data_offset_;
  std::vector<Part> parts_;
  std::vector<uint64_t> hashes_;  ///< one for each part; each thread writes its own
  const WeightTarget& target_;
  std::optional<UploadRing> ring_;
};

base::Result<> Transfer::upload(size_t part, PartPipeline& reading) {
  if (!ring_) return {};
  ring_->send(part % places(), in_arena(part).data(), parts_[part].bytes);
  // Half of the ring is on its way to the device while the other half is read into.
  const size_t on_the_way = places() / 2;
  if (part < on_the_way) return {};
  const size_t sent = part - on_the_way;
  TRY(ring_->wait_for(sent % places()));
  reading.allow(sent + 1 + places());
  return {};
}

base::Result<> Transfer::read(const OnLoadProgress& on_progress) {
  PartPipeline reading(parts_.size(), disk_threads(),
                       [this](size_t part) { return read_part(part); });
  reading.allow(places());
  base::Result<> result;
  for (size_t part = 0; part < parts_.size() && result; ++part) {
    result = reading.wait_for(part);
    if (result) result = upload(part, reading);
    tell(on_progress, "reading", part);
  }
  // Also after an error: the ring must outlive the copies from it.
  if (ring_) TRY(target_.stream.synchronize());
  return result;
}

base::Result<> Transfer::write(const OnLoadProgress& on_progress) {
  PartPipeline writing(parts_.size(), disk_threads(),
                       [this](size_t part) { return write_part(part); });
  if (!ring_) writing.allow(parts_.size());
  for (size_t part = 0; part < parts_.size() + places(); ++part) {
    if (part >= places()) {
      TRY(writing.wait_for(part - places()));
      tell(on_progress, "caching", part - places());
    }
    if (!ring_ || part >= parts_.size()) continue;
    target_.stream.copy(on_host(part).data(), in_arena(part).data(), parts_[part].bytes);
    TRY(target_.stream.synchronize());
    writing.allow(part + 1);
  }
  return {};
}

void Transfer::tell(const OnLoadProgress& on_progress, std::string_view stage, size_t part) const {
  if (!on_progress) return;
  on_progress({.stage = stage,
               .done_bytes = static_cast<int64_t>(parts_[part].offset + parts_[part].bytes),
               .total_bytes = std::ssize(target_.arena)});
}

/// A name beside `path` that nobody else takes.
std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return path + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

base::Result<> check_arena(const std::string& path, const PackedWeightsHeader& header,
                           std::span<const std::byte> arena) {
  if (header.data_bytes() == arena.size()) return {};
  return base::fail(path + ": " + std::to_string(header.data_bytes()) +
                    " bytes of weights, the arena has " + std::to_string(arena.size()));
}

base::Result<> write_file(const std::string& path, PackedWeightsHeader header,
                          const WeightTarget& target, const OnLoadProgress& on_progress) {
  TRY(check_arena(path, header, target.arena));
  const uint64_t header_bytes = formats::encode_packed_header(header).size();
  const base::DirectFile file =
      TRY(base::DirectFile::create(path, header_bytes + header.data_bytes()));
  Transfer transfer(file, header_bytes, header.segments, target);
  TRY(transfer.prepare());
  TRY(transfer.write(on_progress));
  const std::vector<uint64_t> hashes = segment_hashes(header.segments, transfer.hashes());
  for (size_t i = 0; i < hashes.size(); ++i) header.segments[i].hash = hashes[i];
  return file.write(0, formats::encode_packed_header(header));
}

base::Result<PackedWeightsHeader> read_header(const base::DirectFile& file) {
  std::array<std::byte, 16> memory{};
  const auto start = std::span(memory).first(std::min<uint64_t>(memory.size(), file.size()));
  TRY(file.read(0, start));
  const uint64_t bytes = TRY(formats::packed_header_bytes(start));
  std::vector<std::byte> header(std::min(bytes, file.size()));
  TRY(file.read(0, header));
  return formats::parse_packed_header(header, file.size());
}

}  // namespace

base::Result<PackedWeightsFile> PackedWeightsFile::open(const std::string& path) {
  base::DirectFile file = TRY(base::DirectFile::open(path));
  auto header = read_header(file);
  if (!header) return tl::unexpected(base::with_context(std::move(header).error(), path));
  return PackedWeightsFile(std::move(file), std::move(*header));
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

base::Result<> read_packed_weights(const PackedWeightsFile& file, const WeightTarget& target,
                                   const OnLoadProgress& on_progress) {
  const std::vector<PackedSegment>& segments = file.header().segments;
  const std::string& path = file.file().path();
  TRY(check_arena(path, file.header(), target.arena));
  Transfer transfer(file.file(), file.data_offset(), segments, target);
  TRY(transfer.prepare());
  TRY(transfer.read(on_progress));
  const std::vector<uint64_t> hashes = segment_hashes(segments, transfer.hashes());
  for (size_t i = 0; i < segments.size(); ++i) {
    if (hashes[i] == segments[i].hash) continue;
    return base::fail(path + ": segment " + segments[i].name + " is damaged: its hash differs");
  }
  return {};
}

base::Result<> write_packed_weights(const std::string& path, const PackedWeightsLabel& label,
                                    const plan::Plan& plan, const WeightTarget& target,
                                    const OnLoadProgress& on_progress) {
  const std::string temporary = temporary_name(path);
  base::Result<> result = write_file(temporary, header_for(label, plan), target, on_progress);
  if (result && std::rename(temporary.c_str(), path.c_str()) != 0) {
    result = base::fail(path + ": cannot rename the finished file to it: " + std::strerror(errno),
                        base::ErrorKind::kIo);
  }
  if (!result) ::unlink(temporary.c_str());
  return result;
}

uint64_t packed_weights_file_bytes(const PackedWeightsLabel& label, const plan::Plan& plan) {
  const PackedWeightsHeader header = header_for(label, plan);
  return formats::encode_packed_header(header).size() + header.data_bytes();
}

}  // namespace neuros::runtime
