#include "text/end_of_generation.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

namespace neuros::text {
namespace {

/// Texts that end a turn, the likeliest first.
constexpr std::array<std::string_view, 12> kEndOfTurn = {
    "<|eot_id|>",
    "<|im_end|>",
    "<end_of_turn>",
    "<turn|>",
    "<|end|>",
    "[EOT]",
    "<EOT>",
    "_<EOT>",
    "<end_of_utterance>",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    "<|end_of_text|>",
    "<|endoftext|>",
};

/// Further texts after which nothing of an answer follows.
constexpr std::array<std::string_view, 21> kEndOfGeneration = {
    "</s>",
    "<eos>",
    "[EOS]",
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|tool_response>",
    "[e~[",
    // Fill-in-the-middle: padding, and the start of the next repository or file.
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
};

/// Parts of an answer in the Harmony format (gpt-oss): always shown, never control.
constexpr std::array<std::string_view, 4> kHarmonyMarks = {"<|channel|>", "<|message|>",
                                                           "<|start|>", "<|constrain|>"};

constexpr size_t kTextBytesMax = 32;

using IdsByText = std::unordered_map<std::string_view, TokenId>;

/// Only the pieces that could be one of the texts above.
IdsByText index_marks(const Vocabulary& vocabulary) {
  IdsByText ids;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const std::string_view text = vocabulary.pieces[id].text;
    if (text.size() < 4 || text.size() > kTextBytesMax) continue;
    if (text[0] == '<' || text[0] == '[' || text[0] == '_')
      ids.emplace(text, static_cast<TokenId>(id));
  }
  return ids;
}

/// Where both of a pair exist, the second only ends a part of an answer, or nothing at all.
void drop_false_ends(const IdsByText& ids, Vocabulary& vocabulary, std::set<TokenId>& ends) {
  const auto has = [&ids](std::string_view text) { return ids.contains(text); };
  const auto drop = [&](std::string_view text, PieceKind kind) {
    const auto found = ids.find(text);
    if (found == ids.end() || found->second == vocabulary.eos) return;
    ends.erase(found->second);
    vocabulary.pieces[static_cast<size_t>(found->second)].kind = kind;
    if (vocabulary.eot == found->second) vocabulary.eot.reset();
  };
  const bool harmony = has("<|return|>") && (has("<|call|>") || has("<|calls|>"));
  const bool solar = has("<|flush|>") && (has("<|call|>") || has("<|calls|>"));
  if (harmony || solar) drop("<|end|>", PieceKind::kUserDefined);
  if (has("<|tool_response>")) drop("</s>", PieceKind::kNormal);
}

}  // namespace

void find_end_of_generation(Vocabulary& vocabulary) {
  const IdsByText ids = index_marks(vocabulary);
  std::set<TokenId> ends(vocabulary.end_of_generation.begin(), vocabulary.end_of_generation.end());
  const auto add = [&](std::string_view text) {
    const auto found = ids.find(text);
    if (found == ids.end()) return false;
    ends.insert(found->second);
    vocabulary.pieces[static_cast<size_t>(found->second)].kind = PieceKind::kControl;
    return true;
  };
  for (const auto text : kEndOfTurn)
    if (add(text) && !vocabulary.eot) vocabulary.eot = ids.at(text);
  for (const auto text : kEndOfGeneration) add(text);
  if (vocabulary.eos) ends.insert(*vocabulary.eos);
  if (vocabulary.eot) ends.insert(*vocabulary.eot);
  drop_false_ends(ids, vocabulary, ends);
  for (const auto text : kHarmonyMarks)
    if (const auto found = ids.find(text); found != ids.end())
      vocabulary.pieces[static_cast<size_t>(found->second)].kind = PieceKind::kUserDefined;
  vocabulary.end_of_generation.assign(ends.begin(), ends.end());
}

}  // namespace neuros::text
