#include "text/known_pre_tokenizers.h"

#include <algorithm>
#include <array>
#include <string>

// The patterns are those of the models' published tokenizer.json files; which name means which
// pattern is GGUF's convention (`tokenizer.ggml.pre`).

namespace neuros::text {
namespace {

/// Patterns, run one after the other, each isolating its matches.
struct Patterns {
  std::array<const char*, 6> steps{};
};

#define NEUROS_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define NEUROS_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define NEUROS_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define NEUROS_NOT_HAN_UPPER "(?:(?!\\p{Han})" NEUROS_UPPER ")"
#define NEUROS_NOT_HAN_LOWER "(?:(?!\\p{Han})" NEUROS_LOWER ")"
#define NEUROS_SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define NEUROS_MARKS_THEN_NEWLINES " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define NEUROS_CASED_WORD(upper, lower, end)       \
  "[^\\r\\n\\p{L}\\p{N}]?" upper "*" lower "+" end \
  "|"                                              \
  "[^\\r\\n\\p{L}\\p{N}]?" upper "+" lower "*" end

constexpr const char* kGpt2Words =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
constexpr const char* kLlama3Words = NEUROS_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" NEUROS_MARKS_THEN_NEWLINES "|" NEUROS_SPACES;
constexpr const char* kQwen2Words = NEUROS_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" NEUROS_MARKS_THEN_NEWLINES "|" NEUROS_SPACES;
constexpr const char* kQwen35Words = NEUROS_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
    "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" NEUROS_SPACES;
constexpr const char* kTekkenWords = NEUROS_CASED_WORD(
    NEUROS_UPPER, NEUROS_LOWER, "") "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" NEUROS_SPACES;
constexpr const char* kGpt4oWords = NEUROS_CASED_WORD(
    NEUROS_UPPER, NEUROS_LOWER,
    NEUROS_CONTRACTIONS "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" NEUROS_SPACES;
constexpr const char* kKimiWords = "\\p{Han}+|" NEUROS_CASED_WORD(
    NEUROS_NOT_HAN_UPPER, NEUROS_NOT_HAN_LOWER,
    NEUROS_CONTRACTIONS "?") "|\\p{N}{1,3}|" NEUROS_MARKS_THEN_NEWLINES "|" NEUROS_SPACES;
constexpr const char* kSeedCoderWords = NEUROS_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" NEUROS_SPACES;
constexpr const char* kBailingWords =
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
    "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
constexpr const char* kExaoneMoeWords = NEUROS_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
constexpr const char* kMiniCpm5Words = NEUROS_CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}+|" NEUROS_MARKS_THEN_NEWLINES "|" NEUROS_SPACES;
constexpr const char* kUfakzekaWords =
    "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" NEUROS_MARKS_THEN_NEWLINES "|" NEUROS_SPACES;
constexpr const char* kDeepseek3Words =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" NEUROS_SPACES;
constexpr const char* kBloomWords =
    " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+";

/// Cased letters as DeepSeek lists them (Lu, Ll, Lt of an older Unicode, without Mkhedruli).
constexpr const char* kDeepseekCasedWords =
    "\\s?[A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}"
    "\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}"
    "\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}"
    "\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}"
    "\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}"
    "\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}"
    "\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}"
    "\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}"
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}"
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"
    "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+";
constexpr const char* kDeepseekMarks =
    "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+";
constexpr const char* kDeepseekAsian =
    "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+";
constexpr const char* kHanAndKana = "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+";
constexpr const char* kThreeDigits = "[0-9][0-9][0-9]";
constexpr const char* kNewlineRuns = "[^\\n]+|[\\n]+";

struct Entry {
  std::string_view name;
  Patterns patterns;
  bool ignore_merges = false;
  bool add_bos = false;
};

constexpr Patterns kLlama3{{kLlama3Words}};
constexpr Patterns kQwen2{{kQwen2Words}};
constexpr Patterns kGpt2{{kGpt2Words}};
constexpr Patterns kDigitsThenGpt2{{"\\p{N}", kGpt2Words}};
constexpr Patterns kBloom{{kBloomWords}};
constexpr Patterns kGpt4o{{kGpt4oWords}};
constexpr Patterns kBailing{{kBailingWords}};
constexpr Patterns kDeepseek3{{"\\p{N}{1,3}", kHanAndKana, kDeepseek3Words}};

constexpr Entry kEntries[] = {
    {"none", {}},
    {"default", {{"[\\p{P}\\$\\+<=>\\^~\\|]+", kGpt2Words, "\\p{N}+", kThreeDigits}}},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"jina-es", kGpt2},
    {"jina-de", kGpt2},
    {"jina-v1-en", kGpt2},
    {"jina-v2-es", kGpt2},
    {"jina-v2-de", kGpt2},
    {"jina-v2-code", kGpt2},
    {"roberta-bpe", kGpt2},
    {"gigachat", kGpt2},
    {"a.x-4.0", kGpt2},
    {"mellum", kGpt2},
    {"modern-bert", kGpt2},
    {"exaone4", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"jais", kGpt2},
    {"trillion", kGpt2},
    {"granite-docling", kGpt2},
    {"llama-bpe", kLlama3, true, true},
    {"llama3", kLlama3, true, true},
    {"llama-v3", kLlama3, true, true},
    {"falcon3", kLlama3, true, true},
    {"falcon-h1", kLlama3, true, true},
    {"pixtral", kLlama3, true, true},
    {"midm-2.0", kLlama3, true, true},
    {"lfm2", kLlama3, true, true},
    {"jina-v5-nano", kLlama3, true, true},
    {"smaug-bpe", kLlama3},
    {"dbrx", kLlama3},
    {"glm4", kLlama3},
    {"chatglm-bpe", kLlama3},
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"kormo", kQwen2},
    {"f2llmv2", kQwen2},
    {"megrez", kQwen2},
    {"stablelm2", kQwen2},
    {"hunyuan", kQwen2},
    {"solar-open", kQwen2},
    {"grok-2", kQwen2},
    {"qwen35", {{kQwen35Words}}},
    {"laguna", {{kNewlineRuns, kQwen2Words}}},
    {"ufakzeka", {{kUfakzekaWords}}},
    {"deepseek-llm",
     {{"[\\r\\n]", kDeepseekCasedWords, kDeepseekMarks, "\\s+$", kDeepseekAsian, "\\p{N}+"}}},
    {"deepseek-coder", {{"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", kDeepseekAsian, "\\p{N}"}}},
    {"deepseek-v3", kDeepseek3},
    {"hunyuan-dense", kDeepseek3},
    {"hy_v4", kDeepseek3},
    {"joyai-llm", kDeepseek3},
    {"falcon", {{"[\\p{P}\\$\\+<=>\\^~\\|`]+", kGpt2Words, kThreeDigits}}},
    {"starcoder", kDigitsThenGpt2},
    {"refact", kDigitsThenGpt2},
    {"command-r", kDigitsThenGpt2},
    {"smollm", kDigitsThenGpt2},
    {"codeshell", kDigitsThenGpt2},
    {"exaone", kDigitsThenGpt2},
    {"minerva-7b", kDigitsThenGpt2},
    {"mellum2", kDigitsThenGpt2},
    {"poro-chat", kBloom},
    {"bloom", kBloom},
    {"gpt3-finnish", kBloom},
    {"viking", {{kBloomWords, "\\p{N}"}}},
    {"tekken", {{kTekkenWords}}, true, true},
    {"gpt-4o", kGpt4o},
    {"llama4", kGpt4o},
    {"kanana2", kGpt4o},
    {"talkie", kGpt4o},
    {"minimax-m2", kGpt4o},
    {"granite-embed-multi-97m", kGpt4o, true},
    {"kimi-k2", {{kKimiWords}}},
    {"chameleon",
     {{"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
       "[\\p{P}!-/:-@\\[-`{-~]", kGpt2Words}},
     false,
     true},
    {"bailingmoe", kBailing},
    {"bailingmoe2", kBailing},
    {"llada-moe", kBailing},
    {"seed-coder", {{kSeedCoderWords}}},
    {"exaone-moe", {{kExaoneMoeWords}}},
    {"minicpm5", {{"\\p{N}{1,3}", kMiniCpm5Words}}, true},
    {"gemma4", {{kNewlineRuns}}, false, true},
    {"granite-embed-multi-311m", {{kNewlineRuns}}, false, true},
    {"sarvam-moe", {{kNewlineRuns}}},
};

bool same_steps(const Patterns& patterns, std::span<const SplitStep> steps) {
  size_t count = 0;
  for (const char* pattern : patterns.steps) {
    if (pattern == nullptr) break;
    if (count == steps.size() || steps[count].pattern != pattern || steps[count].invert ||
        steps[count].behaviour != SplitBehaviour::kIsolated)
      return false;
    ++count;
  }
  return count == steps.size();
}

}  // namespace

std::optional<KnownPreTokenizer> find_pre_tokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  const auto* entry = std::find_if(std::begin(kEntries), std::end(kEntries),
                                   [name](const Entry& e) { return e.name == name; });
  if (entry == std::end(kEntries)) return std::nullopt;
  KnownPreTokenizer known{{}, entry->ignore_merges, entry->add_bos};
  for (const char* pattern : entry->patterns.steps)
    if (pattern != nullptr) known.steps.push_back({pattern});
  return known;
}

std::string_view name_of_pre_tokenizer(std::span<const SplitStep> steps) {
  const auto* entry = std::find_if(std::begin(kEntries), std::end(kEntries),
                                   [&](const Entry& e) { return same_steps(e.patterns, steps); });
  return entry == std::end(kEntries) ? std::string_view() : entry->name;
}

}  // namespace neuros::text
