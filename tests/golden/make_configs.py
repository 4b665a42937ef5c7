#!/usr/bin/env python3
# tests/golden/make_configs.py — one set of weights under many configurations, by the libraries.
#
#   python3 -m venv oracle
#   oracle/bin/pip install torch open_clip_torch==3.3.0 transformers==5.24.0
#   oracle/bin/python tests/golden/make_configs.py
#
# Each variant is a folder as open_clip or transformers write it, with the weights of
# tiny_clip.safetensors; the library opens it and encodes the same tokens and pixels, in f64. Also
# writes which keys the built-in configurations have.
import copy
import json
import os
import tempfile

import numpy as np
import open_clip
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
WEIGHTS = load_file(os.path.join(HERE, "tiny_clip.safetensors"))
R, P, D, T, V, TD, E = 24, 8, 32, 12, 64, 20, 24
HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.75]}


def tokens():
    """62 first, 40 at several places, 63 before or behind it, other ids behind both."""
    rng = np.random.default_rng(3)
    ids = rng.integers(1, 39, (6, T))
    ids[:, 0] = 62
    for row, (forty, end) in enumerate([(3, 6), (6, 3), (11, 1), (1, 11), (4, 5), (9, 10)]):
        ids[row, forty], ids[row, end] = 40, 63
    ids[4, 8:] = 0
    ids[4, 7] = 40  # a second time
    return torch.from_numpy(ids)


def open_clip_config(vision={}, text={}, pixels={}, **model):
    return {"model_cfg": {"embed_dim": E, **model,
                          "vision_cfg": {"image_size": R, "layers": 2, "width": D,
                                         "head_width": 16, "patch_size": P, **vision},
                          "text_cfg": {"context_length": T, "vocab_size": V, "width": TD,
                                       "heads": 2, "layers": 2, **text}},
            "preprocess_cfg": {"interpolation": "bicubic", "resize_mode": "shortest", **HALF,
                               **pixels}}


def hugging_face_config(text={}, vision={}, **top):
    both = {"num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": E}
    return {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": E,
            "text_config": {**both, "model_type": "clip_text_model", "hidden_size": TD,
                            "intermediate_size": 4 * TD, "vocab_size": V,
                            "max_position_embeddings": T, "eos_token_id": 63, **text},
            "vision_config": {**both, "model_type": "clip_vision_model", "hidden_size": D,
                              "intermediate_size": 4 * D, "image_size": R, "patch_size": P,
                              **vision},
            **top}


AVERAGE = {"pool_type": "avg"}
AFTER = {"final_ln_after_pool": True}
OPEN_CLIP = {
    "plain": open_clip_config(),
    "quick_gelu": open_clip_config(quick_gelu=True),
    "custom_text": open_clip_config(custom_text=True),
    "tanh in the text tower": open_clip_config(text={"act_kwargs": {"approximate": "tanh"}}),
    "tanh in the image tower": open_clip_config(vision={"act_kwargs": {"approximate": "tanh"}}),
    "eps of the text tower": open_clip_config(text={"norm_kwargs": {"eps": 0.01}}),
    "eps of the image tower": open_clip_config(vision={"norm_kwargs": {"eps": 0.01}}),
    "heads": open_clip_config(text={"heads": 5}, vision={"head_width": 8}),
    "no_causal_mask": open_clip_config(text={"no_causal_mask": True}),
    "last": open_clip_config(text={"pool_type": "last"}),
    "first": open_clip_config(text={"pool_type": "first"}),
    "last, no mask": open_clip_config(text={"pool_type": "last", "no_causal_mask": True}),
    "first, no mask": open_clip_config(text={"pool_type": "first", "no_causal_mask": True}),
    "eos": open_clip_config(text={"pool_type": "eos", "eos_id": 40}),
    "eos, no mask": open_clip_config(
        text={"pool_type": "eos", "eos_id": 40, "no_causal_mask": True}),
    "text norm after": open_clip_config(text={**AFTER, "pool_type": "last"}),
    "average": open_clip_config(vision=AVERAGE),
    "norm of the average": open_clip_config(vision={**AVERAGE, **AFTER}),
    "norm of the token": open_clip_config(vision=AFTER),
    "no_ln_pre": open_clip_config(vision={"no_ln_pre": True}),
    "CLIPA": open_clip_config(vision={"no_ln_pre": True, **AVERAGE, **AFTER},
                              text={"pool_type": "last", "no_causal_mask": True}),
    "harmless": open_clip_config(vision={"patch_dropout": 0.5, "timm_drop": 0.1},
                                 text={"pad_id": 0}),
}
HUGGING_FACE = {
    "plain": hugging_face_config(),
    "gelu": hugging_face_config(text={"hidden_act": "gelu"}, vision={"hidden_act": "gelu"}),
    "gelu_new in text": hugging_face_config(text={"hidden_act": "gelu_new"}),
    "tanh in vision": hugging_face_config(vision={"hidden_act": "gelu_pytorch_tanh"}),
    "gelu_fast": hugging_face_config(text={"hidden_act": "gelu_fast"}),
    "eps": hugging_face_config(text={"layer_norm_eps": 0.01}, vision={"layer_norm_eps": 0.001}),
    "heads": hugging_face_config(text={"num_attention_heads": 5},
                                 vision={"num_attention_heads": 4}),
    "eos 40": hugging_face_config(text={"eos_token_id": 40}),
    "eos 2, the old mistake": hugging_face_config(text={"eos_token_id": 2}),
    "text_config_dict": hugging_face_config(
        text_config_dict=hugging_face_config(text={"hidden_act": "gelu"})["text_config"]),
}

