#include "runtime/upload_ring.h"

#include "base/check.h"
#include "plan/plan.h"

#include <utility>

namespace neuros::runtime {

base::Result<UploadRing> UploadRing::create(device::Device& device, device::Stream& stream,
                                            size_t part_bytes) {
  constexpr auto kBytes = static_cast<size_t>(plan::kUploadBytes);
  device::Buffer memory = TRY(device.reserve_host(kBytes, "weight staging"));
  return UploadRing(stream, std::move(memory), part_bytes);
}

UploadRing::UploadRing(device::Stream& stream, device::Buffer memory, size_t part_bytes)
    : stream_(&stream), memory_(std::move(memory)), part_bytes_(part_bytes) {
  for (size_t end = part_bytes; end <= memory_.size(); end += part_bytes) {
    events_.push_back(stream.create_event());
  }
}

std::span<std::byte> UploadRing::part(size_t index) const {
  return memory_.span().subspan(index * part_bytes_, part_bytes_);
}

void UploadRing::send(size_t index, std::byte* place, size_t bytes) {
  CHECK(bytes <= part_bytes_);
  stream_->copy(place, part(index).data(), bytes);
  events_[index]->record();
}

}  // namespace neuros::runtime
