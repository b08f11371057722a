#!/usr/bin/env bash
# transformers 5.23.0, Qwen2-VL (and those that share its code): a KV cache is not enough to go on with a prompt. The
# distance between tokens and positions that a picture makes (rope_deltas) is kept in the model, not in the cache, and
# any other prompt that passes through the model in between replaces it.
#
# So two conversations that are decoded in turn on one model, each with its own cache, get each other's positions:
# contrastive decoding with a clean and a noised picture of another size, a teacher and a student on the same weights,
# any server or loop of one's own around forward(). A text-only prompt goes wrong as well when a picture came before
# it, since forward() does not set the distance back. generate() sets it at its own start, so one call after another is
# right. Nothing warns.
#
# Seen (torch 2.9.1, a tiny random model): logits of the next token against the same tokens without a cache, as a share
# of the largest: the prompt's own turn below 1e-5; after another picture above 0.1; text after a picture above 0.1.
# Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q torch==2.9.1 transformers==5.23.0 numpy==2.3.5
cat > "$tmp/turns.py" <<'PY'
import copy
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

torch.manual_seed(0)
START, END, IMAGE, VIDEO = 60, 61, 62, 63
model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(
    text_config=dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, vocab_size=64,
                     rope_theta=1e4, rope_scaling={"type": "mrope", "mrope_section": [2, 3, 3]}, initializer_range=0.2),
    vision_config=dict(depth=1, embed_dim=32, hidden_size=48, num_heads=2, patch_size=14, mlp_ratio=2),
    vision_start_token_id=START, vision_end_token_id=END, image_token_id=IMAGE, video_token_id=VIDEO)).eval()


def seen(height, width, *words):
    """A prompt with a picture of height x width patches."""
    ids = [START] + [IMAGE] * (height * width // 4) + [END, *words]
    return dict(input_ids=torch.tensor([ids]), mm_token_type_ids=torch.tensor([[int(i == IMAGE) for i in ids]]),
                pixel_values=torch.randn(height * width, 3 * 2 * 14 * 14), image_grid_thw=torch.tensor([[1, height, width]]))


def forward(prompt, **more):
    with torch.no_grad():
        return model(**prompt, **more)


NEXT = torch.tensor([[5]])


def extended(prompt):
    out = {**prompt, "input_ids": torch.cat([prompt["input_ids"], NEXT], 1)}
    if "mm_token_type_ids" in out:
        out["mm_token_type_ids"] = torch.cat([out["mm_token_type_ids"], torch.zeros_like(NEXT)], 1)
    return out


def off(cache, prompt):
    """How far a step with the cache is from the same tokens without one. The cache is the last thing that is used."""
    got = forward(dict(input_ids=NEXT), past_key_values=copy.deepcopy(cache), use_cache=True).logits[0, -1]
    want = forward(extended(prompt), use_cache=False).logits[0, -1]
    return float((got - want).abs().max() / want.abs().max())


wide, small, text = seen(8, 16, 7, 8, 9), seen(4, 4, 3, 4), dict(input_ids=torch.tensor([[7, 8, 9]]))
cache = forward(wide, use_cache=True).past_key_values
own = off(cache, wide)
forward(small, use_cache=True)
other = off(cache, wide)
forward(wide, use_cache=True)
after = off(forward(text, use_cache=True).past_key_values, text)
print(f"in its own turn {own:.1e}, after another picture {other:.2f}, text after a picture {after:.2f}")
assert own < 1e-5 and other > 0.1 and after > 0.1
print("as stated")
PY
"$tmp/env/bin/python" "$tmp/turns.py" 2>/dev/null
