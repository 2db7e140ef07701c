#include "builder/vocabulary_extras.h"

#include "text/known_pre_tokenizers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace neuros::builder {
namespace {

using formats::Metadata;
using formats::MetadataArray;
using text::Normalization;
using text::Piece;
using text::SplitBehaviour;
using text::SplitStep;
using text::TokenId;
using text::Vocabulary;

constexpr std::array<std::pair<const char*, bool Vocabulary::*>, 10> kFlags{{
    {"add_bos", &Vocabulary::add_bos},
    {"add_eos", &Vocabulary::add_eos},
    {"add_space_prefix", &Vocabulary::add_space_prefix},
    {"remove_extra_whitespaces", &Vocabulary::remove_extra_whitespaces},
    {"ignore_merges", &Vocabulary::ignore_merges},
    {"merges_by_rank", &Vocabulary::merges_by_rank},
    {"space_prefix_first_only", &Vocabulary::space_prefix_first_only},
    {"space_prefix_if_missing", &Vocabulary::space_prefix_if_missing},
    {"lower_case", &Vocabulary::lower_case},
    {"strip_accents", &Vocabulary::strip_accents},
}};

constexpr std::array<std::pair<const char*, std::vector<TokenId> Vocabulary::*>, 2> kAround{{
    {"begin_with", &Vocabulary::begin_with},
    {"end_with", &Vocabulary::end_with},
}};

constexpr std::array<std::pair<const char*, bool Piece::*>, 2> kStrips{{
    {"lstrip_ids", &Piece::lstrip},
    {"rstrip_ids", &Piece::rstrip},
}};

/// By Normalization's numbers.
constexpr std::array<const char*, 5> kNormalForms{"none", "nfc", "nfd", "nfkc", "nfkd"};
constexpr int64_t kBehaviours = 5;

std::string key_of(std::string_view name) {
  return std::string(kExtrasPrefix) + std::string(name);
}

/// What stands before a text (`end` 0) or after it (1) where begin_with and end_with are empty.
std::vector<TokenId> usual_ids(const Vocabulary& v, size_t end) {
  const bool word_piece = v.kind == text::VocabularyKind::kWordPiece;
  const auto& named = end == 0 ? v.cls : v.sep;
  const auto& usual = word_piece && named ? named : end == 0 ? v.bos : v.eos;
  return usual ? std::vector<TokenId>{*usual} : std::vector<TokenId>{};
}

std::vector<int64_t> stripping_ids(const Vocabulary& v, bool Piece::*strip) {
  std::vector<int64_t> ids;
  for (size_t id = 0; id < v.pieces.size(); ++id) {
    if (v.pieces[id].*strip) ids.push_back(static_cast<int64_t>(id));
  }
  return ids;
}

std::vector<SplitStep> steps_of(const Vocabulary& v) {
  if (!v.pre_steps.empty() || v.kind != text::VocabularyKind::kByteBpe) return v.pre_steps;
  auto known = text::find_pre_tokenizer(v.pre);
  return known ? std::move(known->steps) : std::vector<SplitStep>();
}

bool same(const SplitStep& a, const SplitStep& b) {
  return a.pattern == b.pattern && a.behaviour == b.behaviour && a.invert == b.invert;
}

void write_steps(const Vocabulary& vocabulary, const Vocabulary& plain, Metadata& metadata) {
  const auto wanted = steps_of(vocabulary), found = steps_of(plain);
  if (std::equal(wanted.begin(), wanted.end(), found.begin(), found.end(), same)) return;
  std::vector<std::string> patterns;
  std::vector<int64_t> behaviours;
  std::vector<bool> inverts;
  for (const SplitStep& step : wanted) {
    patterns.push_back(step.pattern);
    behaviours.push_back(static_cast<int64_t>(step.behaviour));
    inverts.push_back(step.invert);
  }
  metadata.set(key_of("split_patterns"), MetadataArray{std::move(patterns)});
  metadata.set(key_of("split_behaviours"), MetadataArray{std::move(behaviours)});
  metadata.set(key_of("split_inverts"), MetadataArray{std::move(inverts)});
}

base::Result<> wrong(std::string_view name) {
  return base::fail(key_of(name) + ": not a value this program writes");
}

base::Result<> read_steps(const Metadata& metadata, Vocabulary& v) {
  const auto* patterns = metadata.texts(key_of("split_patterns"));
  if (patterns == nullptr) return {};
  const auto* behaviours = metadata.integers(key_of("split_behaviours"));
  const auto* value = metadata.find(key_of("split_inverts"));
  const auto* array = value == nullptr ? nullptr : std::get_if<MetadataArray>(value);
  const auto* inverts = array == nullptr ? nullptr : std::get_if<std::vector<bool>>(&array->values);
  if (behaviours == nullptr || behaviours->size() != patterns->size()) {
    return wrong("split_behaviours");
  }
  if (inverts == nullptr || inverts->size() != patterns->size()) return wrong("split_inverts");
  v.pre_steps.clear();
  for (size_t i = 0; i < patterns->size(); ++i) {
    const int64_t behaviour = (*behaviours)[i];
    if (behaviour < 0 || behaviour >= kBehaviours) return wrong("split_behaviours");
    v.pre_steps.push_back({(*patterns)[i], static_cast<SplitBehaviour>(behaviour), (*inverts)[i]});
  }
  if (v.pre_steps.empty()) v.pre = "none";
  return {};
}

base::Result<> read_strips(const Metadata& metadata, Vocabulary& v) {
  for (const auto& [name, strip] : kStrips) {
    const auto* ids = metadata.integers(key_of(name));
    if (ids == nullptr) continue;
    for (Piece& piece : v.pieces) piece.*strip = false;
    for (const int64_t id : *ids) {
      if (id < 0 || id >= static_cast<int64_t>(v.pieces.size())) return wrong(name);
      v.pieces[static_cast<size_t>(id)].*strip = true;
    }
  }
  return {};
}

base::Result<> read_normalization(const Metadata& metadata, Vocabulary& v) {
  const auto name = metadata.text_or_none(key_of("normalization"));
  if (!name) return {};
  for (size_t i = 0; i < kNormalForms.size(); ++i) {
    if (*name != kNormalForms[i]) continue;
    v.normalization = static_cast<Normalization>(i);
    return {};
  }
  return wrong("normalization");
}

base::Result<> read_numbers(const Metadata& metadata, Vocabulary& v) {
  for (const auto& [name, around] : kAround) {
    const auto* ids = metadata.integers(key_of(name));
    if (ids == nullptr) continue;
    (v.*around).clear();
    for (const int64_t id : *ids) {
      if (id < 0 || id >= static_cast<int64_t>(v.pieces.size())) return wrong(name);
      (v.*around).push_back(static_cast<TokenId>(id));
    }
  }
  if (const auto most = metadata.integer_or_none(key_of("word_chars_max"))) {
    if (*most < 0 || *most > INT32_MAX) return wrong("word_chars_max");
    v.word_chars_max = static_cast<int32_t>(*most);
  }
  return {};
}

}  // namespace

