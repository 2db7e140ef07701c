"""The training corpus: worker processes write conversations and pack them into rows.

A row is `length` 16-bit tokens. Two high bits travel with each token: LEARN marks a token that the
model must predict (the assistant's words), START the first token of a conversation.
"""

import multiprocessing
import random
from array import array
from collections import Counter

import conversations
import exam
import tokenizer as bpe

LEARN, START, TOKEN_MASK = 1 << 15, 1 << 14, (1 << 14) - 1
SHORT_ROW, LONG_ROW = 512, 1024
_TOKENS_PER_SHARD = 1 << 18
_WAITING = 40  # conversations to choose from when a row is packed


def flagged_tokens(tokenizer, system, turns):
    """One conversation as tokens with their flags."""
    out = tokenizer.message("system", system) if system else []
    lead = [tokenizer.turn_start] + tokenizer.encode("assistant\n")
    newline = tokenizer.encode("\n")
    for turn in turns:
        out += tokenizer.message("user", turn.user) + lead
        answer = tokenizer.encode(turn.answer) + [tokenizer.turn_end]
        out += [token | LEARN for token in answer] + newline
    out[0] |= START
    return out


def rows(tokenizer, seed, length):
    """Endless rows of whole conversations, the rest of each filled with padding."""
    rng, guard, waiting = random.Random(seed), exam.Guard(), []
    while True:
        while len(waiting) < _WAITING:
            system, turns = conversations.make(rng, long=length >= LONG_ROW)
            guard.check(turns)
            tokens = flagged_tokens(tokenizer, system, turns)
            if len(tokens) <= length:
                waiting.append(tokens)
        yield _pack(waiting, length, tokenizer.end_of_text | START)


def _pack(waiting, length, padding):
    """Takes conversations that fit from `waiting`, the oldest first."""
    row, kept = [], []
    for tokens in waiting:
        if len(row) + len(tokens) <= length:
            row += tokens
        else:
            kept.append(tokens)
    waiting[:] = kept
    return row + [padding] * (length - len(row))


def _work(merges, seed, length, queue):
    shard = array("H")
    for row in rows(bpe.Tokenizer(merges), seed, length):
        shard.extend(row)
        if len(shard) == _TOKENS_PER_SHARD:
            queue.put(shard.tobytes())
            shard = array("H")


def start_workers(tokenizer, count, length, seed):
    """Processes that fill the returned queue with shards until they are terminated."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(maxsize=4 * count)
    workers = [context.Process(target=_work, daemon=True,
                               args=(tokenizer.merges, f"{seed}-{i}", length, queue))
               for i in range(count)]
    for worker in workers:
        worker.start()
    return workers, queue


def sample_pieces(seed, count):
    """How often each piece occurs in `count` conversations, for learning the tokenizer."""
    rng, counts = random.Random(seed), Counter()
    for _ in range(count):
        system, turns = conversations.make(rng)
        texts = [t for turn in turns for t in ("user\n" + turn.user, "assistant\n" + turn.answer)]
        bpe.count_pieces(texts + (["system\n" + system] if system else []), counts)
    return counts
