#!/usr/bin/env python3
"""Compares the event files of runs, as TensorBoard's own reader has them, with metrics.jsonl.

    tests/golden/check_events.py logs/NAME...

The runs were trained with --report-to tensorboard, in one go or resumed. Every number of every line
must be there under its tag and step, as f32, and nothing else. Prints the number of scalars and
TensorBoard's version. Exit code 1 if one differs. Needs tensorboard.
"""
import json
import struct
import sys

import tensorboard
from tensorboard.backend.event_processing import event_accumulator

TAGS = {"logit_scale": "train/scale", "pairs_per_second": "train/samples_per_second"}


def f32(value):
    return struct.unpack("<f", struct.pack("<f", float(value)))[0]


def is_number(value):
    return isinstance(value, (int, float)) or value in ("nan", "-nan", "inf", "-inf")


def expected(run):
    """(tag, step) → value, of metrics.jsonl."""
    scalars = {}
    for line in open(f"{run}/metrics.jsonl", encoding="utf-8"):
        record = json.loads(line)
        step = record.pop("step")
        inner = record.pop("val", {})
        named = {TAGS.get(k, f"train/{k}"): v for k, v in record.items()}
        named |= {f"val/{k}": v for k, v in inner.items()}
        scalars |= {(tag, step): f32(v) for tag, v in named.items() if is_number(v)}
    return scalars


def read(run):
    """The same as TensorBoard shows it: no step twice, no value dropped by sampling."""
    reader = event_accumulator.EventAccumulator(f"{run}/tensorboard", size_guidance={"scalars": 0})
    reader.Reload()
    events = [(tag, e) for tag in reader.Tags()["scalars"] for e in reader.Scalars(tag)]
    scalars = {(tag, e.step): e.value for tag, e in events}
    assert len(scalars) == len(events), f"{run}: a step is shown twice"
    return scalars


def main(runs):
    bad = 0
    for run in runs:
        theirs, ours = read(run), expected(run)
        different = [k for k in theirs | ours if str(theirs.get(k)) != str(ours.get(k))]
        bad += len(different)
        print(f"{run}: {len(ours)} scalars, {len(different)} differ {sorted(different)[:3]}")
    print(f"tensorboard {tensorboard.__version__}")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
