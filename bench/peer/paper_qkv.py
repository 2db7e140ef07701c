#!/usr/bin/env python3
"""PyTorch's times for RMSNorm, QKV products, RoPE and the writing of keys and values, bf16.

Usage: bench/peer/paper_qkv.py [--tokens 1024] [--hidden 4096] [--heads 32] [--kv-heads 8]

Times are medians by CUDA events, over several calls in a row. Buffers rotate, so that no input is
still in L2 when its turn comes again. Neuros beside it: `cuda_prefill_bench --layer --types bf16`,
"RMSNorm, QKV, RoPE, KV write, alone". Needs torch and a GPU.
"""

import argparse
import statistics

import torch
import torch.nn.functional as F

HEAD_DIM = 128
EPSILON = 1e-5
BUFFERS = 4  # of 50 MB of weights each: more than L2 holds
IN_ROW, RUNS, WARM_UP = 20, 50, 5


def make_inputs(tokens, hidden, heads, kv_heads):
    """One set of everything that a call reads and writes."""

    def random(*shape):
        return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)

    angles = torch.randn(tokens, HEAD_DIM // 2, device="cuda")
    return dict(
        x=random(tokens, hidden),
        norm=random(hidden),
        weight=random((heads + 2 * kv_heads) * HEAD_DIM, hidden) * hidden**-0.5,
        cosine=angles.cos()[:, None],
        sine=angles.sin()[:, None],
        keys=random(2 * tokens, kv_heads, HEAD_DIM),
        values=random(2 * tokens, kv_heads, HEAD_DIM),
        slots=torch.randperm(2 * tokens, device="cuda")[:tokens],
    )


def rotate(x, cosine, sine):
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
    return turned.to(x.dtype)


def whole(x, norm, weight, cosine, sine, keys, values, slots):
    x = F.rms_norm(x, (x.shape[-1],), norm, EPSILON)
    heads = F.linear(x, weight).view(x.shape[0], -1, HEAD_DIM)
    kv_heads = keys.shape[1]
    q, k, v = heads.split((heads.shape[1] - 2 * kv_heads, kv_heads, kv_heads), dim=1)
    keys.index_copy_(0, slots, rotate(k, cosine, sine))
    values.index_copy_(0, slots, v)
    return rotate(q, cosine, sine)


def product(x, weight, **_):
    return F.linear(x, weight)


def median_us(call, inputs):
    def run():
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for i in range(IN_ROW):
            call(**inputs[i % len(inputs)])
        end.record()
        end.synchronize()
        return 1e3 * start.elapsed_time(end) / IN_ROW

    for _ in range(WARM_UP):
        run()
    return statistics.median(run() for _ in range(RUNS))


def recorded(call, inputs):
    """The calls as replays of graphs, without the host's time for launches."""
    graphs = {}
    for of in inputs:
        call(**of)
        torch.cuda.synchronize()
        graph = graphs[of["x"].data_ptr()] = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call(**of)
    return lambda x, **_: graphs[x.data_ptr()].replay()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    args = parser.parse_args()
    torch.manual_seed(1)
    sizes = (args.tokens, args.hidden, args.heads, args.kv_heads)
    inputs = [make_inputs(*sizes) for _ in range(BUFFERS)]
    rows = inputs[0]["weight"].shape[0]
    tflop = 2e-12 * args.tokens * args.hidden * rows
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{args.tokens} tokens, {args.hidden} columns, {rows} rows, bf16: {tflop:.4f} TFLOP")
    compiled = torch.compile(whole, dynamic=False)
    calls = {
        "product alone (cuBLAS)": product,
        "eager": whole,
        "eager, recorded": recorded(whole, inputs),
        "compiled": compiled,
        "compiled, recorded": recorded(compiled, inputs),
    }
    for name, call in calls.items():
        us = median_us(call, inputs)
        print(f"  {name:24s} {us:9.1f} us {1e6 * tflop / us:8.1f} TFLOP/s")


if __name__ == "__main__":
    with torch.no_grad():
        main()
