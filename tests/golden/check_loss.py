#!/usr/bin/env python3
"""tests/golden/check_loss.py — `diptych loss` against PyTorch's plain losses in f64.

    python3 tests/golden/check_loss.py build/diptych          needs numpy, torch and safetensors

Loss and the gradients of features, factor and bias: of 2 to 5,000 pairs, tiles of 1, 7, 64 and N,
f64 and f32; with captions that repeat, lengths 4,096 times longer or shorter, a factor of 100,
features that are all alike; labels that several pairs share; the sigmoid loss.

A difference is a share of the largest value of its tensor, but of no less than the size of what
gradients are made of, s / N over the length of a row, and 1 for s and the bias: where all is alike
or all pairs fit, they cancel to what rounding leaves. The loss is compared as a share of itself, or
of 1. Exit code 1 if one is above 1e-10 (f64), 4e-5 (f32) or 2e-4 (f32 at a factor of 100, where
logits of 100 have 2^-17 between them).
"""
import json
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file


def plain(image, text, scale, bias, labels):
    """The loss and its gradients, from the definition."""
    image, text = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (image, text))
    s, b = (torch.tensor(float(x or 0), dtype=torch.float64, requires_grad=True)
            for x in (scale, bias))
    norm = torch.nn.functional.normalize
    x = s * norm(image, dim=1) @ norm(text, dim=1).T
    labels = torch.arange(len(x)) if labels is None else torch.tensor(labels)
    same = (labels[:, None] == labels[None, :]).double()
    if bias is None:
        target = same / same.sum(1, keepdim=True)
        loss = -((target * x.log_softmax(1)).sum(1) + (target * x.log_softmax(0)).sum(0)).mean() / 2
    else:
        loss = -torch.nn.functional.logsigmoid((2 * same - 1) * (x + b)).sum() / len(x)
    loss.backward()
    return {"loss": loss.detach(), "grad.image_features": image.grad,
            "grad.text_features": text.grad, "grad.logit_scale": s.grad,
            "grad.logit_bias": b.grad}


def ours(program, folder, image, text, scale, bias, labels, tile):
    np.save(f"{folder}/i.npy", image)
    np.save(f"{folder}/t.npy", text)
    line = [program, "loss", "--image-features", f"{folder}/i.npy",
            "--text-features", f"{folder}/t.npy", "--logit-scale", str(scale),
            "--tile", str(tile), "--dump", f"{folder}/out.safetensors", "--json"]
    if bias is not None:
        line += ["--loss", "sigmoid", "--logit-bias", str(bias)]
    if labels is not None:
        np.save(f"{folder}/l.npy", labels)
        line += ["--labels", f"{folder}/l.npy"]
    json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return load_file(f"{folder}/out.safetensors")


def difference(got, want, least):
    got, want = np.asarray(got, np.float64), want.numpy()
    return np.abs(got - want).max() / max(np.abs(want).max(), least)


def least_of(name, image, text, scale):
    """Below which a tensor is rounding: see above."""
    if not name.endswith("features"):
        return 1
    rows = image if "image" in name else text
    return scale / len(rows) / np.linalg.norm(rows.astype(np.float64), axis=1).max()


def cases(rng):
    def draw(n, d=32):
        return rng.standard_normal((n, d)), rng.standard_normal((n, d))
    for n in (2, 3, 10, 65, 257, 1000, 5000):
        yield f"{n} pairs", *draw(n), 14.3, None, None
    image, text = draw(300)
    text[100:200] = text[:100]
    yield "captions that repeat", image, text, 14.3, None, None
    shared = np.r_[0:100, 0:100, 200:300]
    yield "... which are right for each other", image, text, 14.3, None, shared
    far = np.float64(4096) ** rng.integers(-1, 2, (300, 1))
    yield "rows 4,096 times longer or shorter", image * far, text / far, 14.3, None, None
    yield "a factor of 100", image, text, 100, None, None
    yield "a factor of 100 and pairs that fit", image, image + 0.1 * text, 100, None, None
    yield "all features alike", np.ones((70, 8)), np.ones((70, 8)), 14.3, None, None
    yield "sigmoid", image, text, 10, -10, None
    yield "sigmoid, with labels", image, text, 10, -10, rng.integers(0, 50, 300)
    yield "sigmoid, a factor of 100", image, text, 100, -10, None


def main():
    program, worst_of_all = sys.argv[1], False
    print(f"torch {torch.__version__}; largest differences      f64       f32")
    with tempfile.TemporaryDirectory() as folder:
        for what, image, text, scale, bias, labels in cases(np.random.default_rng(0)):
            worst = {}
            for dtype in (np.float64, np.float32):
                i, t = image.astype(dtype), text.astype(dtype)
                want = plain(i.astype(np.float64), t.astype(np.float64), scale, bias, labels)
                tiles = {1, 7, 64, len(i)} if len(i) <= 300 else {64, 1024, len(i)}
                worst[dtype] = max(
                    difference(x, want[name], least_of(name, i, t, scale)) for tile in tiles
                    for name, x in ours(program, folder, i, t, scale, bias, labels, tile).items())
            bound = 2e-4 if scale >= 100 else 4e-5
            bad = worst[np.float64] > 1e-10 or worst[np.float32] > bound
            worst_of_all = worst_of_all or bad
            print(f"{what:40} {worst[np.float64]:9.1e} {worst[np.float32]:9.1e}",
                  "TOO LARGE" if bad else "")
    return int(worst_of_all)


if __name__ == "__main__":
    sys.exit(main())
