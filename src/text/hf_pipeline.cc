// What a tokenizer.json does around its model: normalizer, pre_tokenizer, post_processor.

#include "base/check.h"
#include "text/base64.h"
#include "text/hf_json.h"
#include "text/known_pre_tokenizers.h"
#include "text/unicode.h"

namespace neuros::text::hf {
namespace {

using Ids = std::vector<TokenId>;

constexpr int kNestingMax = 16;

/// Visits `json` or, if it is a Sequence, everything in it in order.
template <typename Visit>
base::Result<> for_each_part(const Json& json, const char* list, Visit visit, int depth = 0) {
  if (depth > kNestingMax) return base::fail("tokenizer.json: sequences nest too deep");
  if (text_or(json, "type", "") != "Sequence") return visit(json);
  const Json* parts = member(json, list);
  if (parts == nullptr || !parts->is_array()) return {};
  for (const Json& part : *parts) TRY(for_each_part(part, list, visit, depth + 1));
  return {};
}

class PipelineReader {
 public:
  explicit PipelineReader(Vocabulary& vocabulary) : v_(vocabulary) {}

  base::Result<> normalizer(const Json& json);
  base::Result<> pre_tokenizer(const Json& json);
  base::Result<> finish();

 private:
  base::Result<> normal_form(Normalization form);
  base::Result<> bert_normalizer(const Json& json);
  base::Result<> precompiled(const Json& json);
  base::Result<> replace(const Json& json);
  base::Result<> split(const Json& json);
  void byte_level(const Json& json);
  void metaspace(const Json& json);
  void step(std::string pattern, SplitBehaviour behaviour = SplitBehaviour::kIsolated,
            bool invert = false) {
    v_.pre_steps.push_back({std::move(pattern), behaviour, invert});
  }

