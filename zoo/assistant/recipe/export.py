"""Turns the trained model and its tokenizer into a GGUF file, and such a file into a model."""

import torch

import gguf
import tokenizer as bpe
from model import Assistant, Config

_NORMAL, _CONTROL = 1, 3  # kinds of tokens
_MOSTLY_Q8_0 = 7  # the file type


def metadata(config, tokenizer):
    tokens = tokenizer.tokens
    return {
        "general.architecture": "qwen3",
        "general.name": "Neuros assistant",
        "general.description": "A tiny assistant that Neuros carries as its default model",
        "general.license": "apache-2.0",
        "general.size_label": "7M",
        "general.file_type": _MOSTLY_Q8_0,
        "general.quantization_version": 2,
        "general.alignment": gguf.ALIGNMENT,
        "qwen3.block_count": config.blocks,
        "qwen3.context_length": config.context,
        "qwen3.embedding_length": config.hidden,
        "qwen3.feed_forward_length": config.ffn,
        "qwen3.vocab_size": config.vocab,
        "qwen3.attention.head_count": config.heads,
        "qwen3.attention.head_count_kv": config.kv_heads,
        "qwen3.attention.key_length": config.head,
        "qwen3.attention.value_length": config.head,
        "qwen3.attention.layer_norm_rms_epsilon": config.norm_eps,
        "qwen3.rope.freq_base": config.rope_base,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [_CONTROL if t in bpe.CONTROL else _NORMAL for t in tokens],
        "tokenizer.ggml.merges": [f"{a} {b}" for a, b in tokenizer.merges],
        "tokenizer.ggml.bos_token_id": tokenizer.end_of_text,
        "tokenizer.ggml.eos_token_id": tokenizer.turn_end,
        "tokenizer.ggml.padding_token_id": tokenizer.end_of_text,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": bpe.CHAT_TEMPLATE,
    }


def to_q8_0(weight):
    """The bytes of a matrix in Q8_0: per block of 32 an f16 scale and signed bytes."""
    blocks = weight.float().cpu().reshape(-1, gguf.Q8_BLOCK)
    scale = blocks.abs().amax(1, keepdim=True) / 127
    inverse = torch.where(scale > 0, 1 / scale, torch.zeros_like(scale))
    steps = torch.round(blocks * inverse).to(torch.int8)
    packed = torch.cat((scale.half().view(torch.uint8), steps.view(torch.uint8)), dim=1)
    return packed.numpy().tobytes()


def from_q8_0(data, shape):
    packed = torch.frombuffer(bytearray(data), dtype=torch.uint8).reshape(-1, gguf.Q8_BYTES)
    scale = packed[:, :2].contiguous().view(torch.float16).float()
    return (packed[:, 2:].contiguous().view(torch.int8).float() * scale).reshape(shape)


def save(path, model, tokenizer):
    tensors = []
    for name, weight in model.state_dict().items():
        if weight.dim() == 2:
            tensors.append((name, tuple(weight.shape), gguf.Q8_0, to_q8_0(weight)))
        else:
            data = weight.float().cpu().numpy().astype("<f4").tobytes()
            tensors.append((name, tuple(weight.shape), gguf.F32, data))
    return gguf.write(path, metadata(model.config, tokenizer), tensors)


def load(path):
    """The model and tokenizer of a file that `save` wrote."""
    pairs, tensors = gguf.read(path)
    config = Config(vocab=len(pairs["tokenizer.ggml.tokens"]), blocks=pairs["qwen3.block_count"])
    state = {}
    for name, shape, kind, data in tensors:
        state[name] = (from_q8_0(data, shape) if kind == gguf.Q8_0 else
                       torch.frombuffer(bytearray(data), dtype=torch.float32).reshape(shape))
    model = Assistant(config)
    model.load_state_dict(state)
    merges = [merge.split(" ") for merge in pairs["tokenizer.ggml.merges"]]
    return model, bpe.Tokenizer(merges)
