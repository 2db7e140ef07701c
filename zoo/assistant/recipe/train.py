"""Trains the model for a given time on conversations that are written while it learns."""

import math
import queue
import random
import time

import torch
import torch.nn.functional as F

import corpus
from model import Assistant, Config, causal_bias

_TOKENS_PER_STEP = 1 << 16
_LONG_SHARE = 0.15  # steps on long rows
_POOL_TOKENS_MAX = 1 << 29
_RATE_MAX, _RATE_MIN, _WARMUP_STEPS = 2.5e-3, 2e-5, 300
_WEIGHT_DECAY, _BETAS, _CLIP = 0.1, (0.9, 0.98), 1.0


class Pool:
    """Rows of one length on the device. New shards replace the oldest once it is full."""

    def __init__(self, tokenizer, length, workers, seed, device):
        self.length, self.device, self.shards, self.next = length, device, [], 0
        self._workers, self._queue = corpus.start_workers(tokenizer, workers, length, seed)

    def refill(self, wait=False):
        try:
            while True:
                raw = self._queue.get(timeout=300) if wait else self._queue.get_nowait()
                wait = False
                rows = torch.frombuffer(bytearray(raw), dtype=torch.int16).reshape(-1, self.length)
                self._keep(rows.to(self.device))
        except queue.Empty:
            pass

    def _keep(self, rows):
        if len(self.shards) * rows.numel() < _POOL_TOKENS_MAX:
            self.shards.append(rows)
        else:
            self.shards[self.next % len(self.shards)] = rows
            self.next += 1

    def batch(self, rng):
        """Rows of four shards, so that a step mixes what several workers wrote."""
        count = _TOKENS_PER_STEP // self.length // 4
        parts = []
        for _ in range(4):
            shard = rng.choice(self.shards)
            parts.append(shard[torch.randint(len(shard), (count,), device=self.device)])
        return torch.cat(parts).int()

    def close(self):
        for worker in self._workers:
            worker.terminate()


def loss_of(model, rows):
    """Cross entropy of the assistant's tokens in flagged rows."""
    tokens = (rows & corpus.TOKEN_MASK).long()
    bias = causal_bias((rows & corpus.START) != 0)
    learn = (rows & corpus.LEARN) != 0
    targets = torch.where(learn, tokens, -100).roll(-1, 1)
    targets[:, -1] = -100
    with torch.autocast("cuda", torch.bfloat16):
        logits = model(tokens, bias)
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100)


def _rate(step, progress):
    """Learning rate: a warm-up, then a cosine over the time that is given."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return min(1.0, (step + 1) / _WARMUP_STEPS) * (_RATE_MIN + (_RATE_MAX - _RATE_MIN) * cosine)


def _optimizer(model):
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": matrices, "weight_decay": _WEIGHT_DECAY},
              {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=_RATE_MAX, betas=_BETAS, fused=True)


def train(tokenizer, seconds, workers, seed=1):
    """A model trained for `seconds`, counted from the first step on."""
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")
    rng = random.Random(seed)
    short = Pool(tokenizer, corpus.SHORT_ROW, max(1, workers * 3 // 4), f"{seed}-short", "cuda")
    long = Pool(tokenizer, corpus.LONG_ROW, max(1, workers // 4), f"{seed}-long", "cuda")
    model = Assistant(Config(vocab=len(tokenizer.tokens))).cuda()
    optimizer = _optimizer(model)
    compute = torch.compile(loss_of, dynamic=False)
    for pool in (short, long):  # compiles both shapes before the clock starts
        pool.refill(wait=True)
        compute(model, pool.batch(rng)).backward()
        optimizer.zero_grad(set_to_none=True)
    torch.cuda.synchronize()
    started, step, progress = time.monotonic(), 0, 0.0
    while progress < 1.0:
        pool = long if rng.random() < _LONG_SHARE else short
        if step % 20 == 0:
            short.refill()
            long.refill()
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, progress)
        loss = compute(model, pool.batch(rng))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % 500 == 0 or step == 20:
            _report(step, loss, started, short, long)
        if step % 8 == 0:
            torch.cuda.synchronize()
            progress = (time.monotonic() - started) / seconds
    _report(step, loss, started, short, long)
    short.close()
    long.close()
    return model


def _report(step, loss, started, short, long):
    spent = time.monotonic() - started
    speed = step * _TOKENS_PER_STEP / spent / 1e6
    held = len(short.shards) + len(long.shards)
    print(f"step {step}: loss {loss.item():.4f}, {spent:.0f} s, {speed:.2f} M tokens/s, "
          f"{held} shards", flush=True)
