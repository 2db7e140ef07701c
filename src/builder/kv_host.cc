#include "builder/kv_host.h"

#include "base/byte_size.h"

#include <algorithm>
#include <string>
#include <utility>

namespace neuros::builder {
namespace {

struct Amount {
  int64_t bytes = 0;
  std::string reason;
};

/// Where nobody said how much: on a CPU the host tier would be the same memory again.
Amount chosen(const KvHostRequest& request, int64_t host_bytes, int64_t kv_bytes, bool on_host) {
  if (on_host || host_bytes == 0) return {0, ""};
  const int64_t wanted = std::min(kv_bytes, host_bytes / 8);
  const std::string as_much =
      wanted < kv_bytes ? "an eighth of the host's memory" : "as much as the pages on the device";
  if (wanted <= request.free_bytes) return {wanted, as_much};
  return {0, "none: " + as_much + " is " + base::mebibytes(wanted) + ", and the host has " +
                 base::mebibytes(request.free_bytes) + " free"};
}

base::Result<Amount> amount(const KvHostRequest& request, int64_t host_bytes, int64_t kv_bytes,
                            bool on_host) {
  if (!request.bytes) return chosen(request, host_bytes, kv_bytes, on_host);
  const int64_t most = host_bytes / 8 * 7;
  if (!on_host && most > 0 && *request.bytes > most) {
    return base::fail("plan: " + base::mebibytes(*request.bytes) +
                          " of host memory for KV pages, expected at "
                          "most " +
                          base::mebibytes(most) + ", seven eighths of the host's",
                      base::ErrorKind::kOutOfMemory);
  }
  return Amount{*request.bytes, *request.bytes == 0 ? "" : "as asked for"};
}

void grant(const Amount& amount, int64_t bytes, plan::Plan& model) {
  const int64_t pages = std::min(bytes / model.kv.page_bytes, kKvHostPagesMost);
  model.kv.host_pages = static_cast<int32_t>(pages);
  model.memory.kv_host = pages * model.kv.page_bytes;
  if (amount.reason.empty()) return;
  std::string reason = "kv on the host: " + std::to_string(pages) + " pages, " + amount.reason;
  if (bytes > 0 && pages == 0) reason += ": " + base::mebibytes(bytes) + " are less than a page";
  model.reasons.push_back(std::move(reason));
}

}  // namespace

base::Result<int64_t> budget_besides_kv_host(int64_t memory_bytes, const KvHostRequest& request,
                                             const kernels::OpTable& ops) {
  const bool on_host = ops.host_bytes == nullptr;
  const int64_t asked = on_host ? request.bytes.value_or(0) : 0;
  if (asked == 0 || asked < memory_bytes) return memory_bytes - asked;
  return base::fail("plan: " + base::mebibytes(asked) +
                        " of host memory for KV pages leave nothing of the "
                        "budget of " +
                        base::mebibytes(memory_bytes),
                    base::ErrorKind::kOutOfMemory);
}

base::Result<> grant_kv_host(const KvHostRequest& request, int64_t host_bytes,
                             std::span<plan::Plan> models) {
  int64_t kv_bytes = 0;
  for (const plan::Plan& model : models) kv_bytes += model.memory.kv;
  const bool on_host = models.front().memory.arenas_on_host;
  const Amount all = TRY(amount(request, host_bytes, kv_bytes, on_host));
  int64_t left = all.bytes;
  for (plan::Plan& model : models) {
    const double part = static_cast<double>(model.memory.kv) / static_cast<double>(kv_bytes);
    const auto share = static_cast<int64_t>(part * static_cast<double>(all.bytes));
    grant(all, std::min(share, left), model);
    left -= model.memory.kv_host;
  }
  return {};
}

}  // namespace neuros::builder
