#include "serve/server_metrics.h"

#include "base/process_memory.h"

#include <chrono>

namespace neuros::serve {
namespace {

const std::vector<double> kRequestSeconds = {0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1,
                                             2.5,   5,     10,   30,   60,  120,  300};
const std::vector<double> kWaitSeconds = {0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                          0.5,    1,     2.5,   5,    10,    30,   60};
const std::vector<double> kTokenSeconds = {0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02,
                                           0.03,   0.05,  0.075,  0.1,   0.2,    0.5,  1};

const char* reason_name(pipeline::FinishReason reason) {
  switch (reason) {
    case pipeline::FinishReason::kStop:
      return "stop";
    case pipeline::FinishReason::kLength:
      return "length";
    case pipeline::FinishReason::kCancelled:
      return "cancelled";
    case pipeline::FinishReason::kFailed:
      return "failed";
  }
  return "";
}

/// One family over all models from a function of their snapshots.
struct ModelFamilies {
  MetricsText& out;
  const std::vector<std::pair<std::string, ModelStats>>& models;

  template <typename Value>
  void write(const char* name, const char* type, const char* help, Value value) {
    out.family(name, type, help);
    for (const auto& [id, stats] : models) {
      out.sample("", {{"model", id}}, static_cast<double>(value(stats)));
    }
  }
};

void write_states(MetricsText& out, const std::vector<std::pair<std::string, ModelStats>>& models) {
  out.family("neuros_processes", "gauge", "Processes of a model by state.");
  for (const auto& [id, stats] : models) {
    out.sample("", {{"model", id}, {"state", "running"}}, stats.running);
    out.sample("", {{"model", id}, {"state", "waiting"}}, stats.waiting);
  }
  out.family("neuros_kv_pages", "gauge",
             "KV pages by state; cached ones are kept for prefix reuse and free for the asking.");
  for (const auto& [id, stats] : models) {
    out.sample("", {{"model", id}, {"state", "used"}}, stats.kv_pages_used);
    out.sample("", {{"model", id}, {"state", "cached"}}, stats.kv_pages_cached);
    out.sample("", {{"model", id}, {"state", "free"}}, stats.kv_pages_free);
  }
  out.family("neuros_kv_host_pages", "gauge", "Slots for KV pages that left the device, by state.");
  for (const auto& [id, stats] : models) {
    out.sample("", {{"model", id}, {"state", "used"}}, stats.kv_host_pages_used);
    out.sample("", {{"model", id}, {"state", "free"}},
               stats.kv_host_pages - stats.kv_host_pages_used);
  }
  out.family("neuros_memory_bytes", "gauge", "Memory reserved at boot, by tier and arena.");
  for (const auto& [id, stats] : models) {
    for (const auto& [tier, arena, bytes] : stats.memory) {
      out.sample("", {{"model", id}, {"tier", tier}, {"arena", arena}}, static_cast<double>(bytes));
    }
  }
  out.family("neuros_memory_predicted_bytes", "gauge",
             "Predicted for a process that runs this model alone: while it is up, and at most.");
  for (const auto& [id, stats] : models) {
    out.sample("", {{"model", id}, {"state", "up"}}, static_cast<double>(stats.memory_predicted));
    out.sample("", {{"model", id}, {"state", "peak"}},
               static_cast<double>(stats.memory_peak_predicted));
  }
}

void write_residency(MetricsText& out, const FleetResidency& residency) {
  const auto frame = static_cast<double>(residency.frame_bytes);
  out.family("neuros_weight_frames_bytes", "gauge", "Device memory for weights that are paged.");
  out.sample("", {{"state", "free"}}, static_cast<double>(residency.frames_free) * frame);
  out.sample("", {{"state", "used"}},
             static_cast<double>(residency.frames - residency.frames_free) * frame);
  out.family("neuros_resident_weights_bytes", "gauge", "Weights on the device, by model.");
  for (const auto& model : residency.models) {
    out.sample("", {{"model", model.id}}, static_cast<double>(model.resident_bytes));
  }
  out.family("neuros_pager_bytes_total", "counter", "Weights loaded and dropped, by lower tier.");
  for (const auto& transfer : residency.transfers) {
    out.sample("", {{"job", transfer.job}, {"tier", transfer.tier}},
               static_cast<double>(transfer.bytes));
  }
  out.family("neuros_pager_seconds_total", "counter", "Time of copies and of giving memory.");
  for (const auto& transfer : residency.transfers) {
    out.sample("", {{"job", transfer.job}, {"tier", transfer.tier}},
               static_cast<double>(transfer.copy_us + transfer.map_us) / 1e6);
  }
  out.family("neuros_pager_failures_total", "counter", "Loads that failed.");
  for (const auto& transfer : residency.transfers) {
    out.sample("", {{"job", transfer.job}, {"tier", transfer.tier}},
               static_cast<double>(transfer.failures));
  }
  out.family("neuros_memory_turns_total", "counter",
             "Times that memory for weights went to another model.");
  out.sample("", {}, static_cast<double>(residency.turns));
  out.family("neuros_passes_suspended_total", "counter",
             "Passes that stopped between two layers for a critical request.");
  out.sample("", {}, static_cast<double>(residency.passes_suspended));
}

void write_swaps(MetricsText& out, const std::vector<std::pair<std::string, ModelStats>>& models) {
  const auto write = [&](const char* name, const char* help, auto unit) {
    out.family(name, "counter", help);
    for (const auto& [id, stats] : models) {
      const double each = unit(stats);
      out.sample("", {{"model", id}, {"direction", "out"}},
                 static_cast<double>(stats.kv_pages_swapped_out) * each);
      out.sample("", {{"model", id}, {"direction", "in"}},
                 static_cast<double>(stats.kv_pages_swapped_in) * each);
    }
  };
  write("neuros_kv_swapped_pages_total", "KV pages that went to host memory, and came back.",
        [](const ModelStats&) { return 1.0; });
  write("neuros_kv_swapped_bytes_total", "The same in bytes.",
        [](const ModelStats& s) { return static_cast<double>(s.kv_page_bytes); });
}

void write_totals(ModelFamilies families) {
  families.write("neuros_batches_total", "counter", "Forward passes.",
                 [](const ModelStats& s) { return s.batches; });
  families.write("neuros_busy_seconds_total", "counter", "Time inside forward passes.",
                 [](const ModelStats& s) { return static_cast<double>(s.busy_us) / 1e6; });
  families.write("neuros_prefilled_tokens_total", "counter", "Prompt tokens computed.",
                 [](const ModelStats& s) { return s.tokens_prefilled; });
  families.write("neuros_decoded_tokens_total", "counter", "Decode steps computed.",
                 [](const ModelStats& s) { return s.tokens_decoded; });
  families.write("neuros_reused_tokens_total", "counter", "Prompt tokens found in cached KV pages.",
                 [](const ModelStats& s) { return s.tokens_reused; });
  families.write("neuros_suspensions_total", "counter",
                 "Processes that gave up their KV pages and waited for new ones.",
                 [](const ModelStats& s) { return s.suspensions; });
  write_swaps(families.out, families.models);
}

}  // namespace

ServerMetrics::ServerMetrics()
    : started_unix_s_(
          std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
              .count()),
      requests_("neuros_http_requests_total", "Requests answered, by endpoint and status."),
      generations_("neuros_generations_total", "Choices generated, by how they ended."),
      prompt_tokens_("neuros_prompt_tokens_total", "Prompt tokens of generated choices."),
      generated_tokens_("neuros_generated_tokens_total", "New tokens of generated choices."),
      cached_tokens_("neuros_cached_tokens_total", "Prompt tokens that needed no computing."),
      stage_parts_("neuros_stage_part_seconds_total",
                   "Where the time of a pipeline's stages went."),
      request_s_("neuros_http_request_seconds", "From a request's last byte to its answer's.",
                 kRequestSeconds),
      queue_s_("neuros_queue_wait_seconds", "Waiting before the first batch.", kWaitSeconds),
      swap_s_("neuros_swap_wait_seconds", "Waiting for weights, at any time of a choice.",
              kWaitSeconds),
      first_token_s_("neuros_time_to_first_token_seconds", "From the request to its first token.",
                     kWaitSeconds),
      inter_token_s_("neuros_inter_token_seconds", "Between two tokens of one answer.",
                     kTokenSeconds),
      answer_s_("neuros_answer_seconds", "From the request to the end of its answer.",
                kRequestSeconds),
      stage_s_("neuros_stage_seconds", "From a stage's start to its end, of every round.",
               kRequestSeconds) {}

void ServerMetrics::request_done(const std::string& endpoint, int status, double seconds) {
  requests_.add({{"endpoint", endpoint}, {"status", std::to_string(status)}});
  request_s_.observe({{"endpoint", endpoint}}, seconds);
}

void ServerMetrics::first_token(const std::string& model, double seconds) {
  first_token_s_.observe({{"model", model}}, seconds);
}

void ServerMetrics::next_tokens(const std::string& model, double seconds, uint64_t tokens) {
  if (tokens == 0) return;
  inter_token_s_.observe({{"model", model}}, seconds / static_cast<double>(tokens), tokens);
}

void ServerMetrics::generation_done(const std::string& model, const pipeline::GenerationEnd& end) {
  const Labels labels{{"model", model}};
  generations_.add({{"model", model}, {"reason", reason_name(end.reason)}});
  prompt_tokens_.add(labels, end.prompt_tokens);
  generated_tokens_.add(labels, end.completion_tokens);
  cached_tokens_.add(labels, end.cached_tokens);
  queue_s_.observe(labels, static_cast<double>(end.times.queue_us) / 1e6);
  swap_s_.observe(labels, static_cast<double>(end.times.swap_us) / 1e6);
}

void ServerMetrics::pipeline_done(const std::string& pipeline, const pipeline::PipelineEnd& end) {
  generations_.add({{"model", pipeline}, {"reason", reason_name(end.reason)}});
  for (const pipeline::StageReport& stage : end.stages) stage_done(pipeline, stage);
}

void ServerMetrics::stage_done(const std::string& pipeline, const pipeline::StageReport& stage) {
  const auto seconds = [](int64_t us) { return static_cast<double>(us) / 1e6; };
  stage_s_.observe({{"pipeline", pipeline}, {"stage", stage.stage}},
                   seconds(stage.end_us - stage.start_us));
  const std::pair<const char*, int64_t> parts[] = {{"queue", stage.times.queue_us},
                                                   {"swap", stage.times.swap_us},
                                                   {"prefill", stage.times.prefill_us},
                                                   {"decode", stage.times.decode_us}};
  for (const auto& [part, us] : parts) {
    stage_parts_.add({{"pipeline", pipeline}, {"stage", stage.stage}, {"part", part}}, seconds(us));
  }
  if (stage.model.empty()) return;
  const Labels labels{{"model", stage.model}};
  prompt_tokens_.add(labels, stage.prompt_tokens);
  generated_tokens_.add(labels, stage.completion_tokens);
  cached_tokens_.add(labels, stage.cached_tokens);
  queue_s_.observe(labels, seconds(stage.times.queue_us));
  swap_s_.observe(labels, seconds(stage.times.swap_us));
}

void ServerMetrics::answer_done(const std::string& model, double seconds) {
  answer_s_.observe({{"model", model}}, seconds);
}

std::string ServerMetrics::text(const Backend& backend) const {
  std::vector<std::pair<std::string, ModelStats>> models;
  for (const auto& model : backend.models()) models.emplace_back(model->facts().id, model->stats());
  MetricsText out;
  requests_.write(out);
  request_s_.write(out);
  out.family("neuros_http_requests_in_flight", "gauge", "Requests being answered.");
  out.sample("", {}, requests_in_flight.load());
  out.family("neuros_http_connections", "gauge", "Open connections.");
  out.sample("", {}, connections.load());
  for (const Counter* counter :
       {&generations_, &prompt_tokens_, &generated_tokens_, &cached_tokens_, &stage_parts_}) {
    counter->write(out);
  }
  for (const Histogram* histogram :
       {&queue_s_, &swap_s_, &first_token_s_, &inter_token_s_, &answer_s_, &stage_s_}) {
    histogram->write(out);
  }
  write_states(out, models);
  write_totals({out, models});
  if (const auto residency = backend.residency()) write_residency(out, *residency);
  out.family("process_resident_memory_bytes", "gauge", "Resident memory of the process.");
  const base::ProcessMemory memory = base::process_memory();
  out.sample("", {}, static_cast<double>(memory.resident));
  out.family("process_resident_memory_peak_bytes", "gauge", "Most that was resident at one time.");
  out.sample("", {}, static_cast<double>(memory.peak));
  out.family("process_start_time_seconds", "gauge", "Start of the server, Unix time.");
  out.sample("", {}, started_unix_s_);
  return out.take();
}

}  // namespace neuros::serve
