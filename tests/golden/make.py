#!/usr/bin/python3
# tests/golden/make.py — regenerates the golden files of tiny CLIPs, with open_clip as the oracle.
#
#   python3 -m venv --system-site-packages oracle    # sees Debian's python3-torch, -torchvision
#   oracle/bin/pip install open_clip_torch==2.24.0 timm==0.9.16 ftfy regex
#   oracle/bin/python tests/golden/make.py
#
# Weights and pixels are numbers that f32 (the ResNet's: f16) represents. Everything is computed in
# f64 from them and rounded to f32 once, when written: the expected values are the truth to f32
# precision, not another f32 program's rounding errors.
import copy
import json
import math
import os
import struct

import numpy as np
import open_clip
import torch
import torch.nn.functional as F

TEXT = {"context_length": 12, "vocab_size": 64, "width": 20, "heads": 2, "layers": 2}
VIT = {
    "embed_dim": 24, "quick_gelu": True, "text_cfg": TEXT,
    "vision_cfg": {"image_size": 24, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
}
RESNET = {
    "embed_dim": 24, "quick_gelu": True, "text_cfg": TEXT,
    "vision_cfg": {"image_size": 64, "width": 4, "head_width": 32, "layers": [1, 2, 1, 1]},
}
ADAMW = {
    "lr": 1e-3, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "weight_decay": 0.2, "steps": 10,
    "decayed": "parameters with ndim >= 2; the others, logit_scale among them, have weight decay 0",
    "logit_scale": "clamped to [0, ln 100] after each step",
    "losses": "losses[k] is the loss before step k + 1: losses[0] belongs to the given weights",
}
LENGTHS = [3, 5, 8, 11, 12]  # of the captions, start and end token included
VERSIONS = {"open_clip": open_clip.version.__version__, "torch": torch.__version__,
            "numpy": np.__version__}
HERE = os.path.dirname(os.path.abspath(__file__))


def stored_as(value, half):
    if value.is_floating_point():
        return ("F16", "<f2") if half else ("F32", "<f4")
    return "I64", "<i8"


def write_safetensors(name, tensors, metadata, half=()):
    """u64 length, JSON header padded to 8 bytes, data; floats as F32, those named in half as F16,
    integers as I64."""
    header = {"__metadata__": {key: json.dumps(value) for key, value in metadata.items()}}
    blobs, end = [], 0
    order = {"I64": 0, "F32": 1, "F16": 2}  # aligned
    in_order = sorted(tensors.items(),
                      key=lambda item: order[stored_as(item[1], item[0] in half)[0]])
    for key, value in in_order:
        dtype, store = stored_as(value, key in half)
        blob = value.detach().numpy().astype(store).tobytes()
        begin, end = end, end + len(blob)
        header[key] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [begin, end]}
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{name}: {len(tensors)} tensors, {8 + len(text) + end} bytes")


