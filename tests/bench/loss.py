#!/usr/bin/env python3
"""tests/bench/loss.py — memory and seconds of `diptych loss` as the batch grows.

    python3 tests/bench/loss.py build/diptych [--width 512] [--torch PYTHON]     needs numpy

Forward and backward. The plain loss keeps several (N, N) matrices, of which one alone is the last
column. With --torch also PyTorch's plain loss, where its matrices fit, in turn with ours.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np

PLAIN = """
import sys, time, resource, numpy as np, torch
torch.set_num_threads(int(sys.argv[3]))
i, t = (torch.tensor(np.load(p), requires_grad=True) for p in sys.argv[1:3])
s = torch.tensor(100.0, requires_grad=True)
start = time.perf_counter()
norm = torch.nn.functional.normalize
x = s * norm(i, dim=1) @ norm(t, dim=1).T
y = torch.arange(len(x))
loss = (torch.nn.functional.cross_entropy(x, y) + torch.nn.functional.cross_entropy(x.T, y)) / 2
loss.backward()
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""


def said(line):
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def middle(values):
    values = sorted(values)
    return values[len(values) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1024, 4096, 16384, 32768, 65536])
    parser.add_argument("--torch", help="an interpreter with PyTorch")
    parser.add_argument("--plain-up-to", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    threads, rng = len(os.sched_getaffinity(0)), np.random.default_rng(0)
    print("   pairs  seconds  peak MiB   PyTorch plain: seconds, MiB   one matrix, MiB")
    with tempfile.TemporaryDirectory() as folder:
        for n in a.pairs:
            i, t = f"{folder}/i.npy", f"{folder}/t.npy"
            for path in (i, t):
                np.save(path, rng.standard_normal((n, a.width), dtype=np.float32))
            line = [a.program, "loss", "--image-features", i, "--text-features", t,
                    "--logit-scale", "100", "--dump", f"{folder}/out.safetensors", "--json",
                    "--threads", str(threads)]
            mine, theirs = [], []
            for _ in range(a.rounds if n <= a.plain_up_to else 1):
                mine.append(json.loads(said(line)))
                if a.torch and n <= a.plain_up_to:
                    out = said([a.torch, "-c", PLAIN, i, t, str(threads)]).split()
                    theirs.append((float(out[0]), int(out[1])))
            seconds = middle(m["seconds"] for m in mine)
            peer = f"{middle(x[0] for x in theirs):14.2f} {max(theirs)[1]:8}" if theirs else ""
            print(f"{n:8} {seconds:8.2f} {max(m['peak_rss_mib'] for m in mine):9} {peer:32}",
                  f"{n * n * 4 >> 20:11}", flush=True)


if __name__ == "__main__":
    main()
