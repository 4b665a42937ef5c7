#!/usr/bin/env python3
# tests/parity_step.py — one training step of a full-size model against open_clip's.
#
#   make parity                             # after tests/parity.py
#   python tests/parity_step.py [DIPTYCH]   # where open_clip and transformers are installed
#
# A ViT-B-32 with random weights is saved as OpenAI's, open_clip's and Hugging Face's libraries save
# it. From each file `diptych step` computes loss and gradients of the same pixels and tokens, free
# and with locked towers; open_clip computes them from its own copy. Exit 1 if a loss differs by
# more than 1e-5 or a gradient by more than 1e-4 of its largest value, or if a tensor is missing.
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import open_clip
import torch
import transformers
from safetensors.torch import load_file, save_file

DIPTYCH = sys.argv[1] if len(sys.argv) > 1 else "build/diptych"
NAME, LOSS_LIMIT, GRADIENT_LIMIT = "ViT-B-32", 1e-5, 1e-4
LOCKS = {"free": ([], lambda model: None),
         "image tower locked": (["--lock-image"], lambda model: model.lock_image_tower()),
         "… but for 2 groups": (["--lock-image", "--lock-image-unlocked-groups", "2"],
                                lambda model: model.lock_image_tower(unlocked_groups=2)),
         "text tower locked": (["--lock-text"], lambda model: lock_text(model))}


def lock_text(model):
    """Everything that is neither the image tower's nor the temperature."""
    for name, p in model.named_parameters():
        if not name.startswith("visual.") and name != "logit_scale":
            p.requires_grad = False


def make_batch(context):
    rng = np.random.default_rng(1)
    pixels = rng.standard_normal((6, 3, 224, 224)).astype(np.float32)
    tokens = np.zeros((6, context), np.int64)
    for row, words in zip(tokens, (3, 9, 1, 20, 75, 5)):
        row[:words + 2] = [49406, *rng.integers(1, 49000, words), 49407]
    return pixels, tokens


def hugging_face_state(state, layers):
    """open_clip's names and shapes as transformers' CLIPModel has them."""
    out = {"logit_scale": state["logit_scale"],
           "visual_projection.weight": state["visual.proj"].T,
           "text_projection.weight": state["text_projection"].T,
           "vision_model.embeddings.class_embedding": state["visual.class_embedding"],
           "vision_model.embeddings.patch_embedding.weight": state["visual.conv1.weight"],
           "vision_model.embeddings.position_embedding.weight":
               state["visual.positional_embedding"],
           "text_model.embeddings.token_embedding.weight": state["token_embedding.weight"],
           "text_model.embeddings.position_embedding.weight": state["positional_embedding"]}
    for part in ("weight", "bias"):
        out[f"vision_model.pre_layrnorm.{part}"] = state[f"visual.ln_pre.{part}"]
        out[f"vision_model.post_layernorm.{part}"] = state[f"visual.ln_post.{part}"]
        out[f"text_model.final_layer_norm.{part}"] = state[f"ln_final.{part}"]
    names = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
             "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    for tower, theirs in (("visual.transformer", "vision_model"), ("transformer", "text_model")):
        for i in range(layers):
            block, layer = f"{tower}.resblocks.{i}", f"{theirs}.encoder.layers.{i}"
            for part in ("weight", "bias"):
                for ours, name in names.items():
                    out[f"{layer}.{name}.{part}"] = state[f"{block}.{ours}.{part}"]
                for name, value in zip("qkv", state[f"{block}.attn.in_proj_{part}"].chunk(3)):
                    out[f"{layer}.self_attn.{name}_proj.{part}"] = value
    return {name: value.contiguous() for name, value in out.items()}


def save_hugging_face(state, folder):
    config = transformers.CLIPConfig(
        projection_dim=512,
        text_config={"hidden_size": 512, "num_hidden_layers": 12, "num_attention_heads": 8,
                     "intermediate_size": 2048, "eos_token_id": 49407},
        vision_config={"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                       "intermediate_size": 3072, "patch_size": 32})
    model = transformers.CLIPModel(config)
    missing, unexpected = model.load_state_dict(hugging_face_state(state, 12), strict=False)
    assert not unexpected and all("position_ids" in name for name in missing), (missing, unexpected)
    model.save_pretrained(folder)


def files_of(model, folder):
    """(kind, path, further flags) of the three libraries' files."""
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    repository = os.path.join(folder, "open_clip")
    os.makedirs(repository)
    save_file(state, os.path.join(repository, "open_clip_model.safetensors"))
    with open(os.path.join(repository, "open_clip_config.json"), "w") as file:
        json.dump({"model_cfg": open_clip.get_model_config(NAME + "-quickgelu"),
                   "preprocess_cfg": {}}, file)
    openai = os.path.join(folder, "openai.pt")
    torch.save(state, openai)
    hugging_face = os.path.join(folder, "hugging_face")
    save_hugging_face(state, hugging_face)
    return [("OpenAI", openai, ["--activation", "quick_gelu"]), ("open_clip", repository, []),
            ("Hugging Face", hugging_face, [])]


def their_step(model, pixels, tokens, lock):
    for p in model.parameters():
        p.requires_grad, p.grad = True, None
    lock(model)
    model.train()
    image, text, scale = model(torch.from_numpy(pixels), torch.from_numpy(tokens))
    loss = open_clip.ClipLoss()(image, text, scale)
    loss.backward()
    return loss.item(), {name: p.grad.numpy().copy() for name, p in model.named_parameters()
                         if p.requires_grad}


def our_step(path, flags, folder):
    dump = os.path.join(folder, "dump.safetensors")
    subprocess.run([DIPTYCH, "step", "--model", path, "--pixels", os.path.join(folder, "x.npy"),
                    "--tokens", os.path.join(folder, "t.npy"), "--dump", dump, *flags], check=True,
                   capture_output=True)
    values = {name: value.numpy() for name, value in load_file(dump).items()}
    return float(values["loss"]), {name[5:]: value for name, value in values.items()
                                   if name.startswith("grad.")}


def compare(kind, lock, ours, theirs):
    (loss, gradients), (their_loss, their_gradients) = ours, theirs
    same_names = gradients.keys() == their_gradients.keys()
    worst = max((np.abs(gradients[name] - g).max() / np.abs(g).max(), name)
                for name, g in their_gradients.items()) if same_names else (np.inf, "names differ")
    good = abs(loss - their_loss) <= LOSS_LIMIT and worst[0] <= GRADIENT_LIMIT
    print(f"{kind:<13} {lock:<19} {abs(loss - their_loss):9.1e} {worst[0]:9.1e}  "
          f"{len(gradients):>3} {worst[1]}{'' if good else '  FAILED'}", flush=True)
    return good


def main():
    print(f"open_clip {open_clip.version.__version__}, transformers {transformers.__version__}, "
          f"torch {torch.__version__}: a step of {NAME}\n"
          f"{'file':<13} {'what is trained':<19} {'loss':>9} {'gradient':>9}  of, the worst",
          flush=True)
    torch.manual_seed(0)
    model = open_clip.create_model(NAME + "-quickgelu")
    pixels, tokens = make_batch(model.context_length)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        np.save(os.path.join(folder, "x.npy"), pixels)
        np.save(os.path.join(folder, "t.npy"), tokens)
        files = files_of(model, folder)
        for lock, (flags, apply) in LOCKS.items():
            theirs = their_step(model, pixels, tokens, apply)
            for kind, path, more in files:
                good &= compare(kind, lock, our_step(path, flags + more, folder), theirs)
    print("all within the limits" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
