#!/usr/bin/env python3
# tests/bench/peers.py — ours against OpenBLAS and PyTorch, in one run, in turn.
#
#   tests/bench/peers.py [--torch PYTHON]… [--rounds 3] [--only SECTION]… [--json FILE]
#
# Each round runs ours, then every peer, on the same work; the table has the medians over rounds,
# the ratio of each round's pair (median, lowest and highest) and memory. --torch names interpreters
# that have PyTorch (default: /usr/bin/python3 if it has); the fastest counts. Run it on an
# otherwise idle machine.
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DIPTYCH = os.path.join(HERE, "..", "..", "build", "diptych")
THREADS = min(2, os.cpu_count())

SECTIONS = ["gemm", "ops", "scaling", "train", "infer"]

#        what     model     batch, further flags of ours, of the peer
CASES = [
    ("train", "tiny", 64, [], []),
    ("train", "small", 64, [], []),
    ("train", "ViT-B-32", 16, [], []),
    ("train", "ViT-B-32", 16, ["--text-length", "12"], []),
    ("train", "RN50", 8, [], []),
    ("infer", "ViT-B-32", 1, ["--part", "image"], ["--part", "image"]),
    ("infer", "ViT-B-32", 32, ["--part", "image"], ["--part", "image"]),
    ("infer", "ViT-B-32", 32, ["--part", "text", "--text-length", "12"], ["--part", "text"]),
]

# Timed steps: a second or more of each.
STEPS = {"train": {"tiny": 50, "small": 10, "ViT-B-32": 3, "RN50": 3}, "infer": {"ViT-B-32": 10}}


