#include "text/jinja/filters.h"

#include "text/jinja/testing/render.h"

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

using testing::render;
using testing::value_of;

constexpr auto kMessages =
    R"({"m": [{"role": "user", "n": 2}, {"role": "bot", "n": 1}, {"role": "user", "n": 3}]})";

TEST(TextFilters, Case) {
  EXPECT_EQ(value_of("['aB'|upper, 'aB'|lower, 'aB c'|capitalize, 'foo-bar (baz) it\\'s'|title]"),
            "['AB', 'ab', 'Ab c', \"Foo-Bar (Baz) It's\"]");
}

TEST(TextFilters, Shape) {
  EXPECT_EQ(
      value_of(
          R"(['  a '|trim, 'xax'|trim('x'), 'aXbX'|replace('X', '-', 1), 12|replace(1, 'x'), 'a'|center(3)])"),
      "['a', 'a', 'a-bX', 'x2', ' a ']");
  EXPECT_EQ(
      value_of(
          R"(['a\nb\n\nc'|indent(2), 'a\nb'|indent('> ', true), 'a\n\nb'|indent(1, blank=true)])"),
      R"(['a\n  b\n\n  c', '> a\n> b', 'a\n \n b'])");
  EXPECT_EQ(value_of("['foo bar baz qux'|truncate(9), 'foo bar baz qux'|truncate(9, true), 'a b, "
                     "c'|wordcount]"),
            "['foo...', 'foo ba...', 3]");
  EXPECT_EQ(value_of("'%s-%d'|format('a', 1)"), "a-1");
}

TEST(TextFilters, Escapes) {
  EXPECT_EQ(value_of("'<a b=\"c\">&\\''|e"), "&lt;a b=&#34;c&#34;&gt;&amp;&#39;");
  EXPECT_EQ(value_of("['a b/c?é'|urlencode, {'a': 1, 'b c': 'd&'}|urlencode]"),
            "['a%20b/c%3F%C3%A9', 'a=1&b+c=d%26']");
  EXPECT_EQ(value_of("'<'|safe ~ 1|string"), "<1");
}

TEST(TojsonFilter, WritesWhatPythonWrites) {
  EXPECT_EQ(value_of(R"({'a': [1, 2.5, none, true], 'é': "q\"\n<&'\x01", 3: {}}|tojson)"),
            R"({"a": [1, 2.5, null, true], "é": "q\"\n<&'\u0001", "3": {}})");
  EXPECT_EQ(value_of("{'b': [1, []], 'a': {}}|tojson(indent=2, sort_keys=true)"),
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    []\n  ]\n}");
  EXPECT_EQ(value_of("[1, {'a': 2}]|tojson(separators=(',', ':'))"), R"([1,{"a":2}])");
  EXPECT_EQ(value_of("'é\U0001F680'|tojson(ensure_ascii=true)"), R"("\u00e9\ud83d\ude80")");
  EXPECT_EQ(value_of("1e20|tojson ~ ' ' ~ 1.0|tojson"), "1e+20 1.0");
  EXPECT_EQ(value_of("x|tojson"),
            "error: template: line 1, column 6: Object of type Undefined is not JSON serializable");
}

TEST(TojsonFilter, KeepsTheOrderAndNumbersOfTheInputs) {
  EXPECT_EQ(value_of("t|tojson", R"({"t": {"z": 1.0, "a": 18446744073709551615, "m": -3}})"),
            R"({"z": 1.0, "a": 1.8446744073709552e+19, "m": -3})");
}

TEST(ValueFilters, Default) {
  EXPECT_EQ(
      value_of("[x|default('a'), none|default('a'), none|d('a', true), ''|d('b', boolean=true)]"),
      "['a', None, 'a', 'b']");
}

TEST(ValueFilters, Numbers) {
  EXPECT_EQ(value_of("['3.7'|int, 'x'|int(5), 'ff'|int(0, 16), none|int, ' 42 '|int, true|int]"),
            "[3, 5, 255, 0, 42, 1]");
  EXPECT_EQ(value_of("['3.5'|float, 'x'|float(1.5), 3|float, -5|abs, 2.5|abs]"),
            "[3.5, 1.5, 3.0, 5, 2.5]");
  EXPECT_EQ(value_of("[2.5|round, 3.5|round, 2.675|round(2), 42|round, 4.21|round(1, 'ceil'), "
                     "4.29|round(1, 'floor')]"),
            "[2.0, 4.0, 2.67, 42, 4.3, 4.2]");
}

TEST(SequenceFilters, Elements) {
  EXPECT_EQ(value_of("['abc'|first, [1, 2]|last, []|first is defined, 'abc'|length, 'ab'|list, "
                     "'abc'|reverse]"),
            "['a', 2, False, 3, ['a', 'b'], 'cba']");
  EXPECT_EQ(value_of("[[1, 'a']|join('-'), m|join(',', attribute='role'), [3, 1]|sum, m|sum('n')]",
                     kMessages),
            "['1-a', 'user,bot,user', 4, 6]");
  EXPECT_EQ(value_of("[{'a': 1}|items|list, [1, 2, 3]|batch(2, 0)|list, [1, 2, 3]|slice(2)|list]"),
            "[[('a', 1)], [[1, 2], [3, 0]], [[1, 2], [3]]]");
}

