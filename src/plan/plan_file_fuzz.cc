#include "base/xxh64.h"
#include "plan/plan_file.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

namespace {

/// Overwrites what would stop most inputs at once: length, identifier and hash.
std::vector<std::byte> plausible(std::span<const std::byte> given) {
  std::vector<std::byte> file(given.begin(), given.end());
  file.resize((given.size() / 8 + 2) * 8);
  std::memcpy(file.data() + 4, "NRPL", 4);
  const auto hashed = std::span(file).first(file.size() - 8);
  const uint64_t hash = neuros::base::xxh64(hashed);
  std::memcpy(file.data() + hashed.size(), &hash, sizeof hash);
  return file;
}

}  // namespace

/// Any bytes as a plan, as they are and made plausible; one that is read is described, and read
/// again from what is written of it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::plan;
  const auto given = std::as_bytes(std::span(data, size));
  volatile bool as_given = read_plan(given).has_value();
  static_cast<void>(as_given);

  const auto fleet = read_plan(plausible(given));
  if (!fleet) return 0;
  const std::vector<std::byte> written = write_plan(*fleet);
  const auto again = read_plan(written);
  if (!again || write_plan(*again) != written) std::abort();
  if (describe_json(*again) != describe_json(*fleet)) std::abort();
  return 0;
}
