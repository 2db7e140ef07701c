#include "text/byte_alphabet.h"
#include "text/known_pre_tokenizers.h"
#include "text/partitioned_tokenizer.h"
#include "text/pre_tokenizer.h"
#include "text/text_normalizer.h"

#include <array>
#include <unordered_map>

namespace neuros::text {
namespace {

/// GPT-2's tokenizer and its descendants: words, cut by regular expressions, start as bytes and
/// grow by merges. Any bytes can be encoded if all 256 single bytes are pieces.
class ByteBpeTokenizer final : public PartitionedTokenizer {
 public:
  explicit ByteBpeTokenizer(Vocabulary vocabulary) : PartitionedTokenizer(std::move(vocabulary)) {}

  base::Result<> build();

 protected:
  void encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                       std::vector<TokenId>& ids) const override;
  std::string normal_piece_bytes(TokenId id) const override {
    return bytes_[static_cast<size_t>(id)];
  }

 private:
  base::Result<> build_pre_tokenizer();
  void build_bytes();
  base::Result<> add_merge(size_t rank);
  void add_merges_by_rank();
  void encode_part(std::string_view part, EncodeScratch& scratch, std::vector<TokenId>& ids) const;
  void merge_part(std::string_view part, EncodeScratch& scratch, std::vector<TokenId>& ids) const;

  PreTokenizer pre_tokenizer_;
  TextNormalizer normalizer_;
  std::vector<std::string> bytes_;                            // by id; empty for special pieces
  std::unordered_map<std::string_view, TokenId> normal_ids_;  // by bytes, views into bytes_
  std::array<TokenId, 256> byte_ids_{};
  MergeTable merges_;
};

bool is_normal(const Piece& piece) {
  return piece.kind == PieceKind::kNormal || piece.kind == PieceKind::kUnused;
}

base::Result<> ByteBpeTokenizer::build() {
  TRY(build_pre_tokenizer());
  normalizer_ = TRY(TextNormalizer::create(vocabulary_));
  build_bytes();
  merges_ = MergeTable(vocabulary_.merges.size());
  for (size_t rank = 0; rank < vocabulary_.merges.size(); ++rank) TRY(add_merge(rank));
  if (vocabulary_.merges_by_rank) add_merges_by_rank();
  return {};
}

base::Result<> ByteBpeTokenizer::build_pre_tokenizer() {
  std::vector<SplitStep> steps = vocabulary_.pre_steps;
  if (steps.empty()) {
    auto known = find_pre_tokenizer(vocabulary_.pre);
    if (!known)
      return base::fail("tokenizer: unknown pre-tokenizer '" + vocabulary_.pre + "'",
                        base::ErrorKind::kUnsupported);
    steps = std::move(known->steps);
  }
  pre_tokenizer_ = TRY(PreTokenizer::create(steps));
  return {};
}

void ByteBpeTokenizer::build_bytes() {
  bytes_.resize(vocabulary_.pieces.size());
  normal_ids_.reserve(bytes_.size());
  byte_ids_.fill(-1);
  for (size_t id = 0; id < bytes_.size(); ++id) {
    const Piece& piece = vocabulary_.pieces[id];
    if (!is_normal(piece) || piece.text.empty()) continue;
    bytes_[id] = from_byte_alphabet(piece.text).value_or(piece.text);
    const bool added = normal_ids_.emplace(bytes_[id], static_cast<TokenId>(id)).second;
    if (added && bytes_[id].size() == 1)
      byte_ids_[static_cast<unsigned char>(bytes_[id][0])] = static_cast<TokenId>(id);
  }
}

base::Result<> ByteBpeTokenizer::add_merge(size_t rank) {
  const std::string& merge = vocabulary_.merges[rank];
  const auto fail = [&](const std::string& what) {
    return base::fail("tokenizer: merge " + std::to_string(rank) + " '" + merge + "': " + what);
  };
  const size_t space = merge.find(' ', 1);
  if (space == std::string::npos) return fail("no two parts");
  const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
  const auto left_id = find(left), right_id = find(right), merged_id = find(left + right);
  if (!left_id || !right_id || !merged_id)
    return fail("a part or the whole is not in the vocabulary");
  merges_.add(*left_id, *right_id, {static_cast<uint32_t>(rank), *merged_id});
  return {};
}

void ByteBpeTokenizer::add_merges_by_rank() {
  for (size_t id = 0; id < bytes_.size(); ++id) {
    const std::string_view whole = bytes_[id];
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      const auto left = normal_ids_.find(whole.substr(0, cut));
      if (left == normal_ids_.end()) continue;
      const auto right = normal_ids_.find(whole.substr(cut));
      if (right == normal_ids_.end()) continue;
      merges_.add(left->second, right->second,
                  {static_cast<uint32_t>(id), static_cast<int32_t>(id)});
    }
  }
}

void ByteBpeTokenizer::encode_fragment(const Fragment& fragment, EncodeScratch& scratch,
                                       std::vector<TokenId>& ids) const {
  std::string changed;
  std::string_view text = fragment.text;
  if (normalizer_.active()) text = changed = normalizer_.apply(text);
  if (vocabulary_.space_prefix_if_missing && wants_space_prefix(fragment) &&
      !text.starts_with(' ')) {
    changed = " " + std::string(text);
    text = changed;
  }
  pre_tokenizer_.split(text, scratch.regex,
                       [&](std::string_view part) { encode_part(part, scratch, ids); });
}

void ByteBpeTokenizer::encode_part(std::string_view part, EncodeScratch& scratch,
                                   std::vector<TokenId>& ids) const {
  if (vocabulary_.ignore_merges) {
    if (const auto whole = normal_ids_.find(part); whole != normal_ids_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  if (!scratch.use_cache) return merge_part(part, scratch, ids);
  if (const auto known = scratch.cache.get(part)) {
    ids.insert(ids.end(), known->begin(), known->end());
    return;
  }
  const size_t start = ids.size();
  merge_part(part, scratch, ids);
  scratch.cache.put(part, std::span(ids).subspan(start));
}

void ByteBpeTokenizer::merge_part(std::string_view part, EncodeScratch& scratch,
                                  std::vector<TokenId>& ids) const {
  scratch.symbols.clear();
  for (size_t i = 0; i < part.size(); ++i)
    scratch.symbols.push_back(
        {byte_ids_[static_cast<unsigned char>(part[i])], static_cast<uint32_t>(i)});
  scratch.merger.run(merges_, scratch.symbols);
  for (const Symbol& symbol : scratch.symbols) {
    if (symbol.id >= 0) {
      ids.push_back(symbol.id);
    } else if (vocabulary_.unk) {
      ids.push_back(*vocabulary_.unk);
    }
  }
}

}  // namespace

TokenizerResult make_byte_bpe_tokenizer(Vocabulary vocabulary) {
  auto tokenizer = std::make_shared<ByteBpeTokenizer>(std::move(vocabulary));
  TRY(tokenizer->build());
  return tokenizer;
}

}  // namespace neuros::text
