"""Asks a model the questions of the exam, always taking the likeliest token.

    python3 evaluate.py ../assistant.gguf [../heldout.json]
"""

import json
import sys

import torch

import exam
import export
from model import Linear, causal_bias
from turns import is_right

_ANSWER_TOKENS_MAX = 80


@torch.no_grad()
def answers(model, tokenizer, items):
    """The model's answer to each item, all computed side by side."""
    device = next(model.parameters()).device
    prompts = [tokenizer.chat([(m["role"], m["content"]) for m in item["messages"]])
               for item in items]
    width = max(map(len, prompts)) + _ANSWER_TOKENS_MAX
    tokens = torch.full((len(items), width), tokenizer.end_of_text, device=device)
    for i, prompt in enumerate(prompts):
        tokens[i, :len(prompt)] = torch.tensor(prompt, device=device)
    ends = torch.tensor([len(p) for p in prompts], device=device)
    going = torch.ones(len(items), dtype=torch.bool, device=device)
    lines = torch.arange(len(items), device=device)
    for _ in range(_ANSWER_TOKENS_MAX):
        seen = tokens[:, :int(ends.max())]
        bias = causal_bias(torch.zeros_like(seen[:1]), torch.float32)
        best = model(seen, bias)[lines, ends - 1].argmax(-1)
        going &= best != tokenizer.turn_end
        if not going.any():
            break
        tokens[lines[going], ends[going]] = best[going]
        ends += going
    return [tokenizer.decode(tokens[i, len(prompts[i]):ends[i]].tolist())
            for i in range(len(items))]


def score(model, tokenizer, items, show=0):
    """Right answers and questions per skill; prints the first `show` wrong answers."""
    model.eval()
    table = {}
    for item, answer in zip(items, answers(model, tokenizer, items)):
        right = is_right(answer, item["accept"])
        counts = table.setdefault(item["skill"], [0, 0])
        counts[0] += right
        counts[1] += 1
        if not right and show > 0:
            show -= 1
            asked = item["messages"][-1]["content"]
            print(f"  wrong: {asked!r} -> {answer!r}, not {item['accept']}")
    table["all"] = [sum(v[0] for v in table.values()), sum(v[1] for v in table.values())]
    return table


def score_as_engine(model, tokenizer, items, show=0):
    """The same with the inputs of every matrix in 8 bits, as an integer engine computes."""
    Linear.round_inputs = True
    try:
        return score(model, tokenizer, items, show)
    finally:
        Linear.round_inputs = False


def line(name, table):
    cells = ", ".join(f"{skill} {right}/{count}" for skill, (right, count) in table.items())
    return f"{name}: {cells}"


def main():
    model, tokenizer = export.load(sys.argv[1])
    if len(sys.argv) > 2:
        with open(sys.argv[2], encoding="utf-8") as file:
            items = json.load(file)
    else:
        items = exam.questions()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(line("exam", score(model.to(device), tokenizer, items, show=len(items))))


if __name__ == "__main__":
    main()
