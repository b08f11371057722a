"""What golden_llava.py and golden_qwen.py share: filling, padding, storing and training tiny models.

golden.safetensors of a case holds
  input_ids, attention_mask, labels  [sequences, longest] (I32); labels are -100 where there is no loss
  pixel_values, images               all images behind each other; images of each sequence (I32)
  image_grid_thw                     [images, 3] (I32), where the family has it
  logits, loss                       of the padded batch; loss is the mean over the labelled tokens
  grad.<name>                        of every parameter, under the names of the model folder
  generated                          greedy continuation of every sequence, 8 tokens
and, where the case has an adapter in its folder adapter, curve (the losses of 20 AdamW steps) and
adapter.logits after them.
"""
import json
import os

import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)


def fill(model, scale=0.25):
    gen = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            norm = p.dim() == 1 and ("norm" in name or "ln_q" in name) and name.endswith("weight")
            p.copy_((1.0 if norm else 0.0) + scale * torch.randn(p.shape, generator=gen))
    if model.config.tie_word_embeddings:
        model.tie_weights()
    return model.float().eval()


def pad(seqs, side, labelled=3):
    longest = max(map(len, seqs))
    ids = torch.zeros(len(seqs), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, s in enumerate(seqs):
        at = longest - len(s) if side == "left" else 0
        ids[i, at:at + len(s)] = torch.tensor(s)
        mask[i, at:at + len(s)] = 1
        labels[i, at + len(s) - labelled:at + len(s)] = torch.tensor(s[-labelled:])
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def disk_names(model, folder):
    """In-memory parameter name -> name in the folder, found by equal content."""
    files = load_file(os.path.join(folder, "model.safetensors"))
    out = {}
    for name, p in model.named_parameters():
        same = [k for k, v in files.items() if v.shape == p.shape and torch.equal(v, p)]
        assert len(same) == 1, (name, same)
        out[name] = same[0]
    return out


def rename(folder, change):
    """Writes the folder's tensors under other names."""
    path = os.path.join(folder, "model.safetensors")
    save_file({change(k): v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


def edit_config(folder, change):
    path = os.path.join(folder, "config.json")
    with open(path) as f:
        c = change(json.load(f))
    with open(path, "w") as f:
        json.dump(c, f, indent=1)


def greedy(model, batch, one_by_one, select):
    """Continuations of 8 tokens, of the padded batch or of each sequence without its padding."""
    model.generation_config.eos_token_id = None
    kw = dict(do_sample=False, max_new_tokens=8, pad_token_id=0)
    if not one_by_one:
        given = {k: v for k, v in batch.items() if k != "labels"}
        return model.generate(**given, **kw)[:, batch["input_ids"].shape[1]:].to(torch.int32)
    out = []
    for i, mask in enumerate(batch["attention_mask"].bool()):
        given = {k: v[i:i + 1, mask] for k, v in batch.items() if k in ("input_ids", "attention_mask", "mm_token_type_ids")}
        given.update(select(i))
        out.append(model.generate(**given, **kw)[0, int(mask.sum()):])
    return torch.stack(out).to(torch.int32)


def check_layout(model, batch, folder):
    """The folder as it was rewritten is still the same model to transformers."""
    again = type(model).from_pretrained(folder).float().eval()
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits), folder


def store(model, batch, images, folder, one_by_one, select):
    check_layout(model, batch, folder)
    out = model(**batch)
    out.loss.backward()
    gold = {k: v.to(torch.int32) for k, v in batch.items() if k not in ("pixel_values", "mm_token_type_ids")}
    gold.update(pixel_values=batch["pixel_values"], images=torch.tensor(images, dtype=torch.int32), logits=out.logits.detach(),
                loss=out.loss.detach().reshape(1))
    names = disk_names(model, folder)
    for n, p in model.named_parameters():
        if p.grad is not None:
            gold["grad." + names[n]] = p.grad
    with torch.no_grad():
        gold["generated"] = greedy(model, batch, one_by_one, select)
    print(folder, float(out.loss.detach()), sorted(names.values())[:2], gold["generated"].tolist())
    return gold


def train_adapter(model, batch, folder, gold, targets):
    from peft import LoraConfig, get_peft_model
    torch.manual_seed(3)
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=targets))
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
    gold["adapter.logits"] = peft(**batch).logits.detach()


def write(gold, folder):
    for extra in ("generation_config.json", "adapter/README.md"):
        if os.path.exists(os.path.join(folder, extra)):
            os.remove(os.path.join(folder, extra))
    save_file({k: v.contiguous() for k, v in gold.items()}, os.path.join(folder, "golden.safetensors"))
