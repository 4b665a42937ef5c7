#!/usr/bin/env python3
# tests/bench/torch_gemm.py — the peer of `diptych bench gemm --device cuda`: the same by PyTorch.
#
# Reads the rows of `diptych bench gemm --json` on stdin, prints GFLOP/s of each as a JSON list.
import json
import statistics
import sys
import time

import torch

WARM_UP, STEPS = 5, 20
SECONDS = 2e-3  # of a timing: waiting for a GPU takes ten microseconds


def operand(rows, columns, transposed, dtype):
    shape = (columns, rows) if transposed else (rows, columns)
    x = torch.randn(shape, device="cuda", dtype=dtype)
    return x.t() if transposed else x


def seconds_per_call(calls, f):
    start = time.perf_counter()
    for _ in range(calls):
        f()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def speed(row):
    M, K, N = (int(row[key]) for key in ("M", "K", "N"))
    layout, _, dtype = row["name"].partition(" ")
    dtype = torch.bfloat16 if dtype == "bf16" else torch.float32
    a, b = operand(M, K, layout == "tn", dtype), operand(K, N, layout == "nt", dtype)
    c = torch.empty(M, N, device="cuda", dtype=dtype)
    multiply = lambda: torch.mm(a, b, out=c)
    seconds_per_call(WARM_UP - 1, multiply)
    calls = max(1, int(SECONDS / seconds_per_call(1, multiply)))
    times = [seconds_per_call(calls, multiply) for _ in range(STEPS)]
    return 2e-9 * M * K * N / statistics.median(times)


# As ours: f32 in f32, and sums of bf16 in f32.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
print(json.dumps([speed(row) for row in json.load(sys.stdin)["rows"]]))
