"""Golden values of tiny random LLaVA checkpoints, computed with transformers.

    python golden_llava.py DIR    # DIR/<case>/: a model folder and golden.safetensors

Written with torch 2.9.1, transformers 5.23.0, peft 0.21.2 on CPU, float32.
golden.safetensors holds, for two right-padded sequences (lengths [2], the first with two
images, the second with none): input_ids, pixel_values, labels (-100 where no loss), logits,
loss (mean over the labelled tokens), grad.<name> of every parameter under the names of the
model folder, and, where the case has an adapter, the adapter's folder in DIR/<case>/adapter,
curve (the losses of 20 AdamW steps) and adapter.logits after them. generated holds the greedy
continuation of both sequences alone.
"""
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

torch.set_num_threads(1)

TEXT = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=4, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2)
VISION = dict(hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2, image_size=8,
              patch_size=4, projection_dim=8)
CASES = {
    "mha": dict(top=dict(vision_feature_layer=-2)),
    "gqa_tied": dict(text=dict(num_key_value_heads=2, tie_word_embeddings=True, head_dim=6, attention_bias=True),
                     top=dict(vision_feature_layer=-1, tie_word_embeddings=True)),
    "list_full": dict(text=dict(num_key_value_heads=1, mlp_bias=True,
                                rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
                                                     high_freq_factor=4.0, original_max_position_embeddings=16)),
                      top=dict(vision_feature_layer=[-1, 1], vision_feature_select_strategy="full")),
}
IMAGE = 39


def build(case):
    text = LlamaConfig(**{**TEXT, **case.get("text", {})})
    cfg = LlavaConfig(text_config=text, vision_config=CLIPVisionConfig(**VISION), image_token_index=IMAGE,
                      image_seq_length=4, **case["top"])
    model = LlavaForConditionalGeneration(cfg).float().eval()
    gen = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            base = 1.0 if p.dim() == 1 and "norm" in name and name.endswith("weight") else 0.0
            p.copy_(base + 0.25 * torch.randn(p.shape, generator=gen))
    if cfg.text_config.tie_word_embeddings:
        model.tie_weights()
    return model


def inputs(model):
    n = (8 // 4) ** 2 + (1 if model.config.vision_feature_select_strategy == "full" else 0)
    a = [1, 5] + [IMAGE] * n + [7, 8] + [IMAGE] * n + [9, 10, 11, 12]
    b = [1, 20, 21, 22, 23, 24, 25]
    ids = torch.zeros(2, len(a), dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for i, s in enumerate((a, b)):
        ids[i, :len(s)] = torch.tensor(s)
        mask[i, :len(s)] = 1
        labels[i, len(s) - 3:len(s)] = torch.tensor(s[-3:])
    pixels = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    return dict(input_ids=ids, attention_mask=mask, pixel_values=pixels, labels=labels), [len(a), len(b)]


def disk_names(model, folder):
    """In-memory parameter name -> name in the folder, found by equal content."""
    files = load_file(os.path.join(folder, "model.safetensors"))
    out = {}
    for name, p in model.named_parameters():
        same = [k for k, v in files.items() if v.shape == p.shape and torch.equal(v, p)]
        assert len(same) == 1, (name, same)
        out[name] = same[0]
    return out


def greedy(model, batch, lengths):
    out = []
    for i, n in enumerate(lengths):
        kw = dict(input_ids=batch["input_ids"][i:i + 1, :n], attention_mask=batch["attention_mask"][i:i + 1, :n])
        if i == 0:
            kw["pixel_values"] = batch["pixel_values"]
        seq = model.generate(**kw, do_sample=False, max_new_tokens=8, min_new_tokens=8, pad_token_id=0)
        out.append(seq[0, n:])
    return torch.stack(out).to(torch.int32)


def adapter(model, batch, folder, gold):
    from peft import LoraConfig, get_peft_model
    torch.manual_seed(3)
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=["q_proj", "v_proj", "down_proj", "linear_2", "fc1"]))
    peft.save_pretrained(os.path.join(folder, "adapter"))
    params = [p for p in peft.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.02)
    curve = []
    for _ in range(20):
        opt.zero_grad()
        loss = peft(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        curve.append(loss.detach())
    gold["curve"] = torch.stack(curve)
    gold["adapter.logits"] = peft(**batch).logits.detach().contiguous()


def main(root):
    for name, case in CASES.items():
        folder = os.path.join(root, name)
        model = build(case)
        model.save_pretrained(folder)
        batch, lengths = inputs(model)
        out = model(**batch)
        out.loss.backward()
        gold = dict(input_ids=batch["input_ids"].to(torch.int32), pixel_values=batch["pixel_values"],
                    labels=batch["labels"].to(torch.int32), lengths=torch.tensor(lengths, dtype=torch.int32),
                    logits=out.logits.detach(), loss=out.loss.detach().reshape(1), generated=greedy(model, batch, lengths))
        names = disk_names(model, folder)
        for n, p in model.named_parameters():
            if p.grad is not None:
                gold["grad." + names[n]] = p.grad
        if name == "mha":
            adapter(model, batch, folder, gold)
        save_file({k: v.contiguous() for k, v in gold.items()}, os.path.join(folder, "golden.safetensors"))
        print(name, float(out.loss), sorted(names.values())[:3], gold["generated"].tolist())


if __name__ == "__main__":
    main(sys.argv[1])
