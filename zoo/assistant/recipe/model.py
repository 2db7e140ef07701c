"""The model: Qwen3's architecture in PyTorch. Parameters carry the names of the GGUF tensors."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    vocab: int = 3072
    blocks: int = 8
    hidden: int = 256
    ffn: int = 768
    heads: int = 4
    kv_heads: int = 2
    head: int = 64
    context: int = 1024
    norm_eps: float = 1e-6
    rope_base: float = 10000.0


class Norm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Linear(nn.Linear):
    """A matrix without bias. With `round_inputs` it sees its inputs as an 8-bit engine would."""

    round_inputs = False

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x):
        return F.linear(eight_bit(x) if Linear.round_inputs else x, self.weight)


def eight_bit(x):
    """Each block of 32 values in 8-bit steps of its largest."""
    blocks = x.unflatten(-1, (-1, 32))
    scale = blocks.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
    return (torch.round(blocks / scale) * scale).flatten(-2)


def rope_tables(config, device):
    """cos and sin, each [context, head/2]."""
    steps = torch.arange(0, config.head, 2, device=device, dtype=torch.float32)
    angles = torch.outer(torch.arange(config.context, device=device, dtype=torch.float32),
                         config.rope_base ** (-steps / config.head))
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotary position: the first half of a head is paired with the second."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.attn_norm = Norm(c.hidden, c.norm_eps)
        self.attn_q = Linear(c.hidden, c.heads * c.head)
        self.attn_k = Linear(c.hidden, c.kv_heads * c.head)
        self.attn_v = Linear(c.hidden, c.kv_heads * c.head)
        self.attn_output = Linear(c.heads * c.head, c.hidden)
        self.attn_q_norm = Norm(c.head, c.norm_eps)
        self.attn_k_norm = Norm(c.head, c.norm_eps)
        self.ffn_norm = Norm(c.hidden, c.norm_eps)
        self.ffn_gate = Linear(c.hidden, c.ffn)
        self.ffn_up = Linear(c.hidden, c.ffn)
        self.ffn_down = Linear(c.ffn, c.hidden)

    def forward(self, x, cos, sin, bias):
        x = x + self._attend(self.attn_norm(x), cos, sin, bias)
        y = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(y)) * self.ffn_up(y))

    def _attend(self, y, cos, sin, bias):
        c = self.config
        batch, length, _ = y.shape
        split = lambda z, heads: z.view(batch, length, heads, c.head).transpose(1, 2)
        q = rotate(self.attn_q_norm(split(self.attn_q(y), c.heads)), cos, sin)
        k = rotate(self.attn_k_norm(split(self.attn_k(y), c.kv_heads)), cos, sin)
        v = split(self.attn_v(y), c.kv_heads)
        share = c.heads // c.kv_heads
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        out = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v,
                                             attn_mask=bias.to(v.dtype))
        return self.attn_output(out.transpose(1, 2).reshape(batch, length, -1))


class Assistant(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.hidden)
        self.blk = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.output_norm = Norm(config.hidden, config.norm_eps)
        cos, sin = rope_tables(config, "cpu")
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._start()

    def _start(self):
        """Initial weights: small, and smaller still where a block writes into the stream."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                into_stream = name.endswith(("attn_output.weight", "ffn_down.weight"))
                scale = 0.02 / (2 * self.config.blocks) ** 0.5 if into_stream else 0.02
                nn.init.normal_(weight, std=scale * (2.5 if "blk" in name else 1.0))

    def forward(self, tokens, bias):
        """Logits [batch, length, vocab]; `bias` [batch, 1, length, length] is added to scores."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cos, sin, bias)
        x = self.output_norm(x)
        return F.linear(eight_bit(x) if Linear.round_inputs else x, self.token_embd.weight)


def causal_bias(start_flags, dtype=torch.bfloat16):
    """0 where a token may look, -inf elsewhere: backwards, and within its conversation."""
    length = start_flags.shape[1]
    conversation = start_flags.long().cumsum(1)
    same = conversation[:, :, None] == conversation[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool, device=start_flags.device).tril()
    open_ = (same & causal)[:, None]
    return torch.zeros((), dtype=dtype, device=open_.device).where(open_, float("-inf"))
