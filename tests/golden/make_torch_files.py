#!/usr/bin/python3
# tests/golden/make_torch_files.py — writes the files of PyTorch that the tests read, and what is in
# them.
#
# torch_state_dict.pt   torch.save of a state dict in a training checkpoint: every dtype, views,
#                       shared storages, a parameter, an optimizer
# torch_script.pt       torch.jit.save of a scripted module: nested modules, buffers, attributes
# torch_script_half.pt  the same, traced and in half precision, as OpenAI's files are
# torch_files.safetensors  the tensors of each as contiguous copies, "<file>/<name>"
import json
import pathlib
import struct

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
          torch.int64: "I64", torch.uint8: "U8"}
WIDENED = {torch.int32: torch.int64, torch.int16: torch.int64, torch.int8: torch.int64,
           torch.bool: torch.uint8}


def numbers(count, dtype=torch.float32):
    return (torch.arange(count) * 3 - 7).to(dtype) / (4 if dtype.is_floating_point else 1)


def state_dict():
    base = numbers(24)
    return {
        "f32": numbers(6).view(2, 3), "f64": numbers(3, torch.float64),
        "f16": numbers(5, torch.float16), "bf16": numbers(4, torch.bfloat16),
        "i64": (numbers(3) * 4).long(), "i32": (numbers(3) * 4).int(),
        "i16": (numbers(3) * 4).short(), "i8": (numbers(3) * 4).to(torch.int8),
        "u8": torch.tensor([0, 7, 255], dtype=torch.uint8), "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5), "empty": torch.empty(0, 3),
        "transposed": base.view(4, 6).t(), "slice": base.view(4, 6)[1:3, 2:5], "tail": base[20:],
        "expanded": torch.tensor([1.5]).expand(1, 1), "strided": base[1::5],
        "parameter": nn.Parameter(torch.ones(2)),
    }


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.in_proj_weight = nn.Parameter(numbers(6).view(2, 3))
        self.register_buffer("steps", torch.tensor([1, 2]))
        self.scale, self.names, self.sizes, self.nothing = 0.5, ["a", "b"], {"a": 1}, None

    def forward(self, x):
        return x @ self.in_proj_weight.t() * self.scale


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Attention(), nn.Linear(2, 3), Attention())
        self.proj = nn.Parameter(numbers(6).view(3, 2).t())
        self.tied = self.blocks[1].weight
        self.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
        with torch.no_grad():
            for i, parameter in enumerate(self.blocks[1].parameters()):
                parameter.copy_(numbers(parameter.numel()).view(parameter.shape) + i)

    def forward(self, x):
        return self.blocks(x) @ self.proj


def write_expected(path, files):
    header, blobs, end = {"__metadata__": {"torch": torch.__version__}}, [], 0
    for file, tensors in files.items():
        for name, value in tensors.items():
            value = value.detach().to(WIDENED.get(value.dtype, value.dtype)).contiguous()
            raw = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
            blob = raw.numpy().tobytes()
            header[f"{file}/{name}"] = {"dtype": DTYPES[value.dtype], "shape": list(value.shape),
                                        "data_offsets": [end, end + len(blob)]}
            blobs.append(blob)
            end += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


if __name__ == "__main__":
    state, tower = state_dict(), Tower().eval()
    optimizer = torch.optim.AdamW(tower.parameters())
    tower(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "name": "tiny", "optimizer": optimizer.state_dict(),
                "state_dict": state}, HERE / "torch_state_dict.pt")
    torch.jit.script(tower).save(str(HERE / "torch_script.pt"))
    torch.jit.trace(tower.half().float(), torch.ones(1, 3)).half().save(
        str(HERE / "torch_script_half.pt"))
    files = {"torch_state_dict.pt": state}
    for name in ("torch_script.pt", "torch_script_half.pt"):
        files[name] = torch.jit.load(str(HERE / name)).state_dict()
    write_expected(HERE / "torch_files.safetensors", files)
    for path in sorted(HERE.glob("torch_*")):
        print(f"{path.name}: {path.stat().st_size} bytes")
