#include "serve/testing/fake_model.h"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

constexpr std::array<std::string_view, 4> kSpecial = {"<s>", "</s>", "<think>", "</think>"};

bool is_control(int32_t id) {
  return id == FakeModel::kBos || id == FakeModel::kEos;
}

/// How many bytes at the end of `text` are the beginning of a character.
size_t open_bytes(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto lead = static_cast<unsigned char>(text[text.size() - back]);
    if ((lead & 0xc0) == 0x80) continue;
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

}  // namespace

struct FakeModel::Script {
  std::vector<int32_t> ids;
  std::string text;
  pipeline::FinishReason reason = pipeline::FinishReason::kStop;
  std::optional<std::string> stop_text;
};

FakeModel::FakeModel(Options options) : options_(std::move(options)) {
  if (!options_.answer) options_.answer = [](const std::string&) { return "Hello, world!"; };
  facts_.id = options_.id;
  facts_.created_unix_s = 1'700'000'000;
  facts_.context = options_.context;
  facts_.vocabulary_size = kVocabulary;
  facts_.architecture = "fake";
  facts_.chat_template = options_.chat_template;
  facts_.tokenizer_class = "FakeTokenizer";
  facts_.bos_token = "<s>";
  facts_.eos_token = "</s>";
  facts_.add_bos = true;
}

FakeModel::~FakeModel() {
  {
    const std::lock_guard lock(mutex_);
    for (uint64_t id = 0; id < next_id_; ++id) stopped_.insert(id);
  }
  changed_.notify_all();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return playing_ == 0; });
}

ModelStats FakeModel::stats() const {
  ModelStats stats;
  stats.running = running_;
  stats.kv_pages_used = 2 * running_;
  stats.kv_pages_free = 100 - 2 * running_;
  stats.kv_host_pages = 50;
  stats.kv_host_pages_used = 20;
  stats.kv_pages_swapped_out = 30;
  stats.kv_pages_swapped_in = 7;
  stats.kv_page_bytes = 4096;
  stats.memory = {{"host", "weights", 1024}};
  return stats;
}

