#include "text/jinja/testing/render.h"

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

using testing::render;
using testing::value_of;

TEST(Expressions, ValuesPrintAsInPython) {
  EXPECT_EQ(value_of("[true, none, 1, 1.0, 'a', \"b'c\", 'd\"e', 'f\\'g\"h']"),
            R"([True, None, 1, 1.0, 'a', "b'c", 'd"e', 'f\'g"h'])");
  EXPECT_EQ(value_of("[(), (1,), (1, 2), {'a': 1, 2: [3]}]"),
            "[(), (1,), (1, 2), {'a': 1, 2: [3]}]");
  EXPECT_EQ(value_of("['\\n\\x00\\u200b\u00e9']"), "['\\n\\x00\\u200b\u00e9']");
  EXPECT_EQ(value_of("[1e16, 1e15, 0.0001, 0.00001, 0.1 + 0.2, -0.0]"),
            "[1e+16, 1000000000000000.0, 0.0001, 1e-05, 0.30000000000000004, -0.0]");
  EXPECT_EQ(value_of("range(1, 4)"), "range(1, 4)");
  EXPECT_EQ(value_of("{'a': 1}.items()"), "dict_items([('a', 1)])");
  EXPECT_EQ(value_of("1, 2"), "(1, 2)");
}

TEST(Expressions, Arithmetic) {
  EXPECT_EQ(value_of("[7 // 2, -7 // 2, -7 % 3, 7 % -3, 7.5 // 2, -7.5 % 2]"),
            "[3, -4, 2, -2, 3.0, 0.5]");
  EXPECT_EQ(value_of("[1 / 2, 4 / 2, 2 ** 10, 2 ** -1, true + 1]"), "[0.5, 2.0, 1024, 0.5, 2]");
  EXPECT_EQ(value_of("'ab' * 2 ~ [1] * 2 ~ 3"), "abab[1, 1]3");
  EXPECT_EQ(value_of("[1] + [2]"), "[1, 2]");
  EXPECT_EQ(value_of("'a' + 1"),
            "error: template: line 1, column 4: can only concatenate str (not \"int\") to str");
  EXPECT_EQ(value_of("1 / 0"), "error: template: line 1, column 4: division by zero");
  EXPECT_EQ(value_of("2 ** 64"), "error: template: line 1, column 4: integer overflow in **");
}

TEST(Expressions, BindingFollowsJinja) {
  EXPECT_EQ(value_of("-2 ** 2"), "4");
  EXPECT_EQ(value_of("2 ** 3 ** 2"), "64");
  EXPECT_EQ(value_of("1 + 2 ~ 'a'"),
            "error: template: line 1, column 4: unsupported operand "
            "type(s) for +: 'int' and 'str'");
  EXPECT_EQ(value_of("2 * 3 ~ 4"), "64");
  EXPECT_EQ(value_of("-5|abs"), "5");
  EXPECT_EQ(value_of("'a'|upper ~ 'b'"), "Ab");
  EXPECT_EQ(value_of("not 1 == 2"), "True");
  EXPECT_EQ(value_of("'a' if 0 else 'b' if 0 else 'c'"), "c");
  EXPECT_EQ(value_of("[1, 2]|length - 1"), "1");
}

TEST(Expressions, Comparisons) {
  EXPECT_EQ(value_of("[1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, true == 1, none == false]"),
            "[True, False, True, True, False]");
  EXPECT_EQ(value_of("['a' < 'b', [1, 2] < [1, 3], (1,) == [1], {'a': [1]} == {'a': [1.0]}]"),
            "[True, True, False, True]");
  EXPECT_EQ(value_of("['b' in 'abc', 2 not in [1], 'k' in {'k': 1}, 3 in range(0, 9, 3)]"),
            "[True, True, True, True]");
  EXPECT_EQ(value_of("'a' < 1"),
            "error: template: line 1, column 4: '<' not supported between "
            "instances of 'str' and 'int'");
  EXPECT_EQ(value_of("1 in 'a'"),
            "error: template: line 1, column 4: 'in <string>' requires string "
            "as left operand, not int");
}

TEST(Expressions, LogicGivesOperands) {
  EXPECT_EQ(value_of("['' or 'y', 0 and 1, 'a' and 'b', not []]"), "['y', 0, 'b', True]");
}

TEST(Expressions, Subscripts) {
  EXPECT_EQ(value_of("[s[0], s[-1], s[1:3], s[::-1], s[:-1], s[5:2:-1], s[9:]]",
                     R"({"s": "h\u00e9llo"})"),
            "['h', 'o', '\u00e9l', 'oll\u00e9h', 'h\u00e9ll', 'ol', '']");
  EXPECT_EQ(value_of("[l[0], l[-1], l[1:], l[::-2], l.1]", R"({"l": [1, 2, 3]})"),
            "[1, 3, [2, 3], [3, 1], 2]");
  EXPECT_EQ(value_of("l[::0]", R"({"l": []})"),
            "error: template: line 1, column 6: slice step cannot be zero");
}

TEST(Expressions, MethodsComeBeforeKeysForDotsAndAfterForBrackets) {
  constexpr auto kInputs = R"({"d": {"items": 5, "a": 1}})";
  EXPECT_EQ(value_of("d['items']", kInputs), "5");
  EXPECT_EQ(value_of("d.items()|list", kInputs), "[('items', 5), ('a', 1)]");
  EXPECT_EQ(value_of("d['keys']()|list", kInputs), "['items', 'a']");
  EXPECT_EQ(value_of("d.a", kInputs), "1");
}

TEST(Expressions, UndefinedIsLenientUntilUsed) {
  EXPECT_EQ(value_of("x ~ d.y ~ d['z'] ~ [x]", R"({"d": {}})"), "[Undefined]");
  EXPECT_EQ(render("{% for i in x %}a{% else %}none{% endfor %}"), "none");
  EXPECT_EQ(value_of("[x == y, x == none, not x, x is sequence, x|length]"),
            "[True, False, True, True, 0]");
  EXPECT_EQ(value_of("x.y"), "error: template: line 1, column 5: 'x' is undefined");
  EXPECT_EQ(value_of("d.a.b", R"({"d": {}})"),
            "error: template: line 1, column 7: 'dict object' has no attribute 'a'");
  EXPECT_EQ(value_of("1 + x"), "error: template: line 1, column 4: 'x' is undefined");
  EXPECT_EQ(value_of("x()"), "error: template: line 1, column 5: 'x' is undefined");
}

TEST(Expressions, NothingPrivateIsInReach) {
  EXPECT_EQ(value_of("''.__class__"), "");
  EXPECT_EQ(value_of("{}['__class__'] is defined"), "False");
  EXPECT_EQ(value_of("{'_a': 1}._a"), "1");
}

TEST(Expressions, CallsUnpack) {
  EXPECT_EQ(value_of("'{} {} {x}'.format(*[1, 2], **{'x': 3})"), "1 2 3");
  EXPECT_EQ(value_of("dict({'a': 1}, b=2)"), "{'a': 1, 'b': 2}");
  EXPECT_EQ(value_of("5()"), "error: template: line 1, column 5: 'int' object is not callable");
  EXPECT_EQ(value_of("'a'.upper(1)"),
            "error: template: line 1, column 13: upper: unexpected argument, it takes ()");
}

TEST(Expressions, Functions) {
  EXPECT_EQ(value_of("range(5, 0, -2)|list"), "[5, 3, 1]");
  EXPECT_EQ(value_of("strftime_now('%Y-%m-%d')"), "2023-11-14");
  EXPECT_EQ(value_of("range(200000)"),
            "error: template: line 1, column 9: Range too big. The sandbox blocks ranges larger "
            "than 100000");
  EXPECT_EQ(value_of("raise_exception('no ' ~ 1)"), "error: no 1");
}

}  // namespace
}  // namespace neuros::text::jinja
