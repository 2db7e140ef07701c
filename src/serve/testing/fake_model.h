#pragma once

/// A model for tests of serve/: every byte is a token, the answer is scripted.

#include "serve/backend.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace neuros::serve {

class FakeModel final : public ServedModel {
 public:
  static constexpr int32_t kBos = 256, kEos = 257, kThink = 258, kEndThink = 259;
  static constexpr int32_t kVocabulary = 260;

  struct Options {
    std::string id = "fake";
    int32_t context = 1000;
    /// What is answered to a prompt; "</s>" ends it early. After its end comes kEos.
    std::function<std::string(const std::string& prompt)> answer{};
    size_t tokens_per_piece = 1;          ///< handed over at one time
    std::chrono::milliseconds delay{-1};  ///< between pieces, on a thread; < 0: all at once
    int32_t queue_max = 1000;             ///< processes before kUnavailable
    std::string error{};                  ///< not empty: fails with it after the first piece
    std::string chat_template = "plain";  ///< with "</think>" in it: a thinking model
    bool opens_thinking = false;          ///< the rendered prompt ends with "<think>\n"
    bool on_caller = false;               ///< play() inside generate(), without a thread
    runtime::ModelBoot boot{.state = runtime::ModelState::kReady, .error = ""};
  };

  explicit FakeModel(Options options);
  ~FakeModel() override;

  const ModelFacts& facts() const override { return facts_; }
  ModelStats stats() const override;
  runtime::ModelBoot boot_state() const override { return options_.boot; }
  std::vector<int32_t> encode(std::string_view text, text::EncodeOptions options) const override;
  std::string decode(std::span<const int32_t> ids, bool show_special) const override;
  std::string piece_bytes(int32_t id, bool show_special) const override;
  base::Result<ChatPrompt> chat_prompt(const nlohmann::ordered_json& inputs) const override;
  base::Result<uint64_t> generate(pipeline::GenerationRequest request,
                                  std::shared_ptr<pipeline::GenerationSink> sink) override;
  void cancel(uint64_t generation) override;

  /// The last request that generate() got.
  pipeline::GenerationRequest last_request() const;
  int cancelled() const { return cancelled_; }
  int running() const { return running_; }

 private:
  struct Script;
  Script script(const pipeline::GenerationRequest& request) const;
  pipeline::TokenInfo token_info(int32_t id, int32_t alternatives) const;
  void play(uint64_t id, const pipeline::GenerationRequest& request,
            pipeline::GenerationSink& sink);
  /// False if `id` was cancelled meanwhile.
  bool pause(uint64_t id);

  Options options_;
  ModelFacts facts_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  pipeline::GenerationRequest last_;
  std::set<uint64_t> stopped_;
  int playing_ = 0;  ///< threads inside play()
  uint64_t next_id_ = 1;
  std::atomic<int> running_{0}, cancelled_{0};
};

/// A backend of one fake, and whatever else a test puts beside it.
class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(FakeModel::Options options = {})
      : fake(std::make_shared<FakeModel>(std::move(options))) {}
  std::vector<std::shared_ptr<ServedModel>> models() const override { return {fake}; }
  std::vector<std::shared_ptr<ServedPipeline>> pipelines() const override {
    return served_pipelines;
  }
  std::vector<std::shared_ptr<ServedRoute>> routes() const override { return served_routes; }

  std::shared_ptr<FakeModel> fake;
  std::vector<std::shared_ptr<ServedPipeline>> served_pipelines;
  std::vector<std::shared_ptr<ServedRoute>> served_routes;
};

}  // namespace neuros::serve
