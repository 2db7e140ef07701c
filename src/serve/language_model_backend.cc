#include "serve/language_model_backend.h"

#include <utility>

#include <nlohmann/json.hpp>

namespace neuros::serve {
namespace {

const char* tokenizer_class(text::VocabularyKind kind) {
  switch (kind) {
    case text::VocabularyKind::kSentencePieceBpe:
      return "LlamaTokenizer";
    case text::VocabularyKind::kUnigram:
      return "T5Tokenizer";
    case text::VocabularyKind::kByteBpe:
      return "PreTrainedTokenizerFast";
    case text::VocabularyKind::kWordPiece:
      return "BertTokenizer";
  }
  return "";
}

std::optional<std::string> token_text(const text::Vocabulary& vocabulary,
                                      std::optional<text::TokenId> id) {
  if (!id || *id < 0 || static_cast<size_t>(*id) >= vocabulary.pieces.size()) return std::nullopt;
  return vocabulary.pieces[static_cast<size_t>(*id)].text;
}

ModelFacts facts_of(const pipeline::LanguageModel& model) {
  const text::Vocabulary& vocabulary = model.tokenizer().vocabulary();
  const plan::Plan& plan = model.plan();
  ModelFacts facts;
  facts.id = model.id();
  facts.created_unix_s = model.created_unix_s();
  facts.context = model.context();
  facts.vocabulary_size = model.tokenizer().size();
  facts.architecture = plan.program.architecture;
  facts.context_trained = plan.program.context_trained;
  facts.weight_bytes = plan.memory.weights;
  if (model.has_chat_template()) facts.chat_template = model.chat_template_source();
  facts.tokenizer_class = tokenizer_class(vocabulary.kind);
  facts.bos_token = token_text(vocabulary, vocabulary.bos);
  facts.eos_token = token_text(vocabulary, vocabulary.eos);
  facts.unk_token = token_text(vocabulary, vocabulary.unk);
  facts.pad_token = token_text(vocabulary, vocabulary.pad);
  facts.add_bos = vocabulary.add_bos;
  facts.add_eos = vocabulary.add_eos;
  facts.default_sampling = model.default_sampling();
  return facts;
}

class ServedLanguageModel final : public ServedModel {
 public:
  explicit ServedLanguageModel(pipeline::LanguageModel& model)
      : model_(model), facts_(facts_of(model)) {}

  const ModelFacts& facts() const override { return facts_; }

  ModelStats stats() const override {
    const runtime::EngineStats engine = model_.stats();
    const plan::MemoryPlan& memory = model_.plan().memory;
    const std::string tier = model_.plan().device == "cpu" ? "host" : "device";
    return {.running = engine.scheduler.running,
            .waiting = engine.scheduler.waiting,
            .kv_pages_used = engine.scheduler.pages_used,
            .kv_pages_cached = engine.scheduler.pages_cached,
            .kv_pages_free = engine.scheduler.pages_free,
            .kv_host_pages = engine.scheduler.host_pages,
            .kv_host_pages_used = engine.scheduler.host_pages_used,
            .kv_pages_swapped_out = engine.scheduler.pages_swapped_out,
            .kv_pages_swapped_in = engine.scheduler.pages_swapped_in,
            .kv_page_bytes = engine.kv_page_bytes,
            .tokens_reused = engine.scheduler.tokens_reused,
            .suspensions = engine.scheduler.suspensions,
            .batches = engine.batches,
            .tokens_prefilled = engine.tokens_prefilled,
            .tokens_decoded = engine.tokens_decoded,
            .busy_us = engine.busy_us,
            .memory = {{tier, "weights", memory.weights},
                       {tier, "kv", memory.kv},
                       {tier, "activations", memory.activations},
                       {tier, "scratch", memory.scratch},
                       {tier, "shared", memory.shared},
                       {"host", "kv_swap", memory.kv_host}},
            .memory_predicted = memory.steady_bytes(),
            .memory_peak_predicted = memory.peak_bytes()};
  }

  runtime::ModelBoot boot_state() const override { return model_.boot_state(); }

  std::vector<int32_t> encode(std::string_view text, text::EncodeOptions options) const override {
    return model_.tokenizer().encode(text, options);
  }
  std::string decode(std::span<const int32_t> ids, bool show_special) const override {
    return model_.tokenizer().decode(ids, show_special);
  }
  std::string piece_bytes(int32_t id, bool show_special) const override {
    return model_.tokenizer().piece_bytes(id, show_special);
  }

  base::Result<ChatPrompt> chat_prompt(const nlohmann::ordered_json& inputs) const override {
    ChatPrompt prompt;
    prompt.text = TRY(model_.apply_chat_template(inputs));
    prompt.ids = model_.encode_chat(prompt.text);
    if (prompt.ids.empty()) return base::fail("the rendered prompt is empty");
    return prompt;
  }

  base::Result<uint64_t> generate(pipeline::GenerationRequest request,
                                  std::shared_ptr<pipeline::GenerationSink> sink) override {
    return model_.generate(std::move(request), std::move(sink));
  }
  void cancel(uint64_t generation) override { model_.cancel(generation); }

 private:
  pipeline::LanguageModel& model_;
  ModelFacts facts_;
};

}  // namespace

std::shared_ptr<ServedModel> serve_language_model(pipeline::LanguageModel& model) {
  return std::make_shared<ServedLanguageModel>(model);
}

}  // namespace neuros::serve