HF_NAMES = {"visual.class_embedding": "vision_model.embeddings.class_embedding",
            "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
            "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
            "visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight",
            "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
            "positional_embedding": "text_model.embeddings.position_embedding.weight"}
HF_PARTS = [("visual.transformer.resblocks.", "vision_model.encoder.layers."),
            ("transformer.resblocks.", "text_model.encoder.layers."),
            ("visual.ln_pre", "vision_model.pre_layrnorm"),
            ("visual.ln_post", "vision_model.post_layernorm"),
            ("ln_final", "text_model.final_layer_norm"), (".ln_1.", ".layer_norm1."),
            (".ln_2.", ".layer_norm2."), ("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2"),
            ("attn.out_proj", "self_attn.out_proj")]


def hugging_face_weights():
    out = {}
    for name, x in WEIGHTS.items():
        new = HF_NAMES.get(name, name)
        for ours, theirs in HF_PARTS:
            new = new.replace(ours, theirs) if name not in HF_NAMES else new
        if ".attn.in_proj_" in new:
            for letter, part in zip("qkv", x.chunk(3)):
                out[new.replace(".attn.in_proj_", f".self_attn.{letter}_proj.")] = part.contiguous()
        else:
            out[new] = x.T.contiguous() if name in ("visual.proj", "text_projection") else x
    return out


def open_clip_weights(config):
    vision = config["model_cfg"]["vision_cfg"]
    return {name: x for name, x in WEIGHTS.items()
            if not (vision.get("no_ln_pre") and ".ln_pre." in name)}


def by_open_clip(folder, config, ids, pixels):
    save_file(open_clip_weights(config), os.path.join(folder, "open_clip_model.safetensors"))
    with open(os.path.join(folder, "open_clip_config.json"), "w") as f:
        json.dump(config, f)
    model = open_clip.create_model(f"local-dir:{folder}").double().eval()
    return model.encode_text(ids), model.encode_image(pixels)


def by_transformers(folder, config, ids, pixels):
    save_file(hugging_face_weights(), os.path.join(folder, "model.safetensors"), {"format": "pt"})
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    model = transformers.CLIPModel.from_pretrained(folder).double().eval()
    text = model.text_model(input_ids=ids).pooler_output
    image = model.vision_model(pixel_values=pixels).pooler_output
    return model.text_projection(text), model.visual_projection(image)


def leaves(tree, path=""):
    """Paths of keys that hold no object; keyword arguments count one by one."""
    for key, value in tree.items():
        if isinstance(value, dict) and key not in ("id2label", "label2id", "tokenizer_kwargs"):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield path + key, value


def census():
    """Every key of open_clip's built-in configurations with its values, and transformers' keys."""
    folder = os.path.join(os.path.dirname(open_clip.__file__), "model_configs")
    found, files = {}, sorted(os.listdir(folder))
    for file in files:
        with open(os.path.join(folder, file)) as f:
            for path, value in leaves({"model_cfg": json.load(f)}):
                values = found.setdefault(path, [])
                if value not in values:
                    values.append(value)
    return {"files": len(files), "open_clip": dict(sorted(found.items())),
            "transformers": sorted(path for path, _ in leaves(transformers.CLIPConfig().to_dict())),
            "preprocessor": sorted(transformers.CLIPImageProcessor().to_dict())}


def main():
    with open(os.path.join(HERE, "config_keys.json"), "w") as f:
        json.dump(census(), f, indent=1)
        f.write("\n")
    ids = tokens()
    pixels = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 3, R, R))).float()
    out, variants = {"tokens": ids, "pixels": pixels}, []
    for library, table, encode in (("open_clip", OPEN_CLIP, by_open_clip),
                                   ("transformers", HUGGING_FACE, by_transformers)):
        for name, config in table.items():
            with tempfile.TemporaryDirectory() as folder, torch.no_grad():
                text, image = encode(folder, copy.deepcopy(config), ids, pixels.double())
            key = f"{library}.{name}"
            out[key + ".text"], out[key + ".image"] = text.float(), image.float()
            variants.append({"name": name, "library": library, "config": config})
    save_file(out, os.path.join(HERE, "configs.safetensors"),
              {"variants": json.dumps(variants),
               "versions": json.dumps({m.__name__: m.__version__
                                       for m in (open_clip, torch, transformers)})})


if __name__ == "__main__":
    main()
