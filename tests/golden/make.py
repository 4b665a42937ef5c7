#!/usr/bin/python3
# tests/golden/make.py — regenerates the golden files: a tiny CLIP in plain PyTorch.
#
# An independent implementation of openai/CLIP (clip/model.py): pre-LN transformers, QuickGELU,
# LayerNorm eps 1e-5, ViT with ln_pre, CLS token, ln_post and proj; a causal text tower pooled at
# argmax(tokens); L2-normalised features, exp(logit_scale), symmetric cross-entropy. Parameters
# carry OpenAI's names.
#
# Weights and pixels are f32 numbers. Everything is computed in f64 from them and rounded to f32
# once, when written: the expected values are the truth to f32 precision, not another f32 program's
# rounding errors.
import json
import math
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CONFIG = {
    "embed_dim": 24,
    "image_size": 24, "patch_size": 8, "vision_width": 32, "vision_layers": 2, "vision_heads": 2,
    "vocab_size": 64, "context_length": 12, "text_width": 20, "text_layers": 2, "text_heads": 2,
    "activation": "quick_gelu", "layer_norm_eps": 1e-5,
}
ADAMW = {
    "lr": 1e-3, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "weight_decay": 0.2, "steps": 10,
    "decayed": "parameters with ndim >= 2; the others, logit_scale among them, have weight decay 0",
    "logit_scale": "clamped to [0, ln 100] after each step",
    "losses": "losses[k] is the loss before step k + 1: losses[0] belongs to the given weights",
}
LENGTHS = [3, 5, 8, 11, 12]  # of the captions, start and end token included
VERSIONS = {"torch": torch.__version__, "numpy": np.__version__}
HERE = os.path.dirname(os.path.abspath(__file__))


def write_safetensors(name, tensors, metadata):
    """u64 length, JSON header padded to 8 bytes, data; floats as F32, integers as I64."""
    header = {"__metadata__": {key: json.dumps(value) for key, value in metadata.items()}}
    blobs, end = [], 0
    in_order = sorted(tensors.items(), key=lambda item: item[1].is_floating_point())  # I64: aligned
    for key, value in in_order:
        dtype, store = ("F32", "<f4") if value.is_floating_point() else ("I64", "<i8")
        blob = value.detach().numpy().astype(store).tobytes()
        begin, end = end, end + len(blob)
        header[key] = {"dtype": dtype, "shape": list(value.shape), "data_offsets": [begin, end]}
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{name}: {len(tensors)} tensors, {8 + len(text) + end} bytes")


