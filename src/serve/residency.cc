/// GET /v1/residency: where the weights and KV pages of every model are, and what moved.

#include "serve/api.h"
#include "serve/api_error.h"
#include "serve/json_body.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

double seconds(int64_t us) {
  return static_cast<double>(us) / 1e6;
}

Json model_json(const FleetResidency::Model& model) {
  const auto count = [&](char state) { return std::ranges::count(model.segments, state); };
  Json out;
  out["id"] = model.id;
  out["segments"] = model.segments.size();
  out["resident"] = count('r');
  out["loading"] = count('l');
  out["map"] = model.segments;
  out["resident_bytes"] = model.resident_bytes;
  out["swap_wait_seconds"] = seconds(model.swap_us);
  return out;
}

/// How the model came up.
void add_boot(const runtime::ModelBoot& boot, Json& out) {
  out["state"] = runtime::name(boot.state);
  if (boot.state == runtime::ModelState::kReady) out["ready_after_seconds"] = boot.seconds;
  if (boot.state == runtime::ModelState::kFailed) out["error"] = boot.error;
}

/// Where the keys and values of a model's sequences are.
Json kv_json(const ModelStats& stats) {
  const auto bytes = [&](uint64_t pages) {
    return static_cast<int64_t>(pages) * stats.kv_page_bytes;
  };
  Json out;
  out["page_bytes"] = stats.kv_page_bytes;
  out["device"] = {{"used", stats.kv_pages_used},
                   {"cached", stats.kv_pages_cached},
                   {"free", stats.kv_pages_free}};
  out["host"] = {{"used", stats.kv_host_pages_used},
                 {"free", stats.kv_host_pages - stats.kv_host_pages_used}};
  out["swapped_out"] = {{"pages", stats.kv_pages_swapped_out},
                        {"bytes", bytes(stats.kv_pages_swapped_out)}};
  out["swapped_in"] = {{"pages", stats.kv_pages_swapped_in},
                       {"bytes", bytes(stats.kv_pages_swapped_in)}};
  return out;
}

Json transfer_json(const FleetResidency::Transfer& transfer) {
  Json out;
  out["job"] = transfer.job;
  out["tier"] = transfer.tier;
  out["count"] = transfer.count;
  out["failures"] = transfer.failures;
  out["bytes"] = transfer.bytes;
  out["map_seconds"] = seconds(transfer.map_us);
  out["copy_seconds"] = seconds(transfer.copy_us);
  return out;
}

/// Of models whose weights stay.
Json all_resident(const Backend& backend) {
  Json out;
  out["object"] = "residency";
  out["paged"] = false;
  out["models"] = Json::array();
  for (const auto& model : backend.models()) {
    Json entry;
    entry["id"] = model->facts().id;
    const runtime::ModelBoot boot = model->boot_state();
    add_boot(boot, entry);
    const bool is_there = boot.state == runtime::ModelState::kReady;
    entry["resident_bytes"] = is_there ? model->facts().weight_bytes : 0;
    entry["kv"] = kv_json(model->stats());
    out["models"].push_back(std::move(entry));
  }
  return out;
}

Json paged(const FleetResidency& residency, const Backend& backend) {
  Json out;
  out["object"] = "residency";
  out["paged"] = true;
  out["frame_bytes"] = residency.frame_bytes;
  out["frames"] = residency.frames;
  out["frames_free"] = residency.frames_free;
  out["turn"] = residency.turn.empty() ? Json() : Json(residency.turn);
  out["turns"] = residency.turns;
  out["passes_suspended"] = residency.passes_suspended;
  out["models"] = Json::array();
  for (const auto& model : residency.models) {
    out["models"].push_back(model_json(model));
    const auto served = find_model(backend, model.id);
    if (!served) continue;
    add_boot(served->boot_state(), out["models"].back());
    out["models"].back()["kv"] = kv_json(served->stats());
  }
  out["transfers"] = Json::array();
  for (const auto& transfer : residency.transfers) {
    out["transfers"].push_back(transfer_json(transfer));
  }
  return out;
}

}  // namespace

void residency(Api& api, const Request&, WriterPtr writer) {
  const auto snapshot = api.backend.residency();
  writer->send(json_response(snapshot ? paged(*snapshot, api.backend) : all_resident(api.backend)));
}

}  // namespace neuros::serve
