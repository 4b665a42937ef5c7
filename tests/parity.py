#!/usr/bin/env python3
# tests/parity.py — full-size models of open_clip and Hugging Face against ours, from file to
# features.
#
#   make parity                        # makes the environment this needs
#   python tests/parity.py [DIPTYCH]   # where open_clip, transformers and ftfy are installed
#
# Builds RN50, ViT-B-32 and ViT-B-16 with random weights that f16 represents, saves each in every
# kind of file that the original libraries write, and lets `diptych embed` encode the same pictures
# and captions. Prints the largest difference of features of length one, parameter counts, and the
# time of both. Exit 1 if a difference is above 2e-4 or a count is not exact.
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import open_clip
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

LIMIT = 2e-4
MODELS = ["RN50", "ViT-B-32", "ViT-B-16"]
PRESETS = ["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64", "ViT-B-32", "ViT-B-16", "ViT-L-14",
           "ViT-L-14-336"]
CAPTIONS = ["a diagram", "a photo of a dog.", "Eine Katze schläft &amp; träumt", "日本語の説明文",
            "two 👩‍🚀 on the moon, 1969", "“quotes” and ﬁne print", "  spaces   everywhere ",
            "a very long caption that goes on " * 3]
DIPTYCH = sys.argv[1] if len(sys.argv) > 1 else "build/diptych"


def make_pictures(folder):
    """Smooth colours and hard edges, portrait and landscape, PNG and JPEG."""
    rng = np.random.default_rng(0)
    paths = []
    for i, (width, height) in enumerate([(224, 224), (301, 197), (97, 640), (1023, 333), (64, 65),
                                         (500, 375), (333, 500), (225, 223)]):
        small = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        picture = np.array(Image.fromarray(small).resize((width, height), Image.BICUBIC))
        picture[height // 3:height // 2, width // 4:width // 2] = rng.integers(0, 256, 3)
        paths.append(os.path.join(folder, f"{i}.{'png' if i % 2 else 'jpg'}"))
        Image.fromarray(picture).save(paths[-1])
    return paths


def ours(model, folder, *inputs):
    out = os.path.join(folder, "features.npy")
    command = [DIPTYCH, "embed", "--model", model, "--out", out, "--normalize", *inputs]
    subprocess.run(command, check=True, capture_output=True)
    return np.load(out)


def normalised(x):
    return (x / x.norm(dim=-1, keepdim=True)).detach().numpy()


@torch.no_grad()
def randomise(model, pixels):
    """Weights that f16 holds exactly; batch norms with the statistics of real activations."""
    for name, p in model.named_parameters():
        if ".bn" in name or "downsample.1" in name:
            p.add_(0.2 * torch.randn(p.shape))
        if "bn3.weight" in name:
            p.add_(0.5)  # residual branches count
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    model.train()
    model.encode_image(pixels)
    model.eval()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())


def open_clip_files(model, name, folder):
    """(kind, path, further flags) of every way to save an open_clip model."""
    repository = os.path.join(folder, "open_clip")
    os.makedirs(repository)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, os.path.join(repository, "open_clip_model.safetensors"))
    config = open_clip.get_model_config(name + "-quickgelu")
    with open(os.path.join(repository, "open_clip_config.json"), "w") as file:
        json.dump({"model_cfg": config, "preprocess_cfg": {}}, file)
    state_dict, script = os.path.join(folder, "state.pt"), os.path.join(folder, "script.pt")
    torch.save({"epoch": 1, "state_dict": {"module." + key: v for key, v in state.items()}},
               state_dict)
    torch.jit.script(model).half().save(script)
    model.float()
    return [("open_clip folder", repository, []),
            ("state dict .pt", state_dict, ["--activation", "quick_gelu"]),
            ("TorchScript .pt, f16", script, [])]


def hugging_face_model(name):
    config = json.loads(subprocess.run([DIPTYCH, "info", name, "--json"], check=True,
                                       capture_output=True).stdout)["config"]
    def tower(part):
        return {"hidden_size": part["width"], "num_hidden_layers": part["layers"],
                "num_attention_heads": part["heads"], "intermediate_size": part["mlp_width"]}
    vision, text = config["vision"], config["text"]
    return transformers.CLIPModel(transformers.CLIPConfig(
        projection_dim=config["embed_dim"], text_config=tower(text) | {"eos_token_id": 49407},
        vision_config=tower(vision) | {"patch_size": vision["patch_size"]})).eval()


