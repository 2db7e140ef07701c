#include "runtime/part_upload.h"

#include "base/part_pipeline.h"

#include <algorithm>

namespace neuros::runtime {
namespace {

class PartUpload {
 public:
  PartUpload(std::span<const std::span<std::byte>> places, UploadRing& ring, const FillPart& fill)
      : places_(places),
        ring_(ring),
        filling_(places.size(), base::disk_threads(),
                 [&](size_t part) { return fill(part, on_host(part)); }) {}

  /// Allows filling where nothing is on its way any more from before.
  base::Result<> begin() {
    for (size_t part = 0; part < std::min(ring_.parts(), places_.size()); ++part) {
      TRY(ring_.wait_for(part));
      filling_.allow(part + 1);
    }
    return {};
  }

  base::Result<> send(size_t part) {
    TRY(filling_.wait_for(part));
    ring_.send(part % ring_.parts(), places_[part].data(), places_[part].size());
    // Half of the ring is on its way to the device while the other half is filled.
    const size_t on_the_way = ring_.parts() / 2;
    if (part < on_the_way) return {};
    const size_t sent = part - on_the_way;
    TRY(ring_.wait_for(sent % ring_.parts()));
    filling_.allow(sent + 1 + ring_.parts());
    return {};
  }

 private:
  std::span<std::byte> on_host(size_t part) const {
    return ring_.part(part % ring_.parts()).first(places_[part].size());
  }

  std::span<const std::span<std::byte>> places_;
  UploadRing& ring_;
  base::PartPipeline filling_;  ///< last: its threads use the rest
};

base::Result<> fill_in_place(std::span<const std::span<std::byte>> places, const FillPart& fill,
                             base::FunctionRef<base::Result<>(size_t part)> on_sent) {
  base::PartPipeline filling(places.size(), base::disk_threads(),
                             [&](size_t part) { return fill(part, places[part]); });
  filling.allow(places.size());
  for (size_t part = 0; part < places.size(); ++part) {
    TRY(filling.wait_for(part));
    TRY(on_sent(part));
  }
  return {};
}

}  // namespace

base::Result<> bring_parts(std::span<const std::span<std::byte>> places, UploadRing* ring,
                           const FillPart& fill,
                           base::FunctionRef<base::Result<>(size_t part)> on_sent) {
  if (ring == nullptr) return fill_in_place(places, fill, on_sent);
  PartUpload upload(places, *ring, fill);
  TRY(upload.begin());
  for (size_t part = 0; part < places.size(); ++part) {
    TRY(upload.send(part));
    TRY(on_sent(part));
  }
  return {};
}

}  // namespace neuros::runtime
