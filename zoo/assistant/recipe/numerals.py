"""Numbers in words, and the rule that keeps some numbers out of training."""

import re
import zlib

_SMALL = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
          "fifteen sixteen seventeen eighteen nineteen").split()
_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()

EASY_MAX = 12  # numbers up to this one are all trained, as the tables every child learns
_EQUATION = re.compile(r"(\d+) [-+x] (?=(\d+))")
_EXAM_SHARE = 16  # one in this many other pairs is kept for the exam


def in_words(n):
    """The English words for 0 to 999."""
    if n < 20:
        return _SMALL[n]
    if n < 100:
        return _TENS[n // 10] + ("-" + _SMALL[n % 10] if n % 10 else "")
    rest = f" and {in_words(n % 100)}" if n % 100 else ""
    return f"{_SMALL[n // 100]} hundred{rest}"


def is_exam_pair(a, b):
    """Whether the pair, in either order and under any operation, is kept for the exam."""
    low, high = sorted((a, b))
    if high <= EASY_MAX or (low <= EASY_MAX and high % 10 == 0):
        return False
    return zlib.crc32(f"pair {low} {high}".encode()) % _EXAM_SHARE == 0


def shows_exam_pair(text):
    """Whether an equation in the text works on a pair that is kept for the exam."""
    return any(is_exam_pair(int(a), int(b)) for a, b in _EQUATION.findall(text))


def is_exam_number(n):
    """Whether the number is kept for the exam in questions about one number."""
    return n > 20 and zlib.crc32(f"number {n}".encode()) % _EXAM_SHARE == 0
