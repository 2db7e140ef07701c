#include "builder/vocabulary_metadata.h"

#include "builder/vocabulary_extras.h"
#include "text/byte_alphabet.h"
#include "text/known_pre_tokenizers.h"
#include "text/vocabulary_gguf.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace neuros::builder {
namespace {

using formats::Metadata;
using formats::MetadataArray;
using text::GgufVocabularyFields;
using text::PieceKind;
using text::TokenId;
using text::Vocabulary;
using text::VocabularyKind;

const char* model_of(VocabularyKind kind) {
  switch (kind) {
    case VocabularyKind::kSentencePieceBpe:
      return "llama";
    case VocabularyKind::kUnigram:
      return "t5";
    case VocabularyKind::kByteBpe:
      return "gpt2";
    case VocabularyKind::kWordPiece:
      return "bert";
  }
  return "";
}

/// A name that readers know; the steps it does not stand for are left to the extras.
std::string pre_of(const Vocabulary& v) {
  if (v.kind != VocabularyKind::kByteBpe || v.pre.empty()) return "default";
  return text::find_pre_tokenizer(v.pre) ? v.pre : "default";
}

void add_tokens(const Vocabulary& v, int64_t rows, GgufVocabularyFields& fields) {
  const size_t count = std::max(v.pieces.size(), static_cast<size_t>(std::max<int64_t>(rows, 0)));
  for (size_t id = 0; id < count; ++id) {
    const bool used = id < v.pieces.size() && !v.pieces[id].text.empty();
    fields.tokens.push_back(used ? v.pieces[id].text : "[PAD" + std::to_string(id) + "]");
    fields.token_types.push_back(
        static_cast<int32_t>(used ? v.pieces[id].kind : PieceKind::kUnused));
  }
}

/// For readers of model llama, which know no list of merges: the earlier a piece is merged, the
/// higher its score.
std::vector<float> scores_of_merges(const Vocabulary& v, size_t count) {
  std::unordered_map<std::string, float> by_piece;
  for (size_t rank = 0; rank < v.merges.size(); ++rank) {
    const std::string& merge = v.merges[rank];
    const size_t space = std::min(merge.find(' ', 1), merge.size() - 1);
    by_piece.emplace(merge.substr(0, space) + merge.substr(space + 1), -static_cast<float>(rank));
  }
  const float last = -static_cast<float>(v.merges.size());
  std::vector<float> scores(count, last);
  for (size_t id = 0; id < v.pieces.size(); ++id) {
    const auto found = by_piece.find(v.pieces[id].text);
    if (found != by_piece.end()) scores[id] = found->second;
  }
  return scores;
}

void add_scores(const Vocabulary& v, GgufVocabularyFields& fields) {
  if (v.kind != VocabularyKind::kSentencePieceBpe && v.kind != VocabularyKind::kUnigram) return;
  const bool given = std::any_of(v.pieces.begin(), v.pieces.end(),
                                 [](const text::Piece& piece) { return piece.score != 0.0f; });
  if (!given && !v.merges.empty()) {
    fields.scores = scores_of_merges(v, fields.tokens.size());
    return;
  }
  float least = 0.0f;
  for (const text::Piece& piece : v.pieces) {
    fields.scores.push_back(piece.score);
    least = std::min(least, piece.score);
  }
  fields.scores.resize(fields.tokens.size(), least - 1.0f);
}

/// tiktoken's rule as a list: every pair whose whole is a piece, by the id of the whole.
std::vector<std::string> merges_of_ranks(const Vocabulary& v) {
  std::vector<std::string> bytes(v.pieces.size());
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < bytes.size(); ++id) {
    if (v.pieces[id].kind != PieceKind::kNormal || v.pieces[id].text.empty()) continue;
    bytes[id] = text::from_byte_alphabet(v.pieces[id].text).value_or(v.pieces[id].text);
    ids.emplace(bytes[id], id);
  }
  std::vector<std::string> merges;
  std::vector<std::pair<size_t, size_t>> pairs;
  for (const std::string_view whole : bytes) {
    pairs.clear();
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      const auto left = ids.find(whole.substr(0, cut)), right = ids.find(whole.substr(cut));
      if (left != ids.end() && right != ids.end()) pairs.emplace_back(left->second, right->second);
    }
    std::sort(pairs.begin(), pairs.end());
    for (const auto& [left, right] : pairs) {
      merges.push_back(v.pieces[left].text + " " + v.pieces[right].text);
    }
  }
  return merges;
}

void add_ids(const Vocabulary& v, const Metadata& metadata, GgufVocabularyFields& fields) {
  const auto id = [](std::optional<TokenId> token) -> std::optional<uint32_t> {
    if (!token) return std::nullopt;
    return static_cast<uint32_t>(*token);
  };
  fields.bos_id = id(v.bos);
  fields.eos_id = id(v.eos);
  fields.eot_id = id(v.eot);
  fields.unk_id = id(v.unk);
  fields.sep_id = id(v.sep);
  fields.pad_id = id(v.pad);
  fields.cls_id = id(v.cls);
  fields.mask_id = id(v.mask);
  const auto from_config = metadata.integer_or_none("tokenizer.ggml.eos_token_id");
  const bool exists =
      from_config && *from_config >= 0 && *from_config < static_cast<int64_t>(v.pieces.size());
  if (!fields.eos_id && exists) fields.eos_id = static_cast<uint32_t>(*from_config);
}

