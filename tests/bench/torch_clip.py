#!/usr/bin/env python3
# tests/bench/torch_clip.py — the peer: a CLIP training step, or inference, in PyTorch.
#
#   torch_clip.py --model ViT-B-32 --batch-size 16 --steps 3 [--infer --part image] [--threads 2]
#                 [--device cuda] [--precision fp32|tf32|bf16] [--compile] [--warm-up 1]
#
# Prints one JSON object with the keys of `diptych bench`. Text is computed at the full length of
# --text-length, as eager training code does. bf16 is autocast, with parameters in f32.
import argparse
import json
import math
import os
import resource
import statistics
import time

# Faster where BLAS has a thread pool of its own.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
import torch
import torch.nn as nn
import torch.nn.functional as F


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width, heads, mask=None):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.register_buffer("mask", mask, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(),
                                 nn.Linear(4 * width, width))

    def forward(self, x):
        y = self.ln1(x)
        # On a GPU the fastest attention is the one that knows of no mask but the causal one.
        causal = {"is_causal": True} if x.is_cuda and self.mask is not None else {}
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=self.mask, **causal)[0]
        return x + self.mlp(self.ln2(x))


class ViT(nn.Module):
    def __init__(self, size, patch, width, layers, heads, embed_dim, channels):
        super().__init__()
        tokens = (size // patch) ** 2 + 1
        self.conv = nn.Conv2d(channels, width, patch, patch, bias=False)
        self.cls = nn.Parameter(torch.randn(width) * width ** -0.5)
        self.pos = nn.Parameter(torch.randn(tokens, width) * width ** -0.5)
        self.pre, self.post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width ** -0.5)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])

    def forward(self, x):
        x = self.conv(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([self.cls.expand(x.shape[0], 1, -1), x], 1) + self.pos
        x = self.blocks(self.pre(x).permute(1, 0, 2)).permute(1, 0, 2)
        return self.post(x[:, 0]) @ self.proj


def conv_norm(n_in, n_out, kernel, stride=1):
    return [nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out)]