def file_config():
    """CONFIG as the model files of this project store it: clip/config.h."""
    def tower(prefix, *keys):
        shape = {key: CONFIG[f"{prefix}_{key}"] for key in ("width", "layers", "heads")}
        return {key: CONFIG[key] for key in keys} | shape

    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    return {
        "embed_dim": CONFIG["embed_dim"],
        "vision": tower("vision", "image_size", "patch_size") | {"channels": 3},
        "text": tower("text", "context_length", "vocab_size"),
        "activation": CONFIG["activation"],
        "layer_norm_eps": CONFIG["layer_norm_eps"],
        "preprocess": {"mean": mean, "std": std},
    }


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """in_proj holds q, k, v one below the other; heads are contiguous slices of each."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, mask):
        B, T, D = x.shape
        depth = D // self.heads
        qkv = (x @ self.in_proj_weight.T + self.in_proj_bias).view(B, T, 3, self.heads, depth)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, depth) each
        scores = q @ k.transpose(-1, -2) / math.sqrt(depth)
        if mask is not None:
            scores = scores + mask
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, D))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=CONFIG["layer_norm_eps"])
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, eps=CONFIG["layer_norm_eps"])
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))

    def forward(self, x, mask):
        x = x + self.attn(self.ln_1(x), mask)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, width, layers, heads):
        super().__init__()
        self.resblocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])

    def forward(self, x, mask=None):
        for block in self.resblocks:
            x = block(x, mask)
        return x


class VisionTransformer(nn.Module):
    def __init__(self, image_size, patch_size, width, layers, heads, embed_dim):
        super().__init__()
        patches = (image_size // patch_size) ** 2
        self.conv1 = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(patches + 1, width))
        self.ln_pre = nn.LayerNorm(width, eps=CONFIG["layer_norm_eps"])
        self.transformer = Transformer(width, layers, heads)
        self.ln_post = nn.LayerNorm(width, eps=CONFIG["layer_norm_eps"])
        self.proj = nn.Parameter(torch.empty(width, embed_dim))

    def forward(self, pixels):
        x = self.conv1(pixels).flatten(2).transpose(1, 2)  # (B, patches, D)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj


class CLIP(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.visual = VisionTransformer(c["image_size"], c["patch_size"], c["vision_width"],
                                        c["vision_layers"], c["vision_heads"], c["embed_dim"])
        self.token_embedding = nn.Embedding(c["vocab_size"], c["text_width"])
        self.positional_embedding = nn.Parameter(torch.empty(c["context_length"], c["text_width"]))
        self.transformer = Transformer(c["text_width"], c["text_layers"], c["text_heads"])
        self.ln_final = nn.LayerNorm(c["text_width"], eps=c["layer_norm_eps"])
        self.text_projection = nn.Parameter(torch.empty(c["text_width"], c["embed_dim"]))
        self.logit_scale = nn.Parameter(torch.empty([]))

    def encode_text(self, tokens):
        T = tokens.shape[1]
        mask = torch.full((T, T), -math.inf).triu(1)
        x = self.transformer(self.token_embedding(tokens) + self.positional_embedding[:T], mask)
        end = tokens.argmax(-1)  # the end token has the largest id
        return self.ln_final(x)[torch.arange(len(x)), end] @ self.text_projection

    def forward(self, pixels, tokens):
        image, text = self.visual(pixels), self.encode_text(tokens)
        logits = self.logit_scale.exp() * F.normalize(image) @ F.normalize(text).T
        target = torch.arange(len(logits))
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        return {"image_features": image, "text_features": text,
                "logits_per_image": logits, "loss": loss}


@torch.no_grad()
def randomise(model, generator):
    """No parameter keeps a value that could hide a mistake: no zero bias, no unit gain."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if name == "logit_scale":
            value = torch.tensor(math.log(1 / 0.07))
        elif ".ln_" in "." + name:
            value = 1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise
        elif p.ndim == 1:
            value = (0.5 if name.endswith("embedding") else 0.1) * noise
        elif name.endswith("embedding") or name.startswith("token_embedding"):
            value = 0.5 * noise
        else:  # a matrix (out, in), or (in, out) for the projections: unit gain
            fan_in = p.shape[0] if name.endswith(("proj", "projection")) else p[0].numel()
            value = noise / math.sqrt(fan_in)
        p.copy_(value.float())


def make_batch(generator):
    size, context, vocab = CONFIG["image_size"], CONFIG["context_length"], CONFIG["vocab_size"]
    pixels = torch.randn(len(LENGTHS), 3, size, size, generator=generator).float().double()
    tokens = torch.zeros(len(LENGTHS), context, dtype=torch.int64)
    for row, length in zip(tokens, LENGTHS):
        row[0], row[length - 1] = vocab - 2, vocab - 1
        row[1:length - 1] = torch.randint(1, vocab - 2, (length - 2,), generator=generator)
    return pixels, tokens


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
        loss = model(*batch)["loss"]
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


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(20210226)
    model = CLIP(CONFIG)
    randomise(model, generator)
    batch = make_batch(generator)
    about = {"config": file_config(), "versions": VERSIONS, "generator": "tests/golden/make.py"}
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    write_safetensors("tiny_clip.safetensors", weights, about)

    out = model(*batch)
    out["loss"].backward()
    grads = {"grad." + name: p.grad for name, p in model.named_parameters()}
    about["computed_in"] = "f64, stored as f32"
    write_safetensors("tiny_clip_grads.safetensors", grads, about)

    losses = adamw_losses(model, batch)
    expected = {"pixels": batch[0], "tokens": batch[1], **out, "adamw.losses": losses}
    write_safetensors("tiny_clip_expected.safetensors", expected, {**about, "adamw": ADAMW})
    print("loss", out["loss"].item(), "then", losses.tolist())
    with open(os.path.join(HERE, "schedule.json"), "w") as file:
        json.dump(schedule(5e-4, 10, 100), file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