std::vector<int32_t> FakeModel::encode(std::string_view text, text::EncodeOptions options) const {
  std::vector<int32_t> ids;
  if (options.add_special) ids.push_back(kBos);
  while (!text.empty()) {
    const auto special = std::find_if(kSpecial.begin(), kSpecial.end(),
                                      [&](std::string_view s) { return text.starts_with(s); });
    if (options.parse_special && special != kSpecial.end()) {
      ids.push_back(kBos + static_cast<int32_t>(special - kSpecial.begin()));
      text.remove_prefix(special->size());
    } else {
      ids.push_back(static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    }
  }
  return ids;
}

std::string FakeModel::piece_bytes(int32_t id, bool show_special) const {
  if (id >= 0 && id < 256) return {static_cast<char>(id)};
  if (id < 0 || id >= kVocabulary || (is_control(id) && !show_special)) return "";
  return std::string(kSpecial[static_cast<size_t>(id - kBos)]);
}

std::string FakeModel::decode(std::span<const int32_t> ids, bool show_special) const {
  std::string text;
  for (const int32_t id : ids) text += piece_bytes(id, show_special);
  return text;
}

base::Result<ServedModel::ChatPrompt> FakeModel::chat_prompt(
    const nlohmann::ordered_json& inputs) const {
  ChatPrompt prompt;
  for (const auto& message : inputs["messages"]) {
    const auto role = message["role"].get<std::string>();
    if (role == "tool") return base::fail("this template knows no tools");
    const auto& content = message["content"];
    prompt.text += role + ":" + (content.is_string() ? content.get<std::string>() : "") + "\n";
  }
  if (inputs.contains("tools")) prompt.text += "tools:" + inputs["tools"].dump() + "\n";
  if (inputs.contains("style")) prompt.text += "style:" + inputs["style"].dump() + "\n";
  prompt.text += "assistant:";
  if (options_.opens_thinking) prompt.text += "<think>\n";
  prompt.ids = encode(prompt.text, {});
  return prompt;
}

FakeModel::Script FakeModel::script(const pipeline::GenerationRequest& request) const {
  Script out;
  for (const int32_t id : encode(options_.answer(decode(request.prompt, false)) + "</s>",
                                 {.add_special = false, .parse_special = true})) {
    if (id == kEos && !request.ignore_eos) return out;
    if (std::ssize(out.ids) >= request.max_tokens) break;
    out.ids.push_back(id);
    out.text += piece_bytes(id, request.show_special);
    for (const std::string& stop : request.stop) {
      if (!out.text.ends_with(stop)) continue;
      out.text.resize(out.text.size() - stop.size());
      out.stop_text = stop;
      return out;
    }
  }
  out.reason = pipeline::FinishReason::kLength;
  return out;
}

pipeline::TokenInfo FakeModel::token_info(int32_t id, int32_t alternatives) const {
  pipeline::TokenInfo info{id, piece_bytes(id, true), -0.25f * static_cast<float>(id % 7), {}};
  for (int32_t i = 0; i < alternatives; ++i) {
    info.top.push_back({(id + i) % kVocabulary, *info.logprob - 0.5f * static_cast<float>(i)});
  }
  return info;
}

bool FakeModel::pause(uint64_t id) {
  std::unique_lock lock(mutex_);
  const auto is_stopped = [&] { return stopped_.contains(id); };
  if (options_.delay.count() < 0) return !is_stopped();
  return !changed_.wait_for(lock, options_.delay, is_stopped);
}

void FakeModel::play(uint64_t id, const pipeline::GenerationRequest& request,
                     pipeline::GenerationSink& sink) {
  const Script script = this->script(request);
  pipeline::GenerationEnd end;
  end.reason = script.reason;
  end.stop_text = script.stop_text;
  end.prompt_tokens = static_cast<int32_t>(request.prompt.size());
  if (request.prompt_logprobs) {
    std::vector<pipeline::TokenInfo> infos;
    for (const int32_t token : request.prompt) {
      infos.push_back(token_info(token, *request.prompt_logprobs));
    }
    infos.front().logprob.reset();
    infos.front().top.clear();
    sink.on_prompt(std::move(infos));
  }
  std::string open;  // text of tokens that were handed over, not itself yet
  size_t at = 0;
  for (size_t begin = 0; begin < script.ids.size(); begin += options_.tokens_per_piece) {
    if (!pause(id)) {
      end.reason = pipeline::FinishReason::kCancelled;
      break;
    }
    std::vector<pipeline::TokenInfo> infos;
    const size_t past = std::min(begin + options_.tokens_per_piece, script.ids.size());
    for (size_t i = begin; i < past; ++i) {
      infos.push_back(token_info(script.ids[i], request.logprobs.value_or(0)));
      const size_t bytes = piece_bytes(script.ids[i], request.show_special).size();
      open.append(script.text, std::min(at, script.text.size()), bytes);
      at += bytes;
    }
    end.completion_tokens = static_cast<int32_t>(past);
    const size_t held = past < script.ids.size() ? open_bytes(open) : 0;
    sink.on_text(open.substr(0, open.size() - held), std::move(infos));
    open.erase(0, open.size() - held);
    if (!options_.error.empty()) {
      end.reason = pipeline::FinishReason::kFailed;
      end.error = options_.error;
      break;
    }
  }
  --running_;
  cancelled_ += end.reason == pipeline::FinishReason::kCancelled;
  sink.on_end(std::move(end));
}

base::Result<uint64_t> FakeModel::generate(pipeline::GenerationRequest request,
                                           std::shared_ptr<pipeline::GenerationSink> sink) {
  std::unique_lock lock(mutex_);
  last_ = request;
  if (options_.boot.state == runtime::ModelState::kFailed) {
    return base::fail(options_.boot.error, base::ErrorKind::kIo);
  }
  if (running_ >= options_.queue_max) {
    return base::fail("the queue is full", base::ErrorKind::kUnavailable);
  }
  const uint64_t id = next_id_++;
  ++running_;
  if (options_.on_caller) {
    lock.unlock();
    play(id, request, *sink);
    return id;
  }
  ++playing_;
  std::thread([this, id, request = std::move(request), sink = std::move(sink)] {
    play(id, request, *sink);
    // Letting go of the sink may destroy this model, so it comes last.
    const std::lock_guard done(mutex_);
    --playing_;
    changed_.notify_all();
  }).detach();
  return id;
}

void FakeModel::cancel(uint64_t generation) {
  {
    const std::lock_guard lock(mutex_);
    stopped_.insert(generation);
  }
  changed_.notify_all();
}

pipeline::GenerationRequest FakeModel::last_request() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

}  // namespace neuros::serve
