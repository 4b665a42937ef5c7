#!/usr/bin/env python3
# tests/bench/gpu.py — ours on a GPU, against what the GPU can do and against PyTorch, in one run.
#
#   tests/bench/gpu.py [--diptych PROGRAM] [--torch PYTHON] [--limit 530] [--json FILE]
#
# Prints one table of at most 40 lines: ceilings, the products of ViT-B-32's layers, our kernels
# that memory bounds, training steps. Everything is a median of 20 after 5. PyTorch takes part if
# --torch (default: this interpreter) has it. After --limit seconds nothing new is begun; what fails
# or takes too long is a line of the table, and the next measurement begins.
import argparse
import json
import os
import signal
import subprocess
import sys
import time

from peers import geometric_mean, has

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = ["--steps", "20"]

# As many pairs as PyTorch has room for in f32 and 80 GB: it keeps twice as many activations as we.
#          model      pairs tokens seconds at most for each program
CASES = [("ViT-B-32", 512, 77, 60), ("ViT-B-32", 512, 12, 60), ("ViT-L-14", 64, 77, 60)]
PRECISIONS = [["fp32"], ["tf32"], ["bf16"], ["bf16", "--compile"]]


def output_of(command, stdin, limit):
    """What a program prints. ValueError says why it did not, in one line."""
    if limit < 5:
        raise ValueError("no time left")
    # A session of its own: PyTorch's compiler starts processes that must end with it.
    program = subprocess.Popen(command, text=True, start_new_session=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, messages = program.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
        raise ValueError(f"took more than {limit:.0f} s") from None
    if program.returncode != 0:
        raise ValueError((messages.strip() or f"exit {program.returncode}").splitlines()[-1])
    return out


class Bench:
    def __init__(self, flags):
        self.flags, self.end = flags, time.monotonic() + flags.limit
        self.torch = has(flags.torch, "torch")
        self.report = {}

    def run(self, name, limit, command, stdin=None):
        """The JSON that a program prints, or None. Kept in the report under `name` either way."""
        limit = min(limit, self.end - time.monotonic())
        print("==", " ".join(command), file=sys.stderr, flush=True)
        try:
            self.report[name] = json.loads(output_of(command, stdin, limit))
            return self.report[name]
        except (OSError, ValueError) as error:
            self.report[name] = {"error": str(error)[:150]}
            print(error, file=sys.stderr)
            return None

    def ours(self, what, limit, *rest, name=None):
        return self.run(name or what, limit, [self.flags.diptych, "bench", what, "--device",
                                              "cuda", "--json", *STEPS, *rest])

    def peer(self, name, limit, script, *rest, stdin=None):
        if not self.torch:
            return None
        return self.run(name, limit, [self.flags.torch, f"{HERE}/{script}", *rest], stdin)

    def why(self, name):
        return self.report[name]["error"]


def ceilings(bench):
    result = bench.ours("peak", 60)
    if not result:
        print("ceilings:", bench.why("peak"))
        return None
    f32, bf16 = result["rows"]
    print(f"ceilings: y += a x {f32['gb_per_s']:.0f} GB/s; product of 8192 x 8192: f32 "
          f"{f32['gflops'] / 1e3:.1f}, bf16 {bf16['gflops'] / 1e3:.1f} TFLOP/s", flush=True)
    return {"gb_per_s": f32["gb_per_s"], "f32": f32["gflops"], "bf16": bf16["gflops"]}


def products(bench):
    """A line per layer: y, the gradient of x, the gradient of w, in f32 and in bf16."""
    ours = bench.ours("gemm", 60)
    if not ours:
        print("products:", bench.why("gemm"))
        return
    theirs = bench.peer("gemm torch", 60, "torch_gemm.py", stdin=json.dumps(ours))
    rows = ours["rows"]
    for row, speed in zip(rows, theirs or []):
        row["torch"] = speed
    print(f"{'products, TFLOP/s':<22} {'f32: y':>7} {'dx':>6} {'dw':>6}   {'bf16: y':>7} "
          f"{'dx':>6} {'dw':>6}   y (M, N) = x (M, K) w")
    half = len(rows) // 2
    for i in range(0, half, 3):
        speeds = [r["gflops"] / 1e3 for r in rows[i:i + 3] + rows[half + i:half + i + 3]]
        sizes = "{M:6.0f} {K:6.0f} {N:6.0f}".format(**rows[i])
        print(f"{sizes:<22} {speeds[0]:7.1f} {speeds[1]:6.1f} {speeds[2]:6.1f}   "
              f"{speeds[3]:7.1f} {speeds[4]:6.1f} {speeds[5]:6.1f}")
    if theirs:
        ratios = [r["gflops"] / r["torch"] for r in rows]
        print(f"ours / PyTorch: f32 {geometric_mean(ratios[:half]):.2f}, "
              f"bf16 {geometric_mean(ratios[half:]):.2f}, lowest {min(ratios):.2f}", flush=True)


def own_kernels(bench, ceiling):
    result = bench.ours("ops", 90)
    if not result:
        print("own kernels:", bench.why("ops"))
        return
    cells = []
    for row in result["rows"]:
        share = f"{row['gb_per_s'] / ceiling['gb_per_s']:.0%}" if ceiling else ""
        cells.append(f"{row['name']:<26} {row['gb_per_s']:5.0f} {share:<5}")
    print("own kernels, GB/s and share of y += a x")
    for i in range(0, len(cells), 3):
        print(" ".join(cells[i:i + 3]).rstrip(), flush=True)


def line(name, result, ceiling, gflop, ratio):
    """`gflop`: of one pair, where it is known."""
    speed = result["pairs_per_second"]
    rate = f"{speed * gflop / 1e3:.1f}" if gflop else ""
    share = f"{speed * gflop / ceiling:.0%}" if gflop and ceiling else ""
    print(f"{name:<40} {result['step_ms']:9.2f} {speed:9.1f} {rate:>8} {share:>5} "
          f"{result['peak_device_mib']:7d} {ratio}".rstrip(), flush=True)


def ratio_of(ours, theirs):
    if not ours or "pairs_per_second" not in theirs:
        return ""
    return f"{ours['pairs_per_second'] / theirs['pairs_per_second']:.2f}"


def training(bench, ceiling, case):
    """Ours, then PyTorch by precision; a ratio is our speed over its."""
    model, batch, tokens, limit = case
    common = ["--model", model, "--batch-size", str(batch)]
    name = f"{model}, {batch} pairs of {tokens}"
    peer = f"{model}, PyTorch "
    ours = bench.ours("train", limit, *common, "--text-length", str(tokens), name=name)
    gflop = ours["gflops"] / ours["pairs_per_second"] if ours else None
    if ours:
        ratio = ratio_of(ours, bench.report.get(peer + "fp32", {}))
        line(name, ours, ceiling and ceiling["f32"], gflop, ratio and ratio + " of fp32")
    else:
        print(f"{name}: {bench.why(name)}")
    # Eager training code computes captions at their full length: 77 tokens are the peer of 12.
    for precision in PRECISIONS if tokens == 77 and bench.torch else []:
        name = peer + " ".join(precision).replace("--compile", "compiled")
        result = bench.peer(name, limit + 60 * len(precision[1:]), "torch_clip.py", *common, *STEPS,
                            "--warm-up", "5", "--device", "cuda", "--precision", *precision)
        if result:
            best = ceiling and {"fp32": ceiling["f32"], "bf16": ceiling["bf16"]}.get(precision[0])
            line("  " + name, result, best, gflop, ratio_of(ours, result))
        else:
            print(f"  {name}: {bench.why(name)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--diptych", default=os.path.join(HERE, "../../build/cuda/diptych"))
    parser.add_argument("--torch", default=sys.executable)
    parser.add_argument("--limit", type=float, default=530)
    parser.add_argument("--json")
    bench = Bench(parser.parse_args())
    ceiling = ceilings(bench)
    products(bench)
    own_kernels(bench, ceiling)
    print(f"{'training steps':<40} {'ms':>9} {'pairs/s':>9} {'TFLOP/s':>8} {'share':>5} "
          f"{'MiB':>7} ours/it")
    for case in CASES:
        training(bench, ceiling, case)
    if not bench.torch:
        print("no PyTorch found: --torch PYTHON")
    if bench.flags.json:
        with open(bench.flags.json, "w") as file:
            json.dump(bench.report, file, indent=1)


if __name__ == "__main__":
    main()
