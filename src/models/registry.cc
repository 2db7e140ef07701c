#include "models/registry.h"

#include "models/family.h"

#include <array>

namespace neuros::models {
namespace {

constexpr std::array<Family, 3> kFamilies{{
    {"llama", make_llama},
    {"qwen2", make_qwen2},
    {"qwen3", make_qwen3},
}};

}  // namespace

std::vector<std::string> known_architectures() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.architecture);
  return names;
}

base::Result<plan::Program> make_program(const formats::Checkpoint& checkpoint) {
  const std::string architecture = TRY(checkpoint.metadata.text("general.architecture"));
  for (const Family& family : kFamilies) {
    if (architecture == family.architecture) return family.make_program(checkpoint);
  }
  std::string known;
  for (const std::string& name : known_architectures()) known += (known.empty() ? "" : ", ") + name;
  return base::fail(
      checkpoint.path + ": architecture " + architecture + " is not known; known: " + known,
      base::ErrorKind::kUnsupported);
}

}  // namespace neuros::models
