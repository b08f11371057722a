"""Golden values of tiny random Qwen2-VL and Qwen2.5-VL checkpoints, computed with transformers.

    python golden_qwen.py golden    # golden/<case>/: a model folder and golden.safetensors (see golden_common.py)

Written with torch 2.9.1, transformers 5.23.0, peft 0.21.2 on CPU, float32.
"""
import os
import sys

import torch
from transformers import (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLConfig,
                          Qwen2VLForConditionalGeneration)

import golden_common as common

IMAGE, VIDEO, START, END = 36, 37, 38, 39
TEXT = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
            rope_parameters=dict(rope_type="default", rope_theta=300.0, mrope_section=[2, 1, 1]))
TOP = dict(image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START, vision_end_token_id=END)
# grids: of every sequence, the patches (down, across) of its images. The windows of Qwen2.5-VL are two tokens wide.
CASES = {
    "qwen2_mha": dict(vl=2, grids=[[(4, 6), (2, 2)], [], [(6, 2)]], pad="right"),
    "qwen2_gqa_tied_flat": dict(vl=2, text=dict(num_attention_heads=4, num_key_value_heads=2, head_dim=4,
                                                rope_parameters=dict(rope_type="default", rope_theta=1e4, mrope_section=[0, 1, 1])),
                                tied=True, grids=[[(2, 6)], [(4, 2)]], pad="left", layout="flat", adapter=["qkv", "q_proj", "o_proj", "fc2"]),
    "qwen25_mha": dict(vl=2.5, grids=[[(6, 10), (2, 2)], [], [(4, 6)]], pad="left", full=[1],
                       adapter=["qkv", "q_proj", "v_proj", "down_proj"]),
    "qwen25_one_kv_flat": dict(vl=2.5, text=dict(num_key_value_heads=1), grids=[[(2, 14)], [(10, 2)]], pad="right", full=[2], layout="flat"),
    "qwen25_tied_memory": dict(vl=2.5, tied=True, grids=[[(6, 6)]], pad="right", full=[], layout="memory"),
}


def build(case):
    tied = case.get("tied", False)
    text = {**TEXT, **case.get("text", {}), "tie_word_embeddings": tied}
    vision = dict(depth=3, num_heads=2, in_channels=3, patch_size=2, spatial_merge_size=2, temporal_patch_size=2)
    if case["vl"] == 2:
        vision.update(embed_dim=16, hidden_size=16, mlp_ratio=2, hidden_act="quick_gelu")
        cfg, cls = Qwen2VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied, **TOP), Qwen2VLForConditionalGeneration
    else:
        vision.update(hidden_size=16, intermediate_size=12, out_hidden_size=16, window_size=8, fullatt_block_indexes=case["full"])
        cfg, cls = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=tied, **TOP), Qwen2_5_VLForConditionalGeneration
    return common.fill(cls(cfg))


def inputs(case):
    seqs = []
    for i, grids in enumerate(case["grids"]):
        s = [1, 5 + i]
        for n, (h, w) in enumerate(grids):
            s += [START] + [IMAGE] * (h * w // 4) + [END, 7 + n]
        seqs.append(s + [9, 10 + i, 11, 12 + 2 * i, 13])
    batch = common.pad(seqs, case["pad"])
    grids = [g for s in case["grids"] for g in s]
    batch["image_grid_thw"] = torch.tensor([(1, h, w) for h, w in grids])
    batch["pixel_values"] = torch.randn(sum(h * w for h, w in grids), 24, generator=torch.Generator().manual_seed(2))
    batch["mm_token_type_ids"] = (batch["input_ids"] == IMAGE).long()
    return batch, [len(s) for s in case["grids"]]


def select(case, batch):
    """The images of one sequence alone."""
    def pick(i):
        first = sum(map(len, case["grids"][:i]))
        own = case["grids"][i]
        if not own:
            return {}
        at = sum(h * w for s in case["grids"][:i] for h, w in s)
        n = sum(h * w for h, w in own)
        return dict(image_grid_thw=batch["image_grid_thw"][first:first + len(own)], pixel_values=batch["pixel_values"][at:at + n])
    return pick


def flat(c):
    """config.json as the released folders have it, written by transformers 4.4x."""
    t = c.pop("text_config")
    rope = t.pop("rope_parameters")
    for k in ("dtype", "layer_types", "model_type", "head_dim"):
        t.pop(k, None)
    v = {k: x for k, x in c["vision_config"].items() if k not in ("dtype", "rope_parameters")}
    v.update(in_chans=3, spatial_patch_size=14, model_type=c["model_type"])
    c.update({k: x for k, x in t.items() if k != "tie_word_embeddings"})
    c.update(rope_theta=rope["rope_theta"], rope_scaling=dict(type="mrope", mrope_section=rope["mrope_section"]),
             sliding_window=16, use_sliding_window=False, max_window_layers=1, torch_dtype="float32", vision_config=v)
    c.pop("dtype", None)
    return c


def old_name(name):
    return name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")


def memory_name(name):
    name = old_name(name)
    return name.replace("model.", "model.language_model.", 1) if name.startswith("model.") else name.replace("visual.", "model.visual.", 1)


def main(root):
    for name, case in CASES.items():
        folder = os.path.join(root, name)
        model = build(case)
        model.save_pretrained(folder)
        layout = case.get("layout")
        if layout == "flat":
            common.edit_config(folder, flat)
        if layout:
            common.rename(folder, memory_name if layout == "memory" else old_name)
        batch, images = inputs(case)
        gold = common.store(model, batch, images, folder, case["pad"] == "right", select(case, batch))
        if "adapter" in case:
            common.train_adapter(model, batch, folder, gold, case["adapter"])
        common.write(gold, folder)


if __name__ == "__main__":
    main(sys.argv[1])
