#include "device/profile_json.h"

#include "device/profile_fields.h"

#include <nlohmann/json.hpp>

namespace neuros::device {
namespace {

using Json = nlohmann::ordered_json;

class JsonWriter {
 public:
  void text(const char* key, const std::string& value, Presence presence) {
    if (presence == Presence::kNeeded || !value.empty()) json_[key] = value;
  }
  void texts(const char* key, const std::vector<std::string>& values) {
    if (!values.empty()) json_[key] = values;
  }
  void flag(const char* key, bool value) { json_[key] = value; }
  void rate(const char* key, double value) {
    if (value > 0) json_[key] = value;
  }
  template <typename Int>
  void whole(const char* key, Int value, WholeRange range) {
    if (range.presence == Presence::kNeeded || value != 0) json_[key] = value;
  }
  template <typename T>
  void named(const char* key, const T& value) {
    json_[key] = to_text(value);
  }
  template <typename T>
  void named_list(const char* key, const std::vector<T>& values, Presence) {
    json_[key] = Json::array();
    for (const T& value : values) json_[key].push_back(to_text(value));
  }
  template <typename T>
  void map(const char* key, std::optional<T>& value) {
    if (value) json_[key] = write(*value);
  }
  template <typename T>
  void maps(const char* key, std::vector<T>& values, size_t /*most*/) {
    for (T& value : values) json_[key].push_back(write(value));
  }

  template <typename T>
  static Json write(T& fields) {
    JsonWriter writer;
    visit_fields(writer, fields);
    return std::move(writer.json_);
  }

 private:
  Json json_ = Json::object();
};

}  // namespace

Json profile_json(HardwareProfile profile) {
  return JsonWriter::write(profile);
}

}  // namespace neuros::device
