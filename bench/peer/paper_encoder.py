#!/usr/bin/env python3
"""The peer of cuda_encoder_bench: PyTorch's ops of a speech encoder on the same shapes.

Usage: bench/peer/paper_encoder.py [--items 8]

convolution: 7 items of 1500 frames of 128 channels, three taps, to 1280 channels in f16, with bias,
GELU, positions and the mean and 1 / sqrt(variance + epsilon) of each row: eager and torch.compile.
attention: scaled_dot_product_attention of 20 heads of 64 over 1500 rows in f16, without a mask, out
of rows of a QKV product, by cuDNN and by FlashAttention.

Times are the median of many runs by events, eight calls in a row, over sets of inputs that together
do not fit in L2. Needs torch with CUDA.
"""

import argparse

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

HEADS, HEAD_DIM, ROWS = 20, 64, 1500
WIDTH = HEADS * HEAD_DIM
CHANNELS, TAPS, CONVOLUTION_ITEMS = 128, 3, 7
SETS_BYTES = 512 << 20
IN_ROW, RUNS = 8, 60


def median_us(call, sets):
    """The median time of call(*set), in microseconds."""
    times = []
    at = 0
    for run in range(RUNS + 5):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(IN_ROW):
            call(*sets[at % len(sets)])
            at += 1
        stop.record()
        stop.synchronize()
        if run >= 5:
            times.append(1e3 * start.elapsed_time(stop) / IN_ROW)
    return sorted(times)[len(times) // 2]


def report(name, flop, call, sets):
    try:
        us = median_us(call, sets)
    except RuntimeError as error:
        print(f"{name:24} {str(error).splitlines()[0]}")
        return
    print(f"{name:24} {us:9.1f} us {1e-6 * flop / us:8.1f} TFLOP/s", flush=True)


def half(*shape, sigma=1.0):
    return sigma * torch.randn(*shape, device="cuda", dtype=torch.float16)


def convolution(x, weight, bias, positions):
    y = F.gelu(F.conv1d(x, weight, bias, padding=1)).transpose(1, 2) + positions
    y = y.contiguous()
    wide = y.float()
    variance, mean = torch.var_mean(wide, dim=-1, correction=0)
    return y, mean, torch.rsqrt(variance + 1e-5)


def measure_convolution():
    rows = CONVOLUTION_ITEMS * ROWS
    each = 2 * rows * (CHANNELS + WIDTH) + 2 * ROWS * WIDTH
    sets = [
        (
            half(CONVOLUTION_ITEMS, ROWS, CHANNELS).transpose(1, 2),
            half(WIDTH, CHANNELS, TAPS, sigma=0.05),
            half(WIDTH),
            half(ROWS, WIDTH, sigma=0.1),
        )
        for _ in range(SETS_BYTES // each + 2)
    ]
    flop = 2 * rows * CHANNELS * TAPS * WIDTH
    report("convolution eager", flop, convolution, sets)
    report("convolution compiled", flop, torch.compile(convolution), sets)


def measure_attention(items):
    each = 2 * items * ROWS * 4 * WIDTH
    sets = []
    for _ in range(SETS_BYTES // each + 2):
        qkv = half(items, ROWS, 3, HEADS, HEAD_DIM)
        sets.append(tuple(part.transpose(1, 2) for part in qkv.unbind(2)))
    flop = 4 * items * HEADS * ROWS * ROWS * HEAD_DIM
    for name, backend in (
        ("attention cuDNN", SDPBackend.CUDNN_ATTENTION),
        ("attention FlashAttention", SDPBackend.FLASH_ATTENTION),
    ):
        with sdpa_kernel(backend):
            report(name, flop, F.scaled_dot_product_attention, sets)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=8)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    with torch.inference_mode():
        measure_convolution()
        measure_attention(options.items)


if __name__ == "__main__":
    main()
