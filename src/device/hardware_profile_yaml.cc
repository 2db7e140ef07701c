#include "device/hardware_profile_yaml.h"

#include "base/mapped_file.h"
#include "device/profile_json.h"
#include "device/yaml_map.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

namespace neuros::device {
namespace {

using Json = nlohmann::ordered_json;

/// Whether it is read better on one line.
bool is_short(const Json& json) {
  constexpr size_t kMembersMost = 4, kWordBytesMost = 16;
  const auto is_word = [](const Json& one) {
    return one.is_string() && one.get_ref<const std::string&>().size() <= kWordBytesMost;
  };
  if (json.is_array()) return std::all_of(json.begin(), json.end(), is_word);
  const auto is_scalar = [](const Json& one) { return one.is_primitive(); };
  return json.size() <= kMembersMost && std::all_of(json.begin(), json.end(), is_scalar);
}

/// Quoted where other readers of YAML would see a number or a time.
void emit_text(YAML::Emitter& out, const std::string& text) {
  const bool as_number = !text.empty() && std::isdigit(static_cast<unsigned char>(text.front()));
  if (as_number) out << YAML::DoubleQuoted;
  out << text;
}

void emit(YAML::Emitter& out, const Json& json) {
  if ((json.is_object() || json.is_array()) && is_short(json)) out << YAML::Flow;
  if (json.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, value);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    out << YAML::BeginSeq;
    for (const Json& value : json) emit(out, value);
    out << YAML::EndSeq;
  } else if (json.is_number_float()) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.4g", json.get<double>());
    out << digits;
  } else if (json.is_string()) {
    emit_text(out, json.get_ref<const std::string&>());
  } else {
    out << json.dump();
  }
}

}  // namespace

std::string write_profile_yaml(const HardwareProfile& profile) {
  YAML::Emitter out;
  emit(out, profile_json(profile));
  return std::string(out.c_str(), out.size()) + "\n";
}

base::Result<HardwareProfile> parse_profile_yaml(std::string_view text, const std::string& file) {
  if (text.size() > kProfileBytesMax) {
    return base::fail(file + ": " + std::to_string(text.size()) +
                      " bytes, expected a hardware profile of at most " +
                      std::to_string(kProfileBytesMax));
  }
  HardwareProfile profile;
  TRY(read_yaml_map(text, file, [&](YamlMap& map) { visit_fields(map, profile); }));
  return profile;
}

base::Result<HardwareProfile> read_profile_file(const std::string& path) {
  const base::MappedFile file = TRY(base::MappedFile::open(path));
  const auto bytes = file.bytes();
  return parse_profile_yaml({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
}

base::Result<> write_profile_file(const HardwareProfile& profile, const std::string& path) {
  std::ofstream file(path);
  file << write_profile_yaml(profile);
  if (!file.flush()) return base::fail(path + ": cannot write", base::ErrorKind::kIo);
  return {};
}

}  // namespace neuros::device
