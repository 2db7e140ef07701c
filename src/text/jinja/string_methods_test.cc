#include "text/jinja/testing/render.h"

#include <gtest/gtest.h>

namespace neuros::text::jinja {
namespace {

using testing::value_of;

TEST(StringMethods, Strip) {
  EXPECT_EQ(
      value_of(
          R"(['  a\u00a0'.strip(), 'xaxx'.lstrip('x'), 'xaxx'.rstrip('x'), 'éaé'.strip('é')])"),
      "['a', 'axx', 'xa', 'a']");
}

TEST(StringMethods, Split) {
  EXPECT_EQ(value_of("['a,b,c'.split(','), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1)]"),
            "[['a', 'b', 'c'], ['a', 'b,c'], ['a,b', 'c']]");
  EXPECT_EQ(
      value_of(R"(['  a  b c '.split(), '  a  b c '.split(none, 1), '  a  b c '.rsplit(none, 1)])"),
      "[['a', 'b', 'c'], ['a', 'b c '], ['  a  b', 'c']]");
  EXPECT_EQ(value_of(R"(['a\r\nb\n'.splitlines(), 'a\r\nb\n'.splitlines(true)])"),
            R"([['a', 'b'], ['a\r\n', 'b\n']])");
  EXPECT_EQ(value_of("['a-b-c'.partition('-'), 'a-b-c'.rpartition('-'), 'a'.partition('-')]"),
            "[('a', '-', 'b-c'), ('a-b', '-', 'c'), ('a', '', '')]");
  EXPECT_EQ(value_of("'a'.split('')"), "error: template: line 1, column 13: empty separator");
}

TEST(StringMethods, Search) {
  EXPECT_EQ(
      value_of("['日本語'.find('語'), 'abab'.rfind('b'), 'abab'.find('a', 1), 'a'.find('z')]"),
      "[2, 3, 2, -1]");
  EXPECT_EQ(value_of("['aaaa'.count('aa'), 'abc'.count(''), 'abc'.index('c')]"), "[2, 4, 2]");
  EXPECT_EQ(value_of("['abc'.startswith('a'), 'abc'.startswith(('x', 'a')), 'abc'.endswith('b')]"),
            "[True, True, False]");
  EXPECT_EQ(value_of("'a'.index('z')"), "error: template: line 1, column 13: substring not found");
}

TEST(StringMethods, Replace) {
  EXPECT_EQ(
      value_of("['aXbX'.replace('X', '--'), 'aXbX'.replace('X', '-', 1), 'ab'.replace('', '-')]"),
      "['a--b--', 'a-bX', '-a-b-']");
  EXPECT_EQ(value_of("['abc'.removeprefix('a'), 'abc'.removesuffix('c'), 'abc'.removeprefix('x')]"),
            "['bc', 'ab', 'abc']");
  EXPECT_EQ(value_of("','.join(['a', 'b'])"), "a,b");
  EXPECT_EQ(value_of("','.join([1])"),
            "error: template: line 1, column 12: join: expected str instance, int found");
}

TEST(StringMethods, Case) {
  EXPECT_EQ(
      value_of("['Straße'.upper(), 'ÀÉ'.lower(), 'hELLO wORLD'.capitalize(), 'aBc'.swapcase()]"),
      "['STRASSE', 'àé', 'Hello world', 'AbC']");
  EXPECT_EQ(value_of("\"they're bill's\".title()"), "They'Re Bill'S");
  EXPECT_EQ(value_of("['12'.isdigit(), 'ab1'.isalpha(), 'ab1'.isalnum(), ' '.isspace(), "
                     "'A1'.isupper(), ''.isdigit()]"),
            "[True, False, True, True, True, False]");
}

TEST(StringMethods, Padding) {
  EXPECT_EQ(
      value_of("['a'.center(4, '*'), 'ab'.center(5), 'a'.ljust(3), 'a'.rjust(3), '-5'.zfill(4)]"),
      "['*a**', '  ab ', 'a  ', '  a', '-005']");
}

TEST(Format, Braces) {
  EXPECT_EQ(value_of("'{} {!r} {{}}'.format(1, 'a')"), "1 'a' {}");
  EXPECT_EQ(value_of("'{1} {0[k]} {n}'.format({'k': 2}, 3, n=4)"), "3 2 4");
  EXPECT_EQ(value_of("'{:>4}|{:<4}|{:^4}|{:*^7}|{:05d}|{:+d}'.format(1, 'a', 'b', 'hi', 42, 7)"),
            "   1|a   | b  |**hi***|00042|+7");
  EXPECT_EQ(value_of("'{:x} {:#X} {:b} {:.2f} {:,} {:e} {:%}'.format(255, 255, 5, 3.14159, "
                     "1234567, 12345.678, 0.25)"),
            "ff 0XFF 101 3.14 1,234,567 1.234568e+04 25.000000%");
  EXPECT_EQ(value_of("'{}'.format()"),
            "error: template: line 1, column 15: format: there is no argument 0");
}

TEST(Format, Percent) {
  EXPECT_EQ(value_of("'%s %d %.2f %r %%' % ('a', 3.7, 2.5, 'q')"), "a 3 2.50 'q' %");
  EXPECT_EQ(value_of("'%5d|%-5d|%05d|%+d|%x|%.3s' % (1, 2, 3, 4, 255, 'hello')"),
            "    1|2    |00003|+4|ff|hel");
  EXPECT_EQ(value_of("'%(a)s' % {'a': 1}"), "1");
  EXPECT_EQ(
      value_of("'%s' % (1, 2)"),
      "error: template: line 1, column 4: not all arguments converted during string formatting");
  EXPECT_EQ(value_of("'%d' % 'x'"),
            "error: template: line 1, column 4: format: 'd' needs a number, not str");
}

TEST(ContainerMethods, Lists) {
  EXPECT_EQ(value_of("[l.append(4), l.insert(0, 9), l.pop(), l.pop(0), l.remove(2), l]",
                     R"({"l": [1, 2, 3]})"),
            "[None, None, 4, 9, None, [1, 3]]");
  EXPECT_EQ(
      value_of("[l.index(2), l.count(1), l.reverse(), l.extend([7]), l]", R"({"l": [1, 2, 1, 3]})"),
      "[1, 2, None, None, [3, 1, 2, 1, 7]]");
  EXPECT_EQ(value_of("[].pop()"), "error: template: line 1, column 10: pop from empty list");
}

TEST(ContainerMethods, Dicts) {
  EXPECT_EQ(value_of("[d.get('a'), d.get('z'), d.get('z', 3), d.setdefault('q', 4), d.pop('a'), d]",
                     R"({"d": {"a": 1, "b": 2}})"),
            "[1, None, 3, 4, 1, {'b': 2, 'q': 4}]");
  EXPECT_EQ(value_of("[d.update({'b': 9}, c=3), d.keys(), d.values()|sum, d.copy() == d]",
                     R"({"d": {"a": 1, "b": 2}})"),
            "[None, dict_keys(['a', 'b', 'c']), 13, True]");
  EXPECT_EQ(value_of("{1: 'a', 1.0: 'b', true: 'c', '1': 'd', (1, 2): 'e'}"),
            "{1: 'c', '1': 'd', (1, 2): 'e'}");
  EXPECT_EQ(value_of("{[]: 1}"), "error: template: line 1, column 4: unhashable type: 'list'");
}

TEST(ContainerMethods, LargeDictsKeepOrderAndFindTheirKeys) {
  EXPECT_EQ(testing::render("{% set d = {} %}{% for i in range(100) %}{% set _ = d.update({i * 7 % "
                            "101: i}) %}{% endfor %}"
                            "{% for i in range(1, 99) %}{% set _ = d.pop(i * 7 % 101) %}{% endfor "
                            "%}{{ d }}{{ 0 in d }}{{ 7 in d }}"),
            "{0: 0, 87: 99}TrueFalse");
}

}  // namespace
}  // namespace neuros::text::jinja