void write_vocabulary_extras(const Vocabulary& vocabulary, const Vocabulary& plain,
                             Metadata& metadata) {
  for (const auto& [name, flag] : kFlags) {
    if (vocabulary.*flag != plain.*flag) metadata.set(key_of(name), vocabulary.*flag);
  }
  for (size_t end = 0; end < kAround.size(); ++end) {
    const auto& [name, around] = kAround[end];
    const std::vector<TokenId>& ids = vocabulary.*around;
    if (ids.empty() || ids == usual_ids(plain, end)) continue;
    metadata.set(key_of(name), MetadataArray{std::vector<int64_t>(ids.begin(), ids.end())});
  }
  for (const auto& [name, strip] : kStrips) {
    auto wanted = stripping_ids(vocabulary, strip);
    if (wanted != stripping_ids(plain, strip)) {
      metadata.set(key_of(name), MetadataArray{std::move(wanted)});
    }
  }
  if (vocabulary.normalization != plain.normalization) {
    const auto form = static_cast<size_t>(vocabulary.normalization);
    metadata.set(key_of("normalization"), std::string(kNormalForms[form]));
  }
  if (vocabulary.word_chars_max != plain.word_chars_max) {
    metadata.set(key_of("word_chars_max"), int64_t{vocabulary.word_chars_max});
  }
  write_steps(vocabulary, plain, metadata);
}

base::Result<> read_vocabulary_extras(const Metadata& metadata, Vocabulary& vocabulary) {
  for (const auto& [name, flag] : kFlags) {
    const auto value = metadata.boolean_or_none(key_of(name));
    if (value) vocabulary.*flag = *value;
  }
  if (vocabulary.merges_by_rank) vocabulary.merges.clear();
  TRY(read_numbers(metadata, vocabulary));
  TRY(read_strips(metadata, vocabulary));
  TRY(read_normalization(metadata, vocabulary));
  return read_steps(metadata, vocabulary);
}

}  // namespace neuros::builder