GgufVocabularyFields fields_of(const Vocabulary& v, int64_t rows, const Metadata& metadata) {
  GgufVocabularyFields fields;
  fields.model = model_of(v.kind);
  fields.pre = pre_of(v);
  add_tokens(v, rows, fields);
  add_scores(v, fields);
  fields.merges = v.merges_by_rank ? merges_of_ranks(v) : v.merges;
  fields.precompiled_charsmap = v.charsmap;
  add_ids(v, metadata, fields);
  fields.add_bos = v.add_bos;
  fields.add_eos = v.add_eos;
  fields.add_space_prefix = v.add_space_prefix;
  fields.remove_extra_whitespaces = v.remove_extra_whitespaces;
  if (v.kind == VocabularyKind::kWordPiece) {
    fields.normalizer_lower_case = v.lower_case;
    fields.normalizer_strip_accents = v.strip_accents;
  }
  fields.chat_template = v.chat_template;
  fields.model_name = metadata.text_or_none("general.name").value_or("");
  return fields;
}

template <typename To, typename From>
MetadataArray array_of(const From& values) {
  return MetadataArray{std::vector<To>(values.begin(), values.end())};
}

void set_lists(const GgufVocabularyFields& fields, Metadata& metadata) {
  metadata.set("tokenizer.ggml.tokens", array_of<std::string>(fields.tokens));
  metadata.set("tokenizer.ggml.token_type", array_of<int64_t>(fields.token_types));
  if (!fields.scores.empty()) {
    metadata.set("tokenizer.ggml.scores", array_of<double>(fields.scores));
  }
  if (!fields.merges.empty()) {
    metadata.set("tokenizer.ggml.merges", array_of<std::string>(fields.merges));
  }
  if (fields.precompiled_charsmap.empty()) return;
  std::vector<int64_t> bytes;
  for (const char c : fields.precompiled_charsmap) bytes.push_back(static_cast<unsigned char>(c));
  metadata.set("tokenizer.ggml.precompiled_charsmap", MetadataArray{std::move(bytes)});
}

void set_ids(const GgufVocabularyFields& fields, Metadata& metadata) {
  const auto set = [&](const std::string& name, std::optional<uint32_t> id) {
    const std::string key = "tokenizer.ggml." + name + "_token_id";
    if (id) {
      metadata.set(key, int64_t{*id});
    } else {
      metadata.erase(key);
    }
  };
  set("bos", fields.bos_id);
  set("eos", fields.eos_id);
  set("eot", fields.eot_id);
  set("unknown", fields.unk_id);
  set("seperator", fields.sep_id);  // so spelled
  set("padding", fields.pad_id);
  set("cls", fields.cls_id);
  set("mask", fields.mask_id);
}

void set_flags(const GgufVocabularyFields& fields, Metadata& metadata) {
  const auto set = [&](const char* key, std::optional<bool> flag) {
    if (flag) metadata.set(key, *flag);
  };
  set("tokenizer.ggml.add_bos_token", fields.add_bos);
  set("tokenizer.ggml.add_eos_token", fields.add_eos);
  set("tokenizer.ggml.add_space_prefix", fields.add_space_prefix);
  set("tokenizer.ggml.remove_extra_whitespaces", fields.remove_extra_whitespaces);
  set("tokenizer.ggml.normalizer.lowercase", fields.normalizer_lower_case);
  set("tokenizer.ggml.normalizer.strip_accents", fields.normalizer_strip_accents);
}

void set_ends(const Vocabulary& v, std::optional<uint32_t> eos, Metadata& metadata) {
  const std::string key = "neuros.eos_token_ids";
  std::set<int64_t> ends(v.end_of_generation.begin(), v.end_of_generation.end());
  if (const auto* known = metadata.integers(key)) ends.insert(known->begin(), known->end());
  metadata.erase(key);
  if (ends.empty() || (ends.size() == 1 && eos && *ends.begin() == int64_t{*eos})) return;
  metadata.set(key, array_of<int64_t>(ends));
}

}  // namespace

base::Result<> write_vocabulary(const Vocabulary& vocabulary, int64_t rows, Metadata& metadata) {
  GgufVocabularyFields fields = fields_of(vocabulary, rows, metadata);
  metadata.set("tokenizer.ggml.model", fields.model);
  metadata.set("tokenizer.ggml.pre", fields.pre);
  set_lists(fields, metadata);
  set_ids(fields, metadata);
  set_flags(fields, metadata);
  set_ends(vocabulary, fields.eos_id, metadata);
  if (!fields.chat_template.empty()) {
    metadata.set("tokenizer.chat_template", fields.chat_template);
  }
  const Vocabulary plain = TRY(text::vocabulary_from_gguf(std::move(fields)));
  write_vocabulary_extras(vocabulary, plain, metadata);
  return {};
}

}  // namespace neuros::builder
