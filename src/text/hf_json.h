#pragma once

/// Parts of the Hugging Face loader (vocabulary_hf_json.h). Internal to text/.

#include "base/result.h"
#include "text/tokenizer.h"

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace neuros::text::hf {

using Json = nlohmann::json;

/// `what` names the file in errors.
base::Result<Json> parse(std::string_view text, const char* what);

/// nullptr if `json` is no object, has no such member, or the member is null.
const Json* member(const Json& json, const char* key);
std::string text_or(const Json& json, const char* key, std::string_view otherwise);
bool flag_or(const Json& json, const char* key, bool otherwise);
/// A non-negative integer that fits into TokenId.
std::optional<TokenId> id_of(const Json& json);

tl::unexpected<base::Error> unsupported(const std::string& what);

/// The `model` member: pieces, merges, unk and the kind (BPE counts as byte-level if `byte_level`).
base::Result<> read_model(const Json& model, bool byte_level, Vocabulary& vocabulary);
base::Result<> read_merges_txt(std::string_view text, Vocabulary& vocabulary);
/// {"piece": id, ...}
base::Result<> read_vocab_object(const Json& vocab, Vocabulary& vocabulary);

/// Ids may have holes, but a file whose ids are mostly holes is broken, not large.
inline constexpr size_t kHolesMax = 65536;

/// One added token: {"content", "special", "lstrip", "rstrip"}. Fails if `id` is not below `limit`.
base::Result<> add_token(const Json& token, TokenId id, size_t limit, Vocabulary& vocabulary);
/// The id of a piece by text, counting from the end (where added tokens are).
std::optional<TokenId> find_piece(const Vocabulary& vocabulary, std::string_view text);

/// Whether ByteLevel occurs in the pre_tokenizer or the decoder.
bool is_byte_level(const Json& tokenizer);
/// The `normalizer` and `pre_tokenizer` members. The kind of `vocabulary` is known.
base::Result<> read_pipeline(const Json& tokenizer, Vocabulary& vocabulary);
/// The `post_processor` member: what stands around a text. Pieces are known.
base::Result<> read_post_processor(const Json& processor, Vocabulary& vocabulary);

/// tokenizer_config.json: added_tokens_decoder, special tokens, add_bos_token, chat_template.
base::Result<> read_tokenizer_config(const Json& config, Vocabulary& vocabulary);
base::Result<> read_generation_config(const Json& config, Vocabulary& vocabulary);

}  // namespace neuros::text::hf