  Vocabulary& v_;
  bool marks_spaces_ = false;      // spaces are replaced with U+2581
  bool whitespace_split_ = false;  // white space is thrown away, words stand alone
};

base::Result<SplitBehaviour> behaviour_of(const Json& json) {
  const std::string name = text_or(json, "behavior", "Isolated");
  if (name == "Isolated") return SplitBehaviour::kIsolated;
  if (name == "Removed") return SplitBehaviour::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehaviour::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehaviour::kMergedWithNext;
  if (name == "Contiguous") return SplitBehaviour::kContiguous;
  return unsupported("split behavior " + name);
}

/// A regular expression that matches exactly `text`.
std::string literal_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain = static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') ||
                       (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!plain) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

base::Result<> PipelineReader::normal_form(Normalization form) {
  if (v_.normalization != Normalization::kNone && v_.normalization != form)
    return unsupported("a second Unicode normal form");
  v_.normalization = form;
  return {};
}

base::Result<> PipelineReader::bert_normalizer(const Json& json) {
  if (v_.kind != VocabularyKind::kWordPiece) return unsupported("BertNormalizer without WordPiece");
  for (const char* key : {"clean_text", "handle_chinese_chars"})
    if (!flag_or(json, key, true)) return unsupported(std::string(key) + " = false");
  v_.lower_case = flag_or(json, "lowercase", true);
  v_.strip_accents = flag_or(json, "strip_accents", v_.lower_case);
  return {};
}

base::Result<> PipelineReader::precompiled(const Json& json) {
  auto bytes = decode_base64(text_or(json, "precompiled_charsmap", ""));
  if (!bytes) return base::fail("tokenizer.json: precompiled_charsmap is not base64");
  v_.charsmap = std::move(*bytes);
  return {};
}

base::Result<> PipelineReader::replace(const Json& json) {
  const Json* pattern = member(json, "pattern");
  const std::string content = text_or(json, "content", "");
  const std::string text = pattern ? text_or(*pattern, "String", "") : "";
  const std::string regex = pattern ? text_or(*pattern, "Regex", "") : "";
  if (text == " " && content == kSpaceMark) {
    marks_spaces_ = true;
  } else if (regex == " {2,}" && (content == " " || content == kSpaceMark)) {
    v_.remove_extra_whitespaces = true;
  } else {
    return unsupported("normalizer Replace of '" + text + regex + "'");
  }
  return {};
}

base::Result<> PipelineReader::normalizer(const Json& json) {
  const std::string type = text_or(json, "type", "");
  if (type == "NFC") return normal_form(Normalization::kNfc);
  if (type == "NFD") return normal_form(Normalization::kNfd);
  if (type == "NFKC") return normal_form(Normalization::kNfkc);
  if (type == "NFKD") return normal_form(Normalization::kNfkd);
  if (type == "BertNormalizer") return bert_normalizer(json);
  if (type == "Precompiled") return precompiled(json);
  if (type == "Replace") return replace(json);
  if (type == "Lowercase") {
    v_.lower_case = true;
  } else if (type == "StripAccents") {
    v_.strip_accents = true;
  } else if (type == "Prepend" && text_or(json, "prepend", "") == kSpaceMark) {
    v_.add_space_prefix = true;
  } else if (type == "Strip" && v_.kind == VocabularyKind::kUnigram) {
    v_.remove_extra_whitespaces = true;
  } else {
    return unsupported("normalizer " + type);
  }
  return {};
}

void PipelineReader::byte_level(const Json& json) {
  if (flag_or(json, "add_prefix_space", false))
    v_.add_space_prefix = v_.space_prefix_if_missing = true;
  if (!flag_or(json, "use_regex", true)) return;
  const auto gpt2 = find_pre_tokenizer("gpt-2");
  CHECK(gpt2.has_value());
  v_.pre_steps.insert(v_.pre_steps.end(), gpt2->steps.begin(), gpt2->steps.end());
}

void PipelineReader::metaspace(const Json& json) {
  const bool legacy_prefix = flag_or(json, "add_prefix_space", true);
  const std::string scheme = text_or(json, "prepend_scheme", legacy_prefix ? "always" : "never");
  marks_spaces_ = true;
  v_.add_space_prefix = scheme != "never";
  v_.space_prefix_first_only = scheme == "first";
  v_.space_prefix_if_missing = true;
  if (flag_or(json, "split", true)) step(std::string(kSpaceMark), SplitBehaviour::kMergedWithNext);
}

base::Result<> PipelineReader::split(const Json& json) {
  const Json* pattern = member(json, "pattern");
  if (pattern == nullptr) return base::fail("tokenizer.json: a Split has no pattern");
  const std::string text = text_or(*pattern, "String", "");
  const std::string regex = text_or(*pattern, "Regex", literal_pattern(text));
  if (regex.empty()) return base::fail("tokenizer.json: a Split has an empty pattern");
  step(regex, TRY(behaviour_of(json)), flag_or(json, "invert", false));
  return {};
}

base::Result<> PipelineReader::pre_tokenizer(const Json& json) {
  const std::string type = text_or(json, "type", "");
  if (type == "Split") return split(json);
  if (type == "ByteLevel") {
    byte_level(json);
  } else if (type == "Metaspace") {
    metaspace(json);
  } else if (type == "Digits") {
    step(flag_or(json, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
  } else if (type == "Punctuation") {
    step("[\\p{P}!-/:-@\\[-`{-~]", TRY(behaviour_of(json)));
  } else if (type == "WhitespaceSplit") {
    whitespace_split_ = true;
    if (v_.kind == VocabularyKind::kByteBpe) step("\\s+", SplitBehaviour::kRemoved);
  } else if (type == "Whitespace") {
    whitespace_split_ = true;
    step("[\\p{L}\\p{M}\\p{N}\\p{Pc}]+|[^\\p{L}\\p{M}\\p{N}\\p{Pc}\\s]+", SplitBehaviour::kRemoved,
         true);
  } else if (type != "BertPreTokenizer") {
    return unsupported("pre_tokenizer " + type);
  }
  return {};
}

base::Result<> PipelineReader::finish() {
  switch (v_.kind) {
    case VocabularyKind::kWordPiece:
      v_.pre_steps.clear();
      return {};
    case VocabularyKind::kByteBpe:
      v_.pre = v_.pre_steps.empty() ? "none" : name_of_pre_tokenizer(v_.pre_steps);
      return {};
    case VocabularyKind::kUnigram:
    case VocabularyKind::kSentencePieceBpe:
      break;
  }
  if (!marks_spaces_) return unsupported("a model that keeps spaces as they are");
  v_.remove_extra_whitespaces = v_.remove_extra_whitespaces || whitespace_split_;
  return {};
}

bool mentions_byte_level(const Json* json, const char* list) {
  bool found = false;
  if (json == nullptr) return false;
  const auto visit = [&found](const Json& part) -> base::Result<> {
    found = found || text_or(part, "type", "") == "ByteLevel";
    return {};
  };
  return for_each_part(*json, list, visit).has_value() && found;
}

/// The ids that a SpecialToken of the template stands for; empty if there are none.
Ids template_ids(const Json& processor, const Json& part, const Vocabulary& v) {
  const Json* special = member(part, "SpecialToken");
  if (special == nullptr) return {};
  const std::string name = text_or(*special, "id", "");
  const Json* specials = member(processor, "special_tokens");
  const Json* entry = specials == nullptr ? nullptr : member(*specials, name.c_str());
  const Json* listed = entry == nullptr ? nullptr : member(*entry, "ids");
  Ids ids;
  if (listed != nullptr && listed->is_array()) {
    for (const Json& number : *listed)
      if (const auto id = id_of(number)) ids.push_back(*id);
  } else if (const auto id = find_piece(v, name)) {
    ids.push_back(*id);
  }
  return ids;
}

base::Result<> read_template(const Json& processor, Vocabulary& v) {
  const Json* single = member(processor, "single");
  if (single == nullptr || !single->is_array()) return {};
  bool text_seen = false;
  for (const Json& part : *single) {
    if (member(part, "Sequence") != nullptr) {
      text_seen = true;
      continue;
    }
    const Ids ids = template_ids(processor, part, v);
    if (ids.empty()) return base::fail("tokenizer.json: post_processor names an unknown token");
    Ids& place = text_seen ? v.end_with : v.begin_with;
    place.insert(place.end(), ids.begin(), ids.end());
    (text_seen ? v.add_eos : v.add_bos) = true;
  }
  return {};
}

/// RobertaProcessing and BertProcessing: {"sep": ["</s>", 2], "cls": ["<s>", 0]}.
base::Result<> read_sep_and_cls(const Json& processor, Vocabulary& v) {
  const auto id = [&](const char* key) -> std::optional<TokenId> {
    const Json* pair = member(processor, key);
    return pair && pair->is_array() && pair->size() == 2 ? id_of((*pair)[1]) : std::nullopt;
  };
  const auto cls = id("cls"), sep = id("sep");
  if (!cls || !sep) return base::fail("tokenizer.json: post_processor without cls and sep");
  v.begin_with = {*cls};
  v.end_with = {*sep};
  v.add_bos = v.add_eos = true;
  return {};
}

}  // namespace

bool is_byte_level(const Json& tokenizer) {
  return mentions_byte_level(member(tokenizer, "pre_tokenizer"), "pretokenizers") ||
         mentions_byte_level(member(tokenizer, "decoder"), "decoders");
}

base::Result<> read_pipeline(const Json& tokenizer, Vocabulary& vocabulary) {
  PipelineReader reader(vocabulary);
  if (const Json* normalizer = member(tokenizer, "normalizer"))
    TRY(for_each_part(*normalizer, "normalizers",
                      [&](const Json& part) { return reader.normalizer(part); }));
  if (const Json* pre_tokenizer = member(tokenizer, "pre_tokenizer"))
    TRY(for_each_part(*pre_tokenizer, "pretokenizers",
                      [&](const Json& part) { return reader.pre_tokenizer(part); }));
  return reader.finish();
}

base::Result<> read_post_processor(const Json& processor, Vocabulary& vocabulary) {
  return for_each_part(processor, "processors", [&](const Json& part) -> base::Result<> {
    const std::string type = text_or(part, "type", "");
    if (type == "TemplateProcessing") return read_template(part, vocabulary);
    if (type == "RobertaProcessing" || type == "BertProcessing")
      return read_sep_and_cls(part, vocabulary);
    if (type == "ByteLevel") return {};
    return unsupported("post_processor " + type);
  });
}

}  // namespace neuros::text::hf
