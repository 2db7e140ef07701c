#include "text/vocabulary_gguf.h"

#include "text/end_of_generation.h"
#include "text/known_pre_tokenizers.h"

#include <algorithm>

namespace neuros::text {
namespace {

base::Result<> check_lengths(const GgufVocabularyFields& fields) {
  const auto check = [&](const char* key, size_t count) -> base::Result<> {
    if (count == 0 || count == fields.tokens.size()) return {};
    return base::fail("gguf: " + std::string(key) + ": " + std::to_string(count) +
                      " entries, but tokenizer.ggml.tokens has " +
                      std::to_string(fields.tokens.size()));
  };
  if (fields.tokens.empty()) return base::fail("gguf: tokenizer.ggml.tokens is missing or empty");
  TRY(check("tokenizer.ggml.scores", fields.scores.size()));
  return check("tokenizer.ggml.token_type", fields.token_types.size());
}

PieceKind piece_kind(int32_t token_type) {
  const bool known = token_type >= static_cast<int32_t>(PieceKind::kNormal) &&
                     token_type <= static_cast<int32_t>(PieceKind::kByte);
  return known ? static_cast<PieceKind>(token_type) : PieceKind::kNormal;
}

std::vector<Piece> take_pieces(GgufVocabularyFields& fields) {
  std::vector<Piece> pieces(fields.tokens.size());
  for (size_t id = 0; id < pieces.size(); ++id) {
    pieces[id].text = std::move(fields.tokens[id]);
    if (!fields.scores.empty()) pieces[id].score = fields.scores[id];
    if (!fields.token_types.empty()) pieces[id].kind = piece_kind(fields.token_types[id]);
  }
  return pieces;
}

/// What a model's name means where the file says nothing.
base::Result<> apply_model_defaults(const GgufVocabularyFields& fields, Vocabulary& v) {
  const auto id = [&v](TokenId wanted) -> std::optional<TokenId> {
    if (static_cast<size_t>(wanted) < v.pieces.size()) return wanted;
    return std::nullopt;
  };
  v.add_space_prefix = false;
  if (fields.model == "llama") {
    v.kind = VocabularyKind::kSentencePieceBpe;
    v.unk = id(0), v.bos = id(1), v.eos = id(2);
    v.add_space_prefix = v.add_bos = true;
  } else if (fields.model == "gpt2") {
    v.kind = VocabularyKind::kByteBpe;
  } else if (fields.model == "gemma4") {
    v.kind = VocabularyKind::kSentencePieceBpe;
    v.pre = "gemma4";
  } else if (fields.model == "t5") {
    v.kind = VocabularyKind::kUnigram;
    v.pad = id(0), v.eos = id(1), v.unk = id(2);
    v.add_eos = true;
  } else if (fields.model == "bert") {
    v.kind = VocabularyKind::kWordPiece;
    v.pad = id(0), v.unk = id(100), v.cls = id(101), v.sep = id(102), v.mask = id(103);
    v.add_bos = v.add_eos = true;
    v.lower_case = v.strip_accents = true;
  } else {
    return base::fail("gguf: unknown tokenizer.ggml.model '" + fields.model + "'",
                      base::ErrorKind::kUnsupported);
  }
  return {};
}

/// Three pre-tokenizers of "gpt2" stand for BPE on characters instead of bytes.
bool spells_spaces_as_marks(std::string_view pre) {
  return pre == "gemma4" || pre == "granite-embed-multi-311m" || pre == "sarvam-moe";
}

base::Result<> apply_pre_tokenizer(Vocabulary& v) {
  if (v.kind != VocabularyKind::kByteBpe && v.pre != "gemma4") {
    v.pre.clear();
    return {};
  }
  auto known = find_pre_tokenizer(v.pre);
  if (!known)
    return base::fail("gguf: unknown tokenizer.ggml.pre '" + v.pre + "'",
                      base::ErrorKind::kUnsupported);
  v.ignore_merges = known->ignore_merges;
  v.add_bos = known->add_bos;
  if (v.pre == "kimi-k2" && v.merges.empty()) v.merges_by_rank = true;
  if (!spells_spaces_as_marks(v.pre)) return {};
  v.kind = VocabularyKind::kSentencePieceBpe;
  v.pre_steps = std::move(known->steps);
  if (v.pre == "granite-embed-multi-311m") v.pre = "gemma4";
  return {};
}

void apply_ids(const GgufVocabularyFields& fields, Vocabulary& v) {
  const auto set = [&v](std::optional<uint32_t> given, std::optional<TokenId>& id) {
    if (given && *given < v.pieces.size()) id = static_cast<TokenId>(*given);
  };
  set(fields.bos_id, v.bos);
  set(fields.eos_id, v.eos);
  set(fields.eot_id, v.eot);
  set(fields.unk_id, v.unk);
  set(fields.pad_id, v.pad);
  set(fields.mask_id, v.mask);
  if (v.kind == VocabularyKind::kWordPiece) set(fields.bos_id, v.cls);
  set(fields.cls_id, v.cls);
  set(fields.sep_id, v.sep);
  std::optional<TokenId> eom;
  set(fields.eom_id, eom);
  if (eom) v.end_of_generation.push_back(*eom);
}

void apply_flags(const GgufVocabularyFields& fields, Vocabulary& v) {
  // llama.cpp always puts [CLS] and [SEP] around BERT's texts, and BOS in front of Gemma 4's.
  const bool word_piece = v.kind == VocabularyKind::kWordPiece;
  if (!word_piece && v.pre != "gemma4") v.add_bos = fields.add_bos.value_or(v.add_bos && v.bos);
  if (!word_piece) v.add_eos = fields.add_eos.value_or(v.add_eos && v.eos);
  const bool sentence_piece = v.kind == VocabularyKind::kUnigram || fields.model == "llama";
  if (sentence_piece) {
    v.add_space_prefix = fields.add_space_prefix.value_or(v.add_space_prefix);
    v.remove_extra_whitespaces = fields.remove_extra_whitespaces.value_or(false);
  }
  if (word_piece) {
    v.lower_case = fields.normalizer_lower_case.value_or(true);
    v.strip_accents = fields.normalizer_strip_accents.value_or(v.lower_case);
  }
}

/// GGUF has no lstrip and rstrip; llama.cpp knows these models by name.
void apply_strips(const GgufVocabularyFields& fields, Vocabulary& v) {
  std::string name = fields.model_name;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool phi3 =
      name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
  const bool modern_bert = name.find("modern-bert") != std::string::npos;
  const bool jina_v2 = v.pre.starts_with("jina-v2-");
  for (Piece& piece : v.pieces) {
    if (phi3) {
      const bool special = piece.kind == PieceKind::kControl || piece.kind == PieceKind::kUnknown ||
                           piece.kind == PieceKind::kUserDefined;
      piece.rstrip =
          special && piece.text != "<unk>" && piece.text != "<s>" && piece.text != "<|endoftext|>";
    } else if ((modern_bert && piece.text == "[MASK]") || (jina_v2 && piece.text == "<mask>")) {
      piece.lstrip = true;
    }
  }
}

}  // namespace

base::Result<Vocabulary> vocabulary_from_gguf(GgufVocabularyFields fields) {
  TRY(check_lengths(fields));
  Vocabulary v;
  v.pieces = take_pieces(fields);
  v.pre = fields.pre;
  v.merges = std::move(fields.merges);
  v.charsmap = std::move(fields.precompiled_charsmap);
  v.chat_template = std::move(fields.chat_template);
  TRY(apply_model_defaults(fields, v));
  TRY(apply_pre_tokenizer(v));
  if (v.kind == VocabularyKind::kByteBpe && v.merges.empty() && !v.merges_by_rank)
    return base::fail("gguf: tokenizer.ggml.merges is missing or empty");
  apply_ids(fields, v);
  apply_flags(fields, v);
  find_end_of_generation(v);
  apply_strips(fields, v);
  return v;
}

}  // namespace neuros::text