TEST(SequenceFilters, Ordering) {
  EXPECT_EQ(value_of("[['b', 'A', 'c']|sort, ['b', 'A']|sort(case_sensitive=true), [1, "
                     "2]|sort(reverse=true)]"),
            "[['A', 'b', 'c'], ['A', 'b'], [2, 1]]");
  EXPECT_EQ(value_of("m|sort(attribute='role,n')|map(attribute='n')|list", kMessages), "[1, 2, 3]");
  EXPECT_EQ(value_of("[[3, 1]|min, ['a', 'B']|max, m|max(attribute='n')]", kMessages),
            "[1, 'B', {'role': 'user', 'n': 3}]");
  EXPECT_EQ(value_of("['a', 'A', 'b']|unique|list"), "['a', 'b']");
  EXPECT_EQ(
      value_of("[{'b': 1, 'A': 2}|dictsort, {'b': 1, 'A': 2}|dictsort(by='value', reverse=true)]"),
      "[[('A', 2), ('b', 1)], [('A', 2), ('b', 1)]]");
  EXPECT_EQ(render("{% for g, l in m|groupby('role') %}{{ g }}:{{ l|map(attribute='n')|join(',') "
                   "}} {% endfor %}",
                   kMessages),
            "bot:1 user:2,3 ");
  EXPECT_EQ(value_of("m|groupby('role')|map(attribute='grouper')|list", kMessages),
            "['bot', 'user']");
  EXPECT_EQ(value_of("[1, 'a']|sort"),
            "error: template: line 1, column 13: '<' not supported between "
            "instances of 'str' and 'int'");
}

TEST(SequenceFilters, MapAndSelect) {
  EXPECT_EQ(value_of("[m|map(attribute='n')|list, m|map(attribute='z', default=0)|list, "
                     "['a']|map('upper')|list]",
                     kMessages),
            "[[2, 1, 3], [0, 0, 0], ['A']]");
  EXPECT_EQ(
      value_of(
          "[[0, 1, 2]|select|list, [0, 1, 2]|reject('odd')|list, [1, 2]|select('in', [2])|list]"),
      "[[1, 2], [0, 2], [2]]");
  EXPECT_EQ(value_of("m|selectattr('role', 'equalto', 'user')|map(attribute='n')|list", kMessages),
            "[2, 3]");
  EXPECT_EQ(value_of("m|rejectattr('role', 'eq', 'user')|list|length", kMessages), "1");
  EXPECT_EQ(value_of("none|selectattr('role')|list"), "[]");
}

TEST(SequenceFilters, GeneratorsAreTrueAndReadOnce) {
  EXPECT_EQ(value_of("'yes' if m|selectattr('z') else 'no'", kMessages), "yes");
  EXPECT_EQ(render("{% set g = m|map(attribute='n') %}{{ g|list }}{{ g|list }}", kMessages),
            "[2, 1, 3][]");
  EXPECT_EQ(value_of("m|map(attribute='n')|length", kMessages),
            "error: template: line 1, column 25: object of type 'generator' has no len()");
}

TEST(Filters, UnknownNamesAndArguments) {
  EXPECT_EQ(value_of("1|nope"), "error: template: line 1, column 6: No filter named 'nope'.");
  EXPECT_EQ(value_of("'a'|replace('b')"),
            "error: template: line 1, column 8: replace: argument 'new' is missing");
  EXPECT_EQ(value_of("'a'|upper(1)"),
            "error: template: line 1, column 8: upper: unexpected argument, it takes ()");
}

TEST(Tests, Types) {
  EXPECT_EQ(value_of("[1 is number, true is number, true is integer, 1.5 is float, 'a' is string, "
                     "true is boolean]"),
            "[True, True, False, True, True, True]");
  EXPECT_EQ(value_of("[{} is mapping, [] is sequence, 'a' is iterable, 5 is iterable, range is "
                     "callable, none is none]"),
            "[True, True, True, False, True, True]");
  EXPECT_EQ(value_of("[x is defined, x is undefined, 1 is true, true is true, false is not false]"),
            "[False, True, False, True, False]");
}

TEST(Tests, Values) {
  EXPECT_EQ(
      value_of(
          "[3 is odd, 3 is even, 9 is divisibleby 3, 9 is divisibleby(2), 1 is in [1], 2 is gt 1]"),
      "[True, False, True, False, True, True]");
  EXPECT_EQ(value_of("[1 is eq 1.0, 1 is ne 1, 'A' is upper, 'a' is lower, 1 is sameas true, none "
                     "is sameas none]"),
            "[True, False, True, True, False, True]");
  EXPECT_EQ(value_of("1 is nope"), "error: template: line 1, column 6: No test named 'nope'.");
}

}  // namespace
}  // namespace neuros::text::jinja
