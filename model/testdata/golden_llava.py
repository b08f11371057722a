"""Golden values of tiny random LLaVA checkpoints, computed with transformers.

    python golden_llava.py golden    # golden/llava_<case>/: a model folder and golden.safetensors (see golden_common.py)

Written with torch 2.9.1, transformers 5.23.0, peft 0.21.2 on CPU, float32.
"""
import os
import sys

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

import golden_common as common

TEXT = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=4, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
VISION = dict(hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, image_size=8,
              patch_size=4, projection_dim=8)
# images: how many each sequence has
CASES = {
    "mha": dict(top=dict(vision_feature_layer=-2), images=[2, 0], adapter=["q_proj", "v_proj", "down_proj", "linear_2", "fc1"]),
    "gqa_tied": dict(text=dict(num_key_value_heads=2, tie_word_embeddings=True, head_dim=6, attention_bias=True),
                     top=dict(vision_feature_layer=-1, tie_word_embeddings=True), images=[2, 0]),
    "list_full": dict(text=dict(num_key_value_heads=1, mlp_bias=True,
                                rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
                                                     high_freq_factor=4.0, original_max_position_embeddings=16)),
                      top=dict(vision_feature_layer=[-1, 1], vision_feature_select_strategy="full"), images=[2, 0]),
    "left_old": dict(text=dict(num_key_value_heads=2), top=dict(vision_feature_layer=-2), images=[1, 0, 2], pad="left", layout="old"),
    "dynamic_memory": dict(text=dict(rope_parameters=dict(rope_type="dynamic", rope_theta=1e4, factor=2.0)),
                           top=dict(vision_feature_layer=-2), images=[1], layout="memory"),
}
IMAGE = 39


def build(case):
    text = LlamaConfig(**{**TEXT, **case.get("text", {})})
    cfg = LlavaConfig(text_config=text, vision_config=CLIPVisionConfig(**VISION), image_token_index=IMAGE,
                      image_seq_length=4, **case["top"])
    return common.fill(LlavaForConditionalGeneration(cfg))


def inputs(model, case):
    n = (8 // 4) ** 2 + (1 if model.config.vision_feature_select_strategy == "full" else 0)
    seqs = []
    for i, images in enumerate(case["images"]):
        s = [1, 5 + i]
        for k in range(images):
            s += [IMAGE] * n + [7 + k, 8]
        seqs.append(s + [9, 10 + i, 11, 12])
    batch = common.pad(seqs, case.get("pad", "right"))
    batch["pixel_values"] = torch.randn(sum(case["images"]), 3, 8, 8, generator=torch.Generator().manual_seed(2))
    return batch


def select(case, batch):
    """The images of one sequence alone."""
    def pick(i):
        first, n = sum(case["images"][:i]), case["images"][i]
        return dict(pixel_values=batch["pixel_values"][first:first + n]) if n else {}
    return pick


def memory_name(name):
    for old, new in (("language_model.lm_head", "lm_head"), ("language_model.model.", "model.language_model."),
                     ("vision_tower.vision_model.", "model.vision_tower."), ("vision_tower.", "model.vision_tower."),
                     ("multi_modal_projector.", "model.multi_modal_projector.")):
        if name.startswith(old):
            return new + name[len(old):]
    return name


def old_name(name):
    name = memory_name(name)
    for new, old in (("lm_head", "language_model.lm_head"), ("model.language_model.", "language_model.model."),
                     ("model.vision_tower.", "vision_tower.vision_model."), ("model.multi_modal_projector.", "multi_modal_projector.")):
        if name.startswith(new):
            return old + name[len(new):]
    return name


def old_config(c):
    """config.json as the released folders have it, written by transformers 4.36: without the defaults."""
    t, v = c["text_config"], c["vision_config"]
    for part in (c, t, v):
        part["torch_dtype"] = part.pop("dtype", "float32")
    rope = t.pop("rope_parameters")
    assert rope["rope_type"] == "default" and rope["rope_theta"] == 1e4
    for k in ("head_dim", "hidden_act", "attention_bias", "mlp_bias", "pretraining_tp", "tie_word_embeddings"):
        t.pop(k, None)
    for k in ("hidden_act", "layer_norm_eps", "num_channels"):
        v.pop(k, None)
    c["image_token_index"] = c.pop("image_token_index", IMAGE)
    c.pop("image_token_id", None)
    return c


def main(root):
    for name, case in CASES.items():
        folder = os.path.join(root, "llava_" + name)
        model = build(case)
        model.save_pretrained(folder)
        layout = case.get("layout")
        if layout == "old":
            common.edit_config(folder, old_config)
        if layout:
            common.rename(folder, memory_name if layout == "memory" else old_name)
        batch = inputs(model, case)
        gold = common.store(model, batch, case["images"], folder, case.get("pad") != "left", select(case, batch))
        if "adapter" in case:
            common.train_adapter(model, batch, folder, gold, case["adapter"])
        common.write(gold, folder)


if __name__ == "__main__":
    main(sys.argv[1])
