"""A byte-level BPE tokenizer: trained here, and encoding exactly as an engine does from the GGUF.

Text is cut into pieces as Qwen2 does (the pattern below, so digits stand alone), each piece becomes
bytes, and learnt merges join them. Bytes are written with GPT-2's alphabet of printable characters.
"""

import json
import re
from collections import Counter, defaultdict

# Qwen2's pattern in the terms of Python's `re`: a letter is [^\W\d_]. The recipe's texts hold only
# ASCII, where both say the same.
_PIECES = re.compile(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
                     r"|(?:[^\r\n\w]|_)?[^\W\d_]+"
                     r"|\d"
                     r"| ?(?:[^\s\w]|_)+[\r\n]*"
                     r"|\s*[\r\n]+"
                     r"|\s+(?!\S)"
                     r"|\s+")

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = [END_OF_TEXT, TURN_START, TURN_END]


def byte_alphabet():
    """The printable character that stands for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable}
    table.update({b: chr(256 + i) for i, b in enumerate(others)})
    return [table[b] for b in range(256)]


_ALPHABET = byte_alphabet()
_BYTE_OF = {char: byte for byte, char in enumerate(_ALPHABET)}


def _spell(piece):
    return tuple(_ALPHABET[b] for b in piece.encode("utf-8"))


def count_pieces(texts, counts):
    for text in texts:
        counts.update(_PIECES.findall(text))


def learn_merges(counts, size, count_min=3):
    """The most frequent pairs, in order, until tokens, merges and controls make `size`."""
    spelled = [[list(_spell(p)), n] for p, n in sorted(counts.items()) if n >= count_min]
    pairs, holders = Counter(), defaultdict(set)
    for at, (symbols, n) in enumerate(spelled):
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += n
            holders[pair].add(at)
    merges = []
    while len(merges) < size - 256 - len(CONTROL):
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for at in holders.pop(best):
            _merge_in(spelled[at], best, at, pairs, holders)
        del pairs[best]
    return merges


def _merge_in(entry, best, at, pairs, holders):
    symbols, n = entry
    for pair in zip(symbols, symbols[1:]):
        pairs[pair] -= n
    merged = _join(symbols, best)
    for pair in zip(merged, merged[1:]):
        pairs[pair] += n
        holders[pair].add(at)
    entry[0] = merged


def _join(symbols, pair):
    out, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i:i + 2]) == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


class Tokenizer:
    """Tokens are the bytes, then the merges in order, then the control tokens."""

    def __init__(self, merges):
        self.merges = [tuple(m) for m in merges]
        self.tokens = _ALPHABET + [a + b for a, b in self.merges] + CONTROL
        self._id = {token: i for i, token in enumerate(self.tokens)}
        assert len(self._id) == len(self.tokens)
        self._rank = {pair: i for i, pair in enumerate(self.merges)}
        self._cache = {}
        self.end_of_text, self.turn_start, self.turn_end = (self._id[c] for c in CONTROL)

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file))

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.merges, file, ensure_ascii=False)

    def encode(self, text):
        """The ids of plain text; control tokens are never read from text."""
        ids = []
        for piece in _PIECES.findall(text):
            known = self._cache.get(piece)
            if known is None:
                known = self._encode_piece(piece)
                if len(self._cache) < 500_000:
                    self._cache[piece] = known
            ids += known
        return ids

    def _encode_piece(self, piece):
        symbols = list(_spell(piece))
        while len(symbols) > 1:
            pair = min(zip(symbols, symbols[1:]),
                       key=lambda p: self._rank.get(p, len(self._rank)))
            if pair not in self._rank:
                break
            symbols = _join(symbols, pair)
        return [self._id[s] for s in symbols]

    def decode(self, ids):
        spelled = "".join(self.tokens[i] for i in ids if self.tokens[i] not in CONTROL)
        return bytes(_BYTE_OF[c] for c in spelled).decode("utf-8", errors="replace")

    def chat(self, messages):
        """The ids of (role, text) messages followed by the start of the assistant's answer."""
        ids = []
        for role, text in messages:
            ids += self.message(role, text)
        return ids + [self.turn_start] + self.encode("assistant\n")

    def message(self, role, text):
        return ([self.turn_start] + self.encode(f"{role}\n{text.strip()}") + [self.turn_end]
                + self.encode("\n"))


# The template that a GGUF carries; it renders messages as Tokenizer.chat does.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '" + TURN_START + "' + message['role'] + '\\n' + (message['content'] | trim) + '"
    + TURN_END + "' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + TURN_START + "assistant\\n' }}{% endif %}")
