#!/usr/bin/env python3
"""Trains a small Llama with ternary weights and writes it as a Hugging Face directory.

Usage: bench/peer/ternary_model.py TEXT FOLDER [--steps 800]

Every matrix of a layer is {-s, 0, s} with one s, a number that f16 holds, so that TQ2_0 holds the
weights exactly: what bench/ternary_ppl.sh then measures is the kernels and not the rounding.
Needs torch, transformers and tokenizers; a minute on a GPU.
"""

import argparse
import pathlib

import torch
import transformers
from torch.nn.utils import parametrize

from tiny_tokenizer import write_tokenizer

VOCABULARY = 1024
CONTEXT = 256
BATCH = 32


class Ternary(torch.nn.Module):
    """Weights rounded to {-s, 0, s}, s their mean size; gradients pass as if they were not."""

    def forward(self, weight):
        scale = weight.abs().mean().clamp(min=1e-4).half().float()
        rounded = (weight / scale).round().clamp(-1, 1) * scale
        return weight + (rounded - weight).detach()

    def right_inverse(self, weight):
        return weight


def ternary_layers(model):
    """The linear layers that are ternary: all but the head."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
            yield module


def make_model(device):
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config).to(device)
    for layer in ternary_layers(model):
        parametrize.register_parametrization(layer, "weight", Ternary())
    return model


def train(model, ids, steps):
    """Next-token loss on random pieces of `ids`, [tokens]."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        starts = torch.randint(0, len(ids) - CONTEXT, (BATCH,), generator=generator).tolist()
        batch = torch.stack([ids[start : start + CONTEXT] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step + 1 == steps:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)


def bake(model):
    """Makes the rounded weights the model's own, to the bit."""
    for layer in ternary_layers(model):
        with torch.no_grad():
            raw = layer.parametrizations.weight.original
            scale = raw.abs().mean().clamp(min=1e-4).half().float()
            rounded = (raw / scale).round().clamp(-1, 1) * scale
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        with torch.no_grad():
            layer.weight.copy_(rounded)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=800)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text = options.text.read_text(errors="replace")
    tokenizer = write_tokenizer(options.folder, text, VOCABULARY)
    ids = torch.tensor(tokenizer.encode(text).ids, device=device)
    model = make_model(device)
    train(model, ids, options.steps)
    bake(model)
    model.to("cpu").save_pretrained(options.folder)


if __name__ == "__main__":
    main()
