#pragma once

#include "kernels/testing/tables.h"

#include <algorithm>
#include <cctype>
#include <string>

#include <gtest/gtest.h>

namespace neuros::kernels::testing {

inline std::string as_test_name(std::string name) {
  const auto odd = [](unsigned char c) { return std::isalnum(c) == 0; };
  std::replace_if(name.begin(), name.end(), odd, '_');
  return name;
}

/// A test run for each table: INSTANTIATE_TEST_SUITE_P(Tables, Suite, every_table(), table_name).
inline auto every_table() {
  return ::testing::ValuesIn(tables());
}
inline std::string table_name(const ::testing::TestParamInfo<const OpTable*>& info) {
  return as_test_name(info.param->name);
}

}  // namespace neuros::kernels::testing
