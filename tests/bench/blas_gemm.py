#!/usr/bin/env python3
# tests/bench/blas_gemm.py — the peer of `diptych bench gemm`: the same products by NumPy's BLAS.
#
# Reads the rows of `diptych bench gemm --json` on stdin, prints GFLOP/s of each as a JSON list.
import json
import statistics
import sys
import time

import numpy as np

STEPS = 5


def operand(batch, rows, columns, transposed):
    shape = (columns, rows) if transposed else (rows, columns)
    x = np.random.rand(*((batch,) if batch > 1 else ()), *shape).astype(np.float32)
    return x.swapaxes(-1, -2) if transposed else x


def speed(row):
    M, K, N, batch = (int(row[key]) for key in ("M", "K", "N", "batch"))
    a, b = operand(batch, M, K, row["name"] == "tn"), operand(batch, K, N, row["name"] == "nt")
    c = np.empty(((batch,) if batch > 1 else ()) + (M, N), np.float32)
    gflop = 2e-9 * batch * M * K * N
    repeats = max(1, int(0.1 / gflop))
    times = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        for _ in range(repeats):
            np.matmul(a, b, out=c)
        times.append((time.perf_counter() - start) / repeats)
    return gflop / statistics.median(times[1:])


print(json.dumps([speed(row) for row in json.load(sys.stdin)["rows"]]))
