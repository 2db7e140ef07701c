#include "device/yaml_map.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include <yaml-cpp/eventhandler.h>

namespace neuros::device {
namespace {

constexpr double kRateMost = 1e21;

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

/// Bytes of the UTF-8 sequence that begins with `lead`; 0: none does.
size_t sequence_bytes(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/// No longer forms than needed, no surrogates, nothing beyond U+10FFFF.
bool second_byte_may_follow(char lead, char second) {
  const auto byte = static_cast<unsigned char>(second);
  switch (static_cast<unsigned char>(lead)) {
    case 0xe0:
      return byte >= 0xa0;
    case 0xed:
      return byte <= 0x9f;
    case 0xf0:
      return byte >= 0x90;
    case 0xf4:
      return byte <= 0x8f;
    default:
      return true;
  }
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = sequence_bytes(static_cast<unsigned char>(text.front()));
    if (bytes == 0 || bytes > text.size()) return false;
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
    if (!std::ranges::all_of(text.substr(1, bytes - 1), continues)) return false;
    if (bytes > 2 && !second_byte_may_follow(text[0], text[1])) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

/// The start of what was read, fit for a terminal.
std::string quoted(std::string text) {
  constexpr size_t kMost = 40;
  const bool cut = text.size() > kMost;
  if (cut) text.resize(kMost);
  std::ranges::replace_if(text, is_control, '?');
  return text + (cut ? "..." : "");
}

template <typename Number>
bool read_number(const std::string& text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stopped == end;
}

std::string place(const std::string& file, const YAML::Mark& at) {
  return file + ":" + std::to_string(std::max(at.line, 0) + 1) + ":" +
         std::to_string(std::max(at.column, 0) + 1);
}

/// Counts the documents of a text and ends at the second. `YAML::LoadAll` does not end at all where
/// the parser makes a document of nothing, again and again: "," is such a text.
class DocumentCounter : public YAML::EventHandler {
 public:
  struct MoreThanOne {};

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {
    if (++count_ > 1) throw MoreThanOne{};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}

  int count() const { return count_; }

 private:
  int count_ = 0;
};

base::Result<> check_one_document(const std::string& text, const std::string& file) {
  DocumentCounter documents;
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(documents)) {
    }
  } catch (const DocumentCounter::MoreThanOne&) {
    return base::fail(file + ": more than one YAML document, expected 1");
  }
  if (documents.count() == 0) return base::fail(file + ": 0 YAML documents, expected 1");
  return {};
}

}  // namespace

void YamlMistake::tell(const YAML::Mark& at, const std::string& path, const std::string& what) {
  if (error) return;
  error = base::Error{base::ErrorKind::kInvalid,
                      place(file, at) + ": " + (path.empty() ? "" : path + ": ") + what};
}

YamlMap::YamlMap(YamlMistake& mistake, const YAML::Node& node, std::string path)
    : mistake_(mistake), at_(node.Mark()), path_(std::move(path)) {
  collect(node);
}

void YamlMap::collect(const YAML::Node& node) {
  if (!node.IsMap()) return mistake_.tell(at_, path_, "expected keys and values");
  for (const auto& pair : node) {
    const auto key = scalar(pair.first, path_, kTextBytesMax);
    if (!key) return;
    const YAML::Mark at = pair.first.Mark();
    const bool twice = std::ranges::find(members_, *key, &Member::key) != members_.end();
    if (twice) return mistake_.tell(at, path_of(quoted(*key)), "given twice");
    members_.push_back({*key, at, pair.second});
  }
}

std::string YamlMap::path_of(const std::string& key) const {
  return path_.empty() ? key : path_ + "." + key;
}

std::optional<YAML::Node> YamlMap::take(const char* key, Presence presence) {
  if (mistake_.error) return std::nullopt;
  known_ += (known_.empty() ? "" : ", ") + std::string(key);
  for (Member& member : members_) {
    if (member.key != key) continue;
    member.taken = true;
    return member.value;
  }
  if (presence == Presence::kNeeded) mistake_.tell(at_, path_, "no key " + std::string(key));
  return std::nullopt;
}

std::optional<std::string> YamlMap::scalar(const YAML::Node& node, const std::string& path,
                                           size_t most) {
  if (mistake_.error) return std::nullopt;
  if (!node.IsScalar()) {
    mistake_.tell(node.Mark(), path, "expected one value");
    return std::nullopt;
  }
  const std::string& text = node.Scalar();
  if (text.size() > most) {
    mistake_.tell(node.Mark(), path,
                  std::to_string(text.size()) + " bytes, expected at most " + std::to_string(most));
    return std::nullopt;
  }
  if (std::ranges::any_of(text, is_control) || !is_utf8(text)) {
    mistake_.tell(node.Mark(), path, quoted(text) + " has characters that cannot be printed");
    return std::nullopt;
  }
  return text;
}

std::vector<YamlMap::Entry> YamlMap::entries(const char* key, size_t most, Presence presence) {
  std::vector<Entry> found;
  const auto node = take(key, presence);
  if (!node) return found;
  if (!node->IsSequence() || node->size() > most) {
    mistake_.tell(node->Mark(), path_of(key), "expected a list of at most " + std::to_string(most));
    return found;
  }
  if (node->size() == 0 && presence == Presence::kNeeded) {
    mistake_.tell(node->Mark(), path_of(key), "expected at least one entry");
  }
  for (const YAML::Node& entry : *node) {
    found.push_back({entry, path_of(key) + "[" + std::to_string(found.size()) + "]"});
  }
  return found;
}

void YamlMap::text(const char* key, std::string& value, Presence presence) {
  const auto node = take(key, presence);
  if (!node) return;
  if (auto text = scalar(*node, path_of(key), kTextBytesMax)) value = std::move(*text);
}

void YamlMap::texts(const char* key, std::vector<std::string>& values) {
  for (const auto& [node, path] : entries(key, kEntriesMax, Presence::kOptional)) {
    if (auto text = scalar(node, path, kTextBytesMax)) values.push_back(std::move(*text));
  }
}

void YamlMap::flag(const char* key, bool& value) {
  const auto node = take(key, Presence::kOptional);
  if (!node) return;
  const auto word = scalar(*node, path_of(key), kTextBytesMax);
  if (!word) return;
  value = *word == "true";
  if (value || *word == "false") return;
  mistake_.tell(node->Mark(), path_of(key), quoted(*word) + ", expected true or false");
}

void YamlMap::rate(const char* key, double& value) {
  const auto node = take(key, Presence::kOptional);
  if (!node) return;
  const auto word = scalar(*node, path_of(key), kTextBytesMax);
  if (!word) return;
  if (read_number(*word, value) && std::isfinite(value) && value >= 0 && value <= kRateMost) return;
  mistake_.tell(node->Mark(), path_of(key), quoted(*word) + ", expected a number of 0 or more");
}

std::optional<int64_t> YamlMap::whole_number(const char* key, WholeRange range) {
  const auto node = take(key, range.presence);
  if (!node) return std::nullopt;
  const auto word = scalar(*node, path_of(key), kTextBytesMax);
  if (!word) return std::nullopt;
  int64_t number = 0;
  if (read_number(*word, number) && number >= range.least && number <= range.most) return number;
  const std::string expected =
      range.least == range.most ? std::to_string(range.least)
                                : std::to_string(range.least) + " to " + std::to_string(range.most);
  mistake_.tell(node->Mark(), path_of(key), quoted(*word) + ", expected " + expected);
  return std::nullopt;
}

void YamlMap::finish() {
  for (const Member& member : members_) {
    if (member.taken || mistake_.error) continue;
    mistake_.tell(member.at, path_of(quoted(member.key)), "unknown key, expected one of " + known_);
  }
}

base::Result<> read_yaml_map(std::string_view text, const std::string& file,
                             base::FunctionRef<void(YamlMap&)> visit) {
  YamlMistake mistake{file};
  try {
    const std::string copy(text);
    TRY(check_one_document(copy, file));
    YamlMap map(mistake, YAML::Load(copy), "");
    if (!mistake.error) visit(map);
    map.finish();
  } catch (const YAML::Exception& error) {
    return base::fail(place(file, error.mark) + ": " + error.msg);
  }
  if (mistake.error) return tl::unexpected(std::move(*mistake.error));
  return {};
}

}  // namespace neuros::device
