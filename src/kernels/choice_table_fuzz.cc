#include "kernels/choice_table.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

/// Any text as a table, as it is and behind the magic; one that is read finds its own rows.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace neuros::kernels;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  volatile bool as_given = parse_choice_table(text).has_value();
  static_cast<void>(as_given);

  const auto rows = parse_choice_table("neuros kernel choices 1\n" + std::string(text));
  if (!rows) return 0;
  for (size_t i = 0; i < rows->size() && i < 16; ++i) {
    const ChoiceRow& row = (*rows)[i];
    if (choices_for(*rows, row.device).find(row.choice.key) != row.choice.value) std::abort();
  }
  return 0;
}
