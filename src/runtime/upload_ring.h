#pragma once

#include "base/result.h"
#include "device/device.h"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace neuros::runtime {

/// Pinned memory in parts of one size, which go to the device in turns: a part may be filled again
/// when its own copy is over, while the later ones are still on their way.
class UploadRing {
 public:
  /// plan::kUploadBytes in parts of `part_bytes`.
  static base::Result<UploadRing> create(device::Device& device, device::Stream& stream,
                                         size_t part_bytes);

  size_t parts() const { return events_.size(); }
  size_t part_bytes() const { return part_bytes_; }
  std::span<std::byte> part(size_t index) const;
  /// All of them, one behind the other.
  std::span<std::byte> memory() const { return memory_.span(); }
  /// Starts the copy of the first `bytes` of a part to `place` on the device.
  void send(size_t index, std::byte* place, size_t bytes);
  /// Returns when what was last sent from the part is over.
  base::Result<> wait_for(size_t index) { return events_[index]->wait(); }
  device::Stream& stream() const { return *stream_; }

 private:
  UploadRing(device::Stream& stream, device::Buffer memory, size_t part_bytes);

  device::Stream* stream_;
  device::Buffer memory_;
  size_t part_bytes_;
  std::vector<std::unique_ptr<device::Event>> events_;  ///< one for each part
};

}  // namespace neuros::runtime
