#include "serve/answer_stream.h"

#include "pipeline/stages/stage_report_json.h"
#include "serve/api.h"

#include <nlohmann/json.hpp>

namespace neuros::serve {

Json AnswerHead::json() const {
  Json out;
  out["id"] = id;
  out["object"] = object;
  out["created"] = created_unix_s;
  out["model"] = model;
  out["system_fingerprint"] = system_fingerprint();
  return out;
}

const char* finish_name(pipeline::FinishReason reason) {
  return reason == pipeline::FinishReason::kLength ? "length" : "stop";
}

namespace {

Json usage_json(const Usage& usage) {
  Json out;
  out["prompt_tokens"] = usage.prompt_tokens;
  out["completion_tokens"] = usage.completion_tokens;
  out["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  out["prompt_tokens_details"] = {{"cached_tokens", usage.cached_tokens}};
  out["completion_tokens_details"] = {{"reasoning_tokens", usage.reasoning_tokens}};
  return out;
}

double ms(int64_t us) {
  return static_cast<double>(us) / 1e3;
}

Json pipeline_timings_json(const AnswerTimes& times) {
  Json out;
  out["stages"] = Json::array();
  for (const pipeline::StageReport& stage : times.stages) {
    out["stages"].push_back(pipeline::stage_report_json(stage));
  }
  out["total_ms"] = ms(times.total_us);
  return out;
}

Json timings_json(const AnswerTimes& times) {
  if (!times.stages.empty()) return pipeline_timings_json(times);
  Json out;
  out["queue_ms"] = ms(times.process.queue_us);
  out["swap_ms"] = ms(times.process.swap_us);
  out["prefill_ms"] = ms(times.process.prefill_us);
  out["decode_ms"] = ms(times.process.decode_us);
  out["transport_ms"] = ms(times.transport_us);
  out["total_ms"] = ms(times.total_us);
  return out;
}

}  // namespace

void add_usage(Json& body, const Usage& usage) {
  body["usage"] = usage_json(usage);
  if (usage.times) body["timings"] = timings_json(*usage.times);
}

void EventStream::start() {
  started_ = true;
  writer_->start_stream({.content_type = "text/event-stream; charset=utf-8",
                         .headers = {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}},
                         .body = ""},
                        ": waiting\n\n");
}

void EventStream::event(const Json& data) {
  writer_->write("data: " + dump(data) + "\n\n");
}

void EventStream::finish() {
  writer_->write("data: [DONE]\n\n");
  writer_->finish();
}

void EventStream::fail(const ApiError& error) {
  if (!started_) return writer_->send(error_response(error));
  writer_->write("data: " + error_json(error) + "\n\n");
  finish();
}

}  // namespace neuros::serve
