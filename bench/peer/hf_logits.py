#!/usr/bin/env python3
"""Neuros beside transformers: logits of small random Llama, Qwen2 and Qwen3 checkpoints.

Usage: bench/peer/hf_logits.py [--neuros build/neuros] [--devices cpu,cuda] [--keep FOLDER]

Makes each checkpoint as a Hugging Face directory in bf16 and in f32, computes the logits after fixed
tokens with transformers in f32, and compares what `neuros eval logits` says: all tokens as rows of a
prompt, and most of them as decode steps. The difference is the largest over all logits, as a share
of the largest logit. Beside it stands what transformers itself is off by when it computes in the
checkpoint's type. Exit code 1 if a difference exceeds its tolerance.

Needs torch, transformers and tokenizers; runs transformers on the CPU.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

from tiny_tokenizer import write_tokenizer

VOCABULARY = 512
SIZES = dict(
    vocab_size=VOCABULARY,
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=4,
    num_attention_heads=8,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    bos_token_id=0,
    eos_token_id=1,
)
# Of the largest logit. bf16: activations of products have 8 bits of mantissa too; f32: attention on
# a GPU multiplies 16-bit numbers.
TOLERANCE = {"f32": 2e-3, "bf16": 2e-2}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
PROMPT_TOKENS = 7  # of the run whose other tokens are decode steps


def rope(theta, **scaling):
    """Rotary settings under the names this version of transformers has for them."""
    if int(transformers.__version__.split(".")[0]) >= 5:
        return {"rope_parameters": {"rope_type": "default", "rope_theta": theta, **scaling}}
    return {"rope_theta": theta, **({"rope_scaling": scaling} if scaling else {})}


def configs():
    """One configuration of each architecture, by name."""
    llama3 = dict(
        rope_type="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    )
    return {
        "llama": transformers.LlamaConfig(**SIZES, **rope(500000.0, **llama3)),
        "qwen2": transformers.Qwen2Config(**SIZES, **rope(1e6), tie_word_embeddings=True),
        "qwen3": transformers.Qwen3Config(**SIZES, **rope(1e6), head_dim=64),
    }


def random_model(config):
    """A model whose logits say something: weights of size 1 / sqrt(columns), norms around 1."""
    model = transformers.AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                parameter.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)
    return model


def load(folder, dtype):
    """The checkpoint, computing in `dtype`."""
    name = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", **{name: dtype}
    ).eval()


def reference_logits(folder, dtype, ids):
    """Logits of transformers, [ids, VOCABULARY]."""
    with torch.no_grad():
        return load(folder, dtype)(torch.tensor([ids])).logits[0].float()


def neuros_logits(neuros, folder, device, ids, decode_from):
    """Logits of Neuros, [ids, VOCABULARY]; tokens from `decode_from` on as decode steps."""
    command = [neuros, "eval", "logits", str(folder), "--json", "--device", device, "--kv", "f32"]
    command += ["--ids", ",".join(map(str, ids)), "--decode-from", str(decode_from)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return torch.tensor(json.loads(done.stdout)["logits"])


def difference(ours, reference):
    """The largest difference as a share of the largest logit."""
    return ((ours - reference).abs().max() / reference.abs().max()).item()


def compare(folder, name, dtype, options):
    """Prints one line for each device and way to compute; whether all are within tolerance."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(2, VOCABULARY, (60,), generator=generator).tolist()
    reference = reference_logits(folder, torch.float32, ids)
    own = difference(reference_logits(folder, DTYPES[dtype], ids), reference)
    passed = True
    for device in options.devices.split(","):
        for what, decode_from in (("prompt", len(ids)), ("decode", PROMPT_TOKENS)):
            ours = neuros_logits(options.neuros, folder, device, ids, decode_from)
            found = difference(ours, reference)
            good = found <= TOLERANCE[dtype]
            passed = passed and good
            print(
                f"{'ok' if good else 'FAIL':4} {name:6} {dtype:5} {device:7} {what:7}"
                f" difference {found:.2e}  tolerance {TOLERANCE[dtype]:.0e}  transformers {own:.2e}"
            )
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neuros", default="build/neuros")
    parser.add_argument("--devices", default="cpu,cuda")
    parser.add_argument("--keep", help="leave the checkpoints in this folder")
    options = parser.parse_args()
    passed = True
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(options.keep or temporary)
        for name, config in configs().items():
            model = random_model(config)
            for dtype in ("f32", "bf16"):
                folder = root / f"{name}-{dtype}"
                folder.mkdir(parents=True, exist_ok=True)
                model.to(DTYPES[dtype]).save_pretrained(folder)
                write_tokenizer(folder, pathlib.Path(__file__).read_text(), VOCABULARY)
                passed = compare(folder, name, dtype, options) and passed
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