def timed(f):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def our_time(name, batch):
    text = subprocess.run([DIPTYCH, "bench", "infer", "--model", name, "--batch-size", str(batch),
                           "--steps", "3", "--json"], check=True, capture_output=True).stdout
    return json.loads(text)["step_ms"] / 1e3


class Report:
    failed = False

    def row(self, model, kind, image, text):
        worst = max(image, text)
        self.failed |= not worst <= LIMIT
        verdict = "" if worst <= LIMIT else "  FAILED"
        print(f"{model:<10} {kind:<22} {image:10.1e} {text:10.1e}{verdict}", flush=True)

    def compare(self, model, kind, path, flags, pictures, captions, want, folder):
        image = ours(path, folder, *flags, "--images", *pictures)
        text = ours(path, folder, *flags, "--texts", captions, "--truncate")
        self.row(model, kind, np.abs(image - want[0]).max(), np.abs(text - want[1]).max())


def check_model(name, pictures, captions, report, speeds):
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms(name + "-quickgelu")
    pixels = torch.stack([preprocess(Image.open(path)) for path in pictures])
    tokens = open_clip.get_tokenizer(name)(CAPTIONS)
    randomise(model, pixels)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        want = normalised(model.encode_image(pixels)), normalised(model.encode_text(tokens))
        for kind, path, flags in open_clip_files(model, name, folder):
            report.compare(name, kind, path, flags, pictures, captions, want, folder)
        theirs = timed(lambda: (model.encode_image(pixels), model.encode_text(tokens)))
        speeds.append((name, len(pictures), theirs, our_time(name, len(pictures))))
        if not name.startswith("RN"):
            check_hugging_face(name, pixels, tokens, pictures, captions, report, folder)


def hugging_face_features(model, pixels, tokens):
    return (normalised(model.get_image_features(pixels)),
            normalised(model.get_text_features(tokens)))


def check_hugging_face(name, pixels, tokens, pictures, captions, report, folder):
    model, path = hugging_face_model(name), os.path.join(folder, "hf")
    model.save_pretrained(path, safe_serialization=True)
    want = hugging_face_features(model, pixels, tokens)
    report.compare(name, "Hugging Face folder", path, [], pictures, captions, want, folder)
    # And back: what we write is what transformers reads.
    again = os.path.join(folder, "again")
    subprocess.run([DIPTYCH, "convert", path, again, "--to", "huggingface"], check=True,
                   capture_output=True)
    copy = transformers.CLIPModel.from_pretrained(again).eval()
    got = hugging_face_features(copy, pixels, tokens)
    report.row(name, "… converted, read there", *[np.abs(a - b).max() for a, b in zip(got, want)])


def check_counts(report):
    print("\nparameters      open_clip           ours")
    for name in PRESETS:
        model = open_clip.create_model(name)
        theirs = sum(p.numel() for p in model.parameters())
        del model
        info = subprocess.run([DIPTYCH, "info", name, "--json"], check=True, capture_output=True)
        count = json.loads(info.stdout)["parameters"]
        report.failed |= count != theirs
        verdict = "" if count == theirs else "FAILED"
        print(f"{name:<13} {theirs:>12} {count:>14} {verdict}", flush=True)


def main():
    print(f"open_clip {open_clip.version.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}: largest difference of normalised features\n"
          f"{'model':<10} {'file':<22} {'pictures':>10} {'captions':>10}", flush=True)
    report, speeds = Report(), []
    with tempfile.TemporaryDirectory() as folder:
        pictures, captions = make_pictures(folder), os.path.join(folder, "captions.txt")
        with open(captions, "w") as file:
            file.write("\n".join(CAPTIONS) + "\n")
        for name in MODELS:
            check_model(name, pictures, captions, report, speeds)
    print("\nseconds for 8 pictures and 8 captions of 77 tokens: open_clip, ours")
    for name, _, theirs, mine in speeds:
        print(f"{name:<10} {theirs:8.3f} {mine:8.3f}   {theirs / mine:.2f} x")
    check_counts(report)
    print("FAILED" if report.failed else "all within the limit, all counts exact")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
