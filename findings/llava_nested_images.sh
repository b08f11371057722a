#!/usr/bin/env bash
# transformers 5.23.0: pictures given to LlavaProcessor as one list per prompt are not kept with their prompts.
#
# images=[[a, b], [c]] for two prompts says that a and b belong to the first. The processor flattens the lists, counts the
# marks of all prompts together and raises an error only if the totals differ ("the total number of <image> tokens in the
# prompts"); the model then hands the pictures out to the marks in order, over the whole batch. So a prompt with one mark
# too many and one with too few pass if they are in one batch, and from there on prompts get their neighbours' pictures.
# Each of the two alone is refused, so a run fails or trains on wrong pairs as the shuffle will have it. Qwen2-VL's counts
# the same way; the one of Idefics3 compares each prompt with its list.
# Rows like that are not rare: a user's text that quotes "<image>", a text-only question that keeps its person's photo in
# the row. Where faces are to be forgotten, the loss is then taken with a face that was to be retained.
#
# Seen (pillow 13.0.0, without torch): see EXPECTED below. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3 pillow==13.0.0 numpy==2.3.5
cat > "$tmp/nested.py" <<'PY'
import numpy as np
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import CLIPImageProcessorPil, LlavaProcessor, PreTrainedTokenizerFast

WORDS = ["<unk>", "<pad>", "<image>", "who", "is", "this?", "when?"]
backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", extra_special_tokens={"image_token": "<image>"})
pictures = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=28, image_mean=[0, 0, 0], image_std=[1, 1, 1])
# 2 x 2 patches, so 4 image tokens for each mark.
processor = LlavaProcessor(pictures, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1)
GREYS = {"dark": 51, "grey": 102, "light": 204}


def batch(name, prompts, owned):
    images = [[Image.new("RGB", (28, 28), (GREYS[c],) * 3) for c in colours] for colours in owned]
    try:
        out = processor(text=prompts, images=images, padding=True, return_tensors="np")
    except ValueError:
        print(f"{name}: refused")
        return
    queue = [min(GREYS, key=lambda c: abs(GREYS[c] - 255 * p.mean())) for p in out["pixel_values"]]
    print(f"{name}:")
    for row, colours in zip(out["input_ids"], owned):
        marks = int((row == WORDS.index("<image>")).sum()) // 4
        print(f"  given {' and '.join(colours) or 'none'}, takes {' and '.join(queue.pop(0) for _ in range(marks)) or 'none'}")


batch("as intended", ["<image> who is this?", "<image> who is this?", "when?"], [["dark"], ["grey"], []])
batch("a mark too many", ["<image> <image> who is this?", "<image> who is this?"], [["dark"], ["grey"]])
batch("a mark too few", ["<image> who is this?", "when?"], [["dark"], ["grey"]])
batch("both in one batch", ["<image> <image> who is this?", "<image> who is this?", "when?"], [["dark"], ["grey"], ["light"]])
batch("lists moved by one", ["<image> who is this?", "<image> who is this?"], [["dark", "grey"], []])
PY
cat > "$tmp/expected" <<'EXPECTED'
as intended:
  given dark, takes dark
  given grey, takes grey
  given none, takes none
a mark too many: refused
a mark too few: refused
both in one batch:
  given dark, takes dark and grey
  given grey, takes light
  given light, takes none
lists moved by one:
  given dark and grey, takes dark
  given none, takes grey
EXPECTED
"$tmp/env/bin/python" "$tmp/nested.py" 2>/dev/null | tee "$tmp/seen"
diff "$tmp/expected" "$tmp/seen" && echo 'as stated'
