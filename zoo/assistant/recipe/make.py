"""The whole recipe: tokenizer, training, export and exam. Run it through ../make.sh."""

import argparse
import json
import os
import time

import corpus
import evaluate
import exam
import export
import tokenizer as bpe
import train

_SIZE_MAX = 8_000_000  # bytes
_VOCAB = 3072
_SAMPLE = 120_000  # conversations that the tokenizer learns from


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--out", default=os.path.join(os.path.dirname(__file__), ".."))
    args.add_argument("--minutes", type=float, default=7.5, help="training time")
    args.add_argument("--workers", type=int, default=max(2, (os.cpu_count() or 4) - 4))
    options = args.parse_args()
    os.makedirs(options.out, exist_ok=True)
    path = os.path.join(options.out, "assistant.gguf")
    started = time.monotonic()

    def say(text):
        print(f"[{time.monotonic() - started:.0f} s] {text}", flush=True)

    exam.write(os.path.join(options.out, "heldout.json"))
    merges = bpe.learn_merges(corpus.sample_pieces("tokenizer", _SAMPLE), _VOCAB)
    tokenizer = bpe.Tokenizer(merges)
    say(f"tokenizer: {len(tokenizer.tokens)} tokens")
    model = train.train(tokenizer, options.minutes * 60, options.workers)
    say(f"trained {sum(p.numel() for p in model.parameters())} parameters")
    size = export.save(path, model, tokenizer)
    assert size <= _SIZE_MAX, f"{path}: {size} bytes, limit {_SIZE_MAX}"
    say(f"{path}: {size} bytes")
    _examine(options.out, path, model, tokenizer, say)


def _examine(out, path, model, tokenizer, say):
    """Scores the trained weights, the file's, and the file's as an 8-bit engine computes."""
    items = exam.questions()
    tables = {"trained weights": evaluate.score(model, tokenizer, items)}
    stored, stored_tokenizer = export.load(path)
    stored.cuda()
    tables["file"] = evaluate.score(stored, stored_tokenizer, items, show=20)
    tables["file, 8-bit inputs"] = evaluate.score_as_engine(stored, stored_tokenizer, items)
    rehearsal = [item for seed in range(1, 6) for item in exam.questions(exam.SEED + seed)]
    tables["1000 more questions"] = evaluate.score(stored, stored_tokenizer, rehearsal, show=60)
    for name, table in tables.items():
        say(evaluate.line(name, table))
    with open(os.path.join(out, "accuracy.json"), "w", encoding="utf-8") as file:
        json.dump(tables, file, indent=1)


if __name__ == "__main__":
    main()
