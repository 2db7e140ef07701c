#include "text/testing/gguf_vocabulary_file.h"

#include "base/mapped_file.h"

#include <cstring>
#include <map>
#include <string_view>

namespace neuros::text {
namespace {

/// One metadata value: numbers as double, arrays flat.
struct Value {
  std::vector<double> numbers;
  std::vector<std::string> strings;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T number() {
    T value{};
    if (bytes_.size() < sizeof value) {
      failed_ = true;
      bytes_ = {};
      return value;
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }

  std::string string() {
    const auto size = number<uint64_t>();
    if (size > bytes_.size()) failed_ = true;
    if (failed_) return {};
    std::string text(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return text;
  }

  void value(uint32_t type, Value& out) {
    switch (type) {
      case 0:
        return out.numbers.push_back(number<uint8_t>());
      case 1:
        return out.numbers.push_back(number<int8_t>());
      case 2:
        return out.numbers.push_back(number<uint16_t>());
      case 3:
        return out.numbers.push_back(number<int16_t>());
      case 4:
        return out.numbers.push_back(number<uint32_t>());
      case 5:
        return out.numbers.push_back(number<int32_t>());
      case 6:
        return out.numbers.push_back(static_cast<double>(number<float>()));
      case 7:
        return out.numbers.push_back(number<uint8_t>());
      case 8:
        return out.strings.push_back(string());
      case 9:
        return array(out);
      case 10:
        return out.numbers.push_back(static_cast<double>(number<uint64_t>()));
      case 11:
        return out.numbers.push_back(static_cast<double>(number<int64_t>()));
      case 12:
        return out.numbers.push_back(number<double>());
      default:
        failed_ = true;
    }
  }

  bool failed() const { return failed_; }

 private:
  void array(Value& out) {
    const auto type = number<uint32_t>();
    const auto count = number<uint64_t>();
    for (uint64_t i = 0; i < count && !failed_; ++i) value(type, out);
  }

  std::string_view bytes_;
  bool failed_ = false;
};

class Metadata {
 public:
  explicit Metadata(std::map<std::string, Value> values) : values_(std::move(values)) {}

  std::string text(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() || found->second.strings.empty() ? "" : found->second.strings[0];
  }
  std::vector<std::string> texts(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? std::vector<std::string>() : found->second.strings;
  }
  template <typename T>
  std::vector<T> numbers(const std::string& key) const {
    std::vector<T> result;
    const auto found = values_.find(key);
    if (found == values_.end()) return result;
    for (const double number : found->second.numbers) result.push_back(static_cast<T>(number));
    return result;
  }
  template <typename T>
  std::optional<T> number(const std::string& key) const {
    const auto all = numbers<T>(key);
    return all.empty() ? std::nullopt : std::optional<T>(all[0]);
  }

 private:
  std::map<std::string, Value> values_;
};

GgufVocabularyFields fields_from(const Metadata& m) {
  const std::string ggml = "tokenizer.ggml.";
  GgufVocabularyFields f;
  f.model = m.text(ggml + "model");
  f.pre = m.text(ggml + "pre");
  f.tokens = m.texts(ggml + "tokens");
  f.scores = m.numbers<float>(ggml + "scores");
  f.token_types = m.numbers<int32_t>(ggml + "token_type");
  f.merges = m.texts(ggml + "merges");
  for (const int byte : m.numbers<int>(ggml + "precompiled_charsmap"))
    f.precompiled_charsmap.push_back(static_cast<char>(byte));
  f.bos_id = m.number<uint32_t>(ggml + "bos_token_id");
  f.eos_id = m.number<uint32_t>(ggml + "eos_token_id");
  f.unk_id = m.number<uint32_t>(ggml + "unknown_token_id");
  f.sep_id = m.number<uint32_t>(ggml + "seperator_token_id");
  f.pad_id = m.number<uint32_t>(ggml + "padding_token_id");
  f.cls_id = m.number<uint32_t>(ggml + "cls_token_id");
  f.mask_id = m.number<uint32_t>(ggml + "mask_token_id");
  f.add_bos = m.number<bool>(ggml + "add_bos_token");
  f.add_eos = m.number<bool>(ggml + "add_eos_token");
  f.chat_template = m.text("tokenizer.chat_template");
  f.model_name = m.text("general.name");
  return f;
}

}  // namespace

base::Result<GgufVocabularyFields> read_gguf_vocabulary(const std::string& path) {
  const auto file = TRY(base::MappedFile::open(path));
  Reader reader({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  const auto magic = reader.number<uint32_t>();
  const auto version = reader.number<uint32_t>();
  if (magic != 0x46554747 || version < 2 || version > 3)
    return base::fail(path + ": not a GGUF file of version 2 or 3");
  reader.number<uint64_t>();  // tensors
  const auto count = reader.number<uint64_t>();
  std::map<std::string, Value> values;
  for (uint64_t i = 0; i < count && !reader.failed(); ++i) {
    const std::string key = reader.string();
    const auto type = reader.number<uint32_t>();
    reader.value(type, values[key]);
  }
  if (reader.failed()) return base::fail(path + ": the metadata end too early");
  return fields_from(Metadata(std::move(values)));
}

}  // namespace neuros::text