def run(command, env=None, stdin=None):
    done = subprocess.run(command, env={**os.environ, **(env or {})}, input=stdin, text=True,
                          capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def has(python, module):
    try:
        command = [python, "-c", f"import {module}"]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def blas_env(threads):
    """OpenBLAS's choice of kernels may not know the processor: the fastest of its own counts."""
    probe = json.dumps({"rows": [{"name": "nn", "M": 1024, "K": 1024, "N": 1024, "batch": 1}]})
    best = None
    for core in (None, "HASWELL", "SKYLAKEX", "ZEN"):
        env = {"OPENBLAS_NUM_THREADS": str(threads)}
        if core:
            env["OPENBLAS_CORETYPE"] = core
        speed = run(["/usr/bin/python3", f"{HERE}/blas_gemm.py"], env, probe)[0]
        if best is None or speed > best[0]:
            best = (speed, env)
    return best[1]


def bench_gemm(threads, rounds):
    env = blas_env(threads)
    peak = run([DIPTYCH, "bench", "peak", "--threads", str(threads), "--json"])["rows"][0]
    ours, theirs = [], []
    for _ in range(rounds):
        result = run([DIPTYCH, "bench", "gemm", "--threads", str(threads), "--steps", "5",
                      "--json"])
        ours.append([row["gflops"] for row in result["rows"]])
        theirs.append(run(["/usr/bin/python3", f"{HERE}/blas_gemm.py"], env, json.dumps(result)))
    print(f"\nmatrix products, {threads} threads, GFLOP/s; multiply-add peak {peak['gflops']:.0f}; "
          f"OpenBLAS's kernels: {env.get('OPENBLAS_CORETYPE', 'its own choice')}\n"
          f"{'M':>6} {'K':>5} {'N':>5} {'x':>4} {'':<3} {'ours':>6} {'blas':>6} {'ratio':>6} "
          f"{'of peak':>8}")
    ratios, rows = [], []
    for i, row in enumerate(result["rows"]):
        mine, blas = (statistics.median(r[i] for r in side) for side in (ours, theirs))
        ratio = statistics.median(a[i] / b[i] for a, b in zip(ours, theirs))
        ratios.append(ratio)
        rows.append({**row, "gflops": mine, "blas": blas, "ratio": ratio})
        sizes = f"{row['M']:6.0f} {row['K']:5.0f} {row['N']:5.0f} {row['batch']:4.0f}"
        print(f"{sizes} {row['name']:<3} {mine:6.0f} {blas:6.0f} {ratio:6.2f} "
              f"{mine / peak['gflops']:8.0%}", flush=True)
    print(f"geometric mean {geometric_mean(ratios):.2f}, lowest {min(ratios):.2f}")
    return {"threads": threads, "peak": peak, "rows": rows,
            "geometric_mean": geometric_mean(ratios)}


def best_env(python):
    """OpenMP's threads wait busily or not: whichever serves this PyTorch better."""
    def speed(policy):
        return run([python, f"{HERE}/torch_clip.py", "--model", "small", "--batch-size", "64",
                    "--steps", "3", "--threads", str(THREADS)],
                   {"OMP_WAIT_POLICY": policy})["pairs_per_second"]
    return {"OMP_WAIT_POLICY": max(("passive", "active"), key=speed)}


def bench_ops(peak):
    rows = run([DIPTYCH, "bench", "ops", "--threads", str(THREADS), "--json"])["rows"]
    print(f"\n{'bound by memory':<26} {'GB/s':>6} {'of y += a x':>12}")
    for row in rows:
        share = row["gb_per_s"] / peak["gb_per_s"]
        print(f"{row['name']:<26} {row['gb_per_s']:6.1f} {share:12.0%}")
    return rows


def bench_scaling(rounds):
    """Milliseconds per pair of a training step of `small`, by batch size and by threads."""
    cases = [(THREADS, batch) for batch in (8, 16, 32, 64, 128, 256)] + [(1, 64)]
    times = {case: [] for case in cases}
    for _ in range(rounds):
        for threads, batch in cases:
            result = run([DIPTYCH, "bench", "train", "--model", "small", "--batch-size",
                          str(batch), "--threads", str(threads), "--steps",
                          str(max(3, 640 // batch)), "--json"])
            times[threads, batch].append(1e3 / result["pairs_per_second"])
    print(f"\n{'small: threads':<14} {'batch':>6} {'ms per pair':>12}")
    for (threads, batch), ms in times.items():
        print(f"{threads:<14} {batch:6} {statistics.median(ms):12.2f} "
              f"({min(ms):.2f} … {max(ms):.2f})", flush=True)
    speedups = [a / b for a, b in zip(times[1, 64], times[THREADS, 64])]
    print(f"{THREADS} threads against one: {statistics.median(speedups):.2f} "
          f"({min(speedups):.2f} … {max(speedups):.2f})")
    return [{"threads": t, "batch": b, "ms_per_pair": ms} for (t, b), ms in times.items()]


def bench_case(case, pythons, rounds):
    what, model, batch, our_flags, peer_flags = case
    steps = STEPS[what][model]
    common = ["--model", model, "--batch-size", str(batch), "--threads", str(THREADS),
              "--steps", str(steps)]
    ours, theirs = [], {python: [] for python in pythons}
    for _ in range(rounds):
        ours.append(run([DIPTYCH, "bench", what, *common, *our_flags, "--json"]))
        for python, results in theirs.items():
            infer = ["--infer"] if what == "infer" else []
            results.append(run([python, f"{HERE}/torch_clip.py", *common, *infer, *peer_flags],
                               pythons[python]))
    speed = lambda results: statistics.median(r["pairs_per_second"] for r in results)
    fastest = max(theirs.values(), key=speed)
    ratios = [a["pairs_per_second"] / b["pairs_per_second"] for a, b in zip(ours, fastest)]
    memory = [max(r["peak_rss_mib"] for r in side) for side in (ours, fastest)]
    name = f"{what} {model} {batch} {' '.join(our_flags).replace('--', '')}"
    print(f"{name:<44} {speed(ours):9.2f} {speed(fastest):9.2f} {statistics.median(ratios):6.2f} "
          f"({min(ratios):.2f} … {max(ratios):.2f})  {memory[0]:6d} {memory[1]:6d}  "
          f"{fastest[0]['peer']}", flush=True)
    return {"case": name, "ours": ours, "peers": {r[0]["peer"]: r for r in theirs.values()},
            "ratio": statistics.median(ratios)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], choices=SECTIONS)
    parser.add_argument("--json")
    flags = parser.parse_args()
    peak = run([DIPTYCH, "bench", "peak", "--threads", str(THREADS), "--json"])["rows"][0]
    print("this machine, {threads:.0f} threads: {gflops:.0f} GFLOP/s of multiply-adds, "
          "{gb_per_s:.0f} GB/s of y += a x".format(**peak))
    report = {"peak": peak}
    wanted = flags.only or SECTIONS
    if "gemm" in wanted and has("/usr/bin/python3", "numpy"):
        report["gemm"] = [bench_gemm(threads, flags.rounds) for threads in (1, THREADS)]
    if "ops" in wanted:
        report["ops"] = bench_ops(peak)
    if "scaling" in wanted:
        report["scaling"] = bench_scaling(flags.rounds)
    cases = [case for case in CASES if case[0] in wanted]
    pythons = [p for p in flags.torch or ["/usr/bin/python3"] if has(p, "torch")] if cases else []
    if pythons:
        pythons = {python: best_env(python) for python in pythons}
        print(f"\n{'pairs per second':<44} {'ours':>9} {'PyTorch':>9} {'ratio':>6} {'':<15} "
              f"{'MiB':>6} {'MiB':>6}")
        report["models"] = [bench_case(case, pythons, flags.rounds) for case in cases]
    elif cases:
        print("no PyTorch found: apt-get install python3-torch, or --torch PYTHON")
    if flags.json:
        with open(flags.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