def file_config(config):
    """The configuration as the model files of this project store it: clip/config.h."""
    vision, text = dict(config["vision_cfg"]), dict(config["text_cfg"])
    head_width = vision.pop("head_width")
    if "patch_size" in vision:
        vision |= {"type": "vit", "heads": vision["width"] // head_width,
                   "mlp_width": 4 * vision["width"]}
    else:
        vision |= {"type": "resnet", "heads": 32 * vision["width"] // head_width}
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    return {
        "embed_dim": config["embed_dim"],
        "vision": vision | {"channels": 3},
        "text": text | {"mlp_width": 4 * text["width"]},
        "activation": "quick_gelu" if config["quick_gelu"] else "gelu",
        "layer_norm_eps": 1e-5,
        "preprocess": {"mean": mean, "std": std, "resize_mode": "shortest",
                       "training_crop": "resized"},
    }


def forward(model, pixels, tokens):
    image, text = model.encode_image(pixels), model.encode_text(tokens)
    logits = model.logit_scale.exp() * F.normalize(image) @ F.normalize(text).T
    target = torch.arange(len(logits))
    loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    return {"image_features": image, "text_features": text,
            "logits_per_image": logits, "loss": loss}


def is_norm(name):
    return ".ln_" in "." + name or ".bn" in "." + name or "downsample.1" in name


def random_value(name, p, noise):
    """No parameter keeps a value that could hide a mistake: no zero bias, no unit gain."""
    if name == "logit_scale":
        return torch.tensor(math.log(1 / 0.07))
    if is_norm(name):
        return 1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise
    if p.ndim == 1:
        return (0.5 if name.endswith("embedding") else 0.1) * noise
    if name.endswith("embedding") or name.startswith("token_embedding"):
        return 0.5 * noise
    # a matrix (out, in), or (in, out) for the projections: unit gain
    fan_in = p.shape[0] if name.endswith(("proj", "projection")) else p[0].numel()
    return noise / math.sqrt(fan_in)


@torch.no_grad()
def randomise(model, generator, rounded):
    for name, p in model.named_parameters():
        p.copy_(rounded(random_value(name, p, torch.randn(p.shape, generator=generator))))
    for name, b in model.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(rounded(0.3 * torch.randn(b.shape, generator=generator)))
        if name.endswith("running_var"):
            b.copy_(rounded(0.5 + torch.rand(b.shape, generator=generator)))
        if name.endswith("num_batches_tracked"):
            b.fill_(7)


def make_batch(config, generator, rounded):
    size, text = config["vision_cfg"]["image_size"], config["text_cfg"]
    pixels = rounded(torch.randn(len(LENGTHS), 3, size, size, generator=generator))
    tokens = torch.zeros(len(LENGTHS), text["context_length"], dtype=torch.int64)
    for row, length in zip(tokens, LENGTHS):
        row[0], row[length - 1] = text["vocab_size"] - 2, text["vocab_size"] - 1
        row[1:length - 1] = torch.randint(1, text["vocab_size"] - 2, (length - 2,),
                                          generator=generator)
    return pixels, tokens


def state(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()
            if name != "attn_mask"}


def adamw_losses(model, batch):
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": ADAMW["weight_decay"]},
              {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=ADAMW["lr"], eps=ADAMW["eps"],
                                  betas=(ADAMW["beta1"], ADAMW["beta2"]))
    losses = []
    for _ in range(ADAMW["steps"]):
        optimizer.zero_grad()
        loss = forward(model, *batch)["loss"]
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
    return torch.tensor(losses)


def schedule(base_lr, warmup, total):
    """open_clip's cosine schedule with linear warm-up (open_clip_train/scheduler.py)."""
    def lr(step):
        if step < warmup:
            return base_lr * (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) * base_lr
    values = [lr(step) for step in range(total)]
    return {"base_lr": base_lr, "warmup": warmup, "total": total, "lr": values}


def build(config, generator, rounded):
    model = open_clip.model.CLIP(**config).double()
    randomise(model, generator, rounded)
    return model, make_batch(config, generator, rounded)


def about(config):
    return {"config": file_config(config), "versions": VERSIONS,
            "generator": "tests/golden/make.py", "computed_in": "f64, stored as f32"}


def gradients(model):
    return {"grad." + name: p.grad for name, p in model.named_parameters()}


def resized_positions(model, image_size):
    """The model's positions for pictures of another size, by open_clip's resize_pos_embed."""
    vision = VIT["vision_cfg"] | {"image_size": image_size}
    larger = open_clip.model.CLIP(**(VIT | {"vision_cfg": vision})).double()
    tensors = state(model)
    open_clip.model.resize_pos_embed(tensors, larger)
    return tensors["visual.positional_embedding"]


def write_vit(generator):
    model, batch = build(VIT, generator, lambda x: x.float().double())
    write_safetensors("tiny_clip.safetensors", state(model), about(VIT))
    out = forward(model, *batch)
    out["loss"].backward()
    write_safetensors("tiny_clip_grads.safetensors", gradients(model), about(VIT))
    resized = {f"positions.{size}": resized_positions(model, size) for size in (16, 56)}
    losses = adamw_losses(model, batch)
    expected = {"pixels": batch[0], "tokens": batch[1], **out, "adamw.losses": losses, **resized}
    write_safetensors("tiny_clip_expected.safetensors", expected, {**about(VIT), "adamw": ADAMW})
    print("loss", out["loss"].item(), "then", losses.tolist())


def distance_from_kinks(model, pixels):
    """The smallest input of a ReLU. At zero its derivative jumps, so an input that f32 rounds to
    the other side makes gradients incomparable."""
    distances = []
    hooks = [module.register_forward_pre_hook(lambda _, x: distances.append(x[0].abs().min()))
             for module in model.modules() if isinstance(module, torch.nn.ReLU)]
    with torch.no_grad():
        copy.deepcopy(model).train().encode_image(pixels)
    for hook in hooks:
        hook.remove()
    return min(distances).item()


def build_off_kinks(generator):
    while True:
        model, batch = build(RESNET, generator, lambda x: x.half().double())
        if distance_from_kinks(model, batch[0]) > 2e-5:
            return model, batch


def write_resnet(generator):
    model, batch = build_off_kinks(generator)
    weights = state(model)
    halves = [name for name in weights if name != "logit_scale"]
    write_safetensors("tiny_resnet.safetensors", weights, about(RESNET), halves)
    with torch.no_grad():
        evaluated = model.eval().encode_image(batch[0])
    out = forward(model.train(), *batch)  # batch statistics, and running ones that follow
    out["loss"].backward()
    running = {"after." + name: value for name, value in model.named_buffers() if "bn" in name
               or "downsample" in name}
    write_safetensors("tiny_resnet_grads.safetensors", gradients(model), about(RESNET))
    expected = {"pixels": batch[0], "tokens": batch[1], "eval.image_features": evaluated, **out,
                **running}
    write_safetensors("tiny_resnet_expected.safetensors", expected, about(RESNET), ["pixels"])
    print("loss", out["loss"].item())


def write_script(generator):
    """Heads of 64, f16 and TorchScript, as OpenAI's files; so its sizes can be inferred."""
    text = TEXT | {"width": 64, "heads": 1, "layers": 1}
    vision = VIT["vision_cfg"] | {"width": 64, "head_width": 64, "layers": 1}
    config = VIT | {"text_cfg": text, "vision_cfg": vision}
    model, batch = build(config, generator, lambda x: x.half().double())
    expected = {"pixels": batch[0], "tokens": batch[1]}
    with torch.no_grad():
        out = forward(model.eval(), *batch)
    expected |= {key: out[key] for key in ("image_features", "text_features")}
    torch.jit.script(model.half()).save(os.path.join(HERE, "tiny_script.pt"))
    write_safetensors("tiny_script_expected.safetensors", expected, about(config), ["pixels"])


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(20210226)
    write_vit(generator)
    write_resnet(generator)
    write_script(generator)
    with open(os.path.join(HERE, "schedule.json"), "w") as file:
        json.dump(schedule(5e-4, 10, 100), file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
