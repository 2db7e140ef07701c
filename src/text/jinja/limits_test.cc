#include "text/jinja/limits.h"

#include "text/jinja/testing/render.h"

#include <string>

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

/// Small enough that every test here ends within milliseconds.
constexpr Limits kSmall{
    .steps_max = 1'000'000, .memory_bytes_max = 4 << 20, .output_bytes_max = 100'000};

std::string render(const std::string& source) {
  return testing::render(source, "{}", kSmall);
}

bool fails_with(const std::string& source, const std::string& reason) {
  const std::string outcome = render(source);
  if (outcome.starts_with("error: ") && outcome.find(reason) != std::string::npos) return true;
  ADD_FAILURE() << outcome.substr(0, 200);
  return false;
}

constexpr auto kLoop = "{% for i in range(100000) %}";
constexpr auto kEnd = "{% endfor %}";

TEST(Limits, Steps) {
  EXPECT_TRUE(fails_with(
      "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}", "steps"));
  EXPECT_TRUE(fails_with(
      "{% set s = 'a' * 1000000 %}" + std::string(kLoop) + "{{ 'b' in s }}" + kEnd, "steps"));
  EXPECT_TRUE(fails_with(
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}"
      "{% endfor %}{{ ns.l == 1 }}{{ ns.l|tojson }}",
      "steps"));
}

TEST(Limits, Memory) {
  EXPECT_TRUE(fails_with("{{ 'x' * 1000000000 }}", "bytes"));
  EXPECT_TRUE(fails_with("{{ [1] * 1000000000 }}", "bytes"));
  EXPECT_TRUE(
      fails_with("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s "
                 "%}{% endfor %}",
                 "bytes"));
  EXPECT_TRUE(fails_with("{{ ('a' * 10000).replace('a', 'b' * 10000) }}", "bytes"));
  EXPECT_TRUE(fails_with("{{ 'a'.ljust(10 ** 12) }}", "bytes"));
  EXPECT_TRUE(fails_with("{{ (['a'] * 10000)|join('b' * 10000) }}", "bytes"));
  EXPECT_TRUE(fails_with("{{ [1]|batch(10 ** 12, 1) }}", "bytes"));
}

TEST(Limits, MemoryOfDeadTextsIsGivenBack) {
  const Limits roomy{.memory_bytes_max = 4 << 20};
  EXPECT_EQ(testing::render("{% for i in range(100) %}{% set s = 'x' * 1000000 %}{% endfor %}done",
                            "{}", roomy),
            "done");
}

TEST(Limits, Output) {
  EXPECT_TRUE(fails_with(std::string(kLoop) + "xxxxxxxxxx" + kEnd, "output"));
}

TEST(Limits, Depth) {
  EXPECT_TRUE(fails_with("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "levels"));
  EXPECT_TRUE(fails_with("{% set l = [] %}{{ l.append(l) }}{{ l }}", "levels"));
  EXPECT_TRUE(fails_with("{% set l = [] %}{{ l.append(l) }}{{ l|tojson }}", "levels"));
  EXPECT_TRUE(fails_with(
      "{% set l = [] %}{{ l.append(l) }}{% set k = [] %}{{ k.append(k) }}{{ l == k }}", "levels"));
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  EXPECT_NE(testing::render("x", "{\"a\": " + deep + "}").find("levels"), std::string::npos);
}

TEST(Limits, Integers) {
  EXPECT_TRUE(fails_with("{{ (-9223372036854775807 - 1) // -1 }}", "overflow"));
  EXPECT_TRUE(fails_with("{{ -(-9223372036854775807 - 1) }}", "overflow"));
  EXPECT_EQ(render("{{ 'abc'[::9223372036854775807] }}{{ "
                   "'abc'[:-9223372036854775807:-9223372036854775807] }}"),
            "ac");
  EXPECT_TRUE(fails_with("{{ range(-9223372036854775807, 9223372036854775807) }}", "range"));
}

}  // namespace
}  // namespace neuros::text::jinja