class Bottleneck(nn.Module):
    def __init__(self, n_in, width, stride):
        super().__init__()
        pool = [nn.AvgPool2d(stride)] if stride > 1 else []
        self.body = nn.Sequential(*conv_norm(n_in, width, 1), nn.ReLU(True),
                                  *conv_norm(width, width, 3), nn.ReLU(True), *pool,
                                  *conv_norm(width, 4 * width, 1))
        direct = stride == 1 and n_in == 4 * width
        self.shortcut = nn.Sequential(*([] if direct else pool + conv_norm(n_in, 4 * width, 1)))

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, size, width, layers, embed_dim):
        super().__init__()
        stem = [*conv_norm(3, width // 2, 3, 2), nn.ReLU(True),
                *conv_norm(width // 2, width // 2, 3), nn.ReLU(True),
                *conv_norm(width // 2, width, 3), nn.ReLU(True), nn.AvgPool2d(2)]
        blocks, n_in = [], width
        for stage, count in enumerate(layers):
            for i in range(count):
                blocks.append(Bottleneck(n_in, width << stage, 2 if stage and i == 0 else 1))
                n_in = 4 * (width << stage)
        self.body, self.heads = nn.Sequential(*stem, *blocks), n_in // 64
        self.pos = nn.Parameter(torch.randn((size // 32) ** 2 + 1, n_in) * n_in ** -0.5)
        self.q, self.k, self.v = (nn.Linear(n_in, n_in) for _ in range(3))
        self.out = nn.Linear(n_in, embed_dim)

    def forward(self, x):
        x = self.body(x).flatten(2).permute(0, 2, 1)
        x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.pos
        B, T, D = x.shape
        q, k, v = (f(y).view(B, -1, self.heads, 64).transpose(1, 2)
                   for f, y in ((self.q, x[:, :1]), (self.k, x), (self.v, x)))
        weights = (q @ k.transpose(2, 3) / 8).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(B, D))


class Text(nn.Module):
    def __init__(self, vocab, context, width, layers, heads, embed_dim):
        super().__init__()
        self.emb = nn.Embedding(vocab, width)
        self.pos = nn.Parameter(torch.randn(context, width) * 0.01)
        mask = torch.full((context, context), float("-inf")).triu(1)
        self.blocks = nn.Sequential(*[Block(width, heads, mask) for _ in range(layers)])
        self.ln = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width ** -0.5)
        nn.init.normal_(self.emb.weight, std=0.02)

    def forward(self, t):
        x = self.blocks((self.emb(t) + self.pos).permute(1, 0, 2)).permute(1, 0, 2)
        return self.ln(x)[torch.arange(x.shape[0]), t.argmax(-1)] @ self.proj


class CLIP(nn.Module):
    def __init__(self, image, text):
        super().__init__()
        self.image, self.text = image, text
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, image, text):
        image, text = F.normalize(self.image(image), dim=-1), F.normalize(self.text(text), dim=-1)
        return self.scale.exp() * image @ text.t()


# ViT: size, patch, width, layers, heads, channels; ResNet: size, width, blocks; text: vocabulary,
# context, width, layers, heads; embedding
MODELS = {
    "tiny": ((28, 7, 96, 4, 3, 1), (512, 16, 96, 3, 3), 96),
    "small": ((64, 8, 192, 6, 3, 3), (2048, 32, 192, 4, 3), 192),
    "ViT-B-32": ((224, 32, 768, 12, 12, 3), (49408, 77, 512, 12, 8), 512),
    "ViT-L-14": ((224, 14, 1024, 24, 16, 3), (49408, 77, 768, 12, 12), 768),
    "RN50": ((224, 64, (3, 4, 6, 3)), (49408, 77, 512, 12, 8), 1024),
}


def build(name, context):
    vision, text, embed_dim = MODELS[name]
    if len(vision) == 3:
        image, channels = ResNet(*vision, embed_dim), 3
    else:
        *sizes, channels = vision
        image = ViT(*sizes, embed_dim, channels)
    vocab, length, *rest = text
    length = context or length
    model = CLIP(image, Text(vocab, length, *rest, embed_dim))
    return model, (channels, vision[0], vision[0]), vocab, length


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="ViT-B-32", choices=MODELS)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--infer", action="store_true")
    parser.add_argument("--part", default="pair", choices=["pair", "image", "text"])
    parser.add_argument("--text-length", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--warm-up", type=int, default=1)
    flags = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(flags.threads)
    # PyTorch's own default is TF32 for convolutions alone.
    torch.backends.cuda.matmul.allow_tf32 = flags.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = flags.precision == "tf32"
    model, shape, vocab, length = build(flags.model, flags.text_length)
    model.to(flags.device)
    B, on_gpu = flags.batch_size, flags.device == "cuda"
    image = torch.randn(B, *shape, device=flags.device)
    text = torch.randint(0, vocab, (B, length), device=flags.device)
    target = torch.arange(B, device=flags.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.2,
                                  **({"fused": True} if on_gpu else {}))
    forward = torch.compile(model) if flags.compile else model

    def cast():
        return torch.autocast(flags.device, torch.bfloat16, enabled=flags.precision == "bf16")

    def train():
        with cast():
            logits = forward(image, text)
        logits = logits.float()
        loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def infer():
        with torch.no_grad(), cast():
            {"pair": lambda: forward(image, text), "image": lambda: model.image(image),
             "text": lambda: model.text(text)}[flags.part]()

    model.train(not flags.infer)
    times = []
    for _ in range(flags.warm_up + flags.steps):
        start = time.perf_counter()
        infer() if flags.infer else train()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    step = statistics.median(times[flags.warm_up:])
    memory = {"peak_device_mib": torch.cuda.max_memory_allocated() >> 20} if on_gpu else {}
    print(json.dumps({
        "peer": "torch " + torch.__version__, "device": flags.device,
        "precision": flags.precision, "compiled": flags.compile, **memory,
        "step_ms": 1e3 * step, "pairs_per_second": B / step,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))


if __name__ == "__main__":
    main()
