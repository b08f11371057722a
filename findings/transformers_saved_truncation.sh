#!/usr/bin/env bash
# transformers 5.23.0 with tokenizers 0.23.3: save_pretrained writes the truncation and the padding of the call that came
# before it into tokenizer.json. transformers does not show it; the tokenizers library cuts and pads by it.
#
# truncation=True, max_length=N and padding are arguments of one call and look as if they ended with it. They are set on
# the tokenizer underneath and stay until the next call sets others; a save in between, as a training script makes after
# its last batch, puts them into the file. Runs that differ in nothing but the last call before a checkpoint give other
# files. AutoTokenizer sets its own at each call, so all looks well where the file was made. The tokenizers library, its
# bindings and what is built on them take the file at its word: prompts are cut to N tokens and short ones filled up.
# What is cut from the end of a prompt with a picture is the question: elsewhere the model seems to answer beside it, or
# to have forgotten.
#
# Seen: see EXPECTED below. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3
cat > "$tmp/saved.py" <<'PY'
import json

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

WORDS = "<unk> <pad> who is the person in this picture ?".split()
backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>")
LONG, SHORT = "who is the person in this picture ?", "who ?"


def saved(name):
    tokenizer.save_pretrained("m")
    with open("m/tokenizer.json") as f:
        settings = json.load(f)
    alone, auto = Tokenizer.from_file("m/tokenizer.json"), AutoTokenizer.from_pretrained("m")
    print(f"{name}: truncation {'set' if settings['truncation'] else 'none'}, padding {'set' if settings['padding'] else 'none'}")
    for text in (LONG, SHORT):
        print(f"  {text!r}: transformers {len(auto(text)['input_ids'])} tokens, tokenizers {' '.join(alone.encode(text).tokens)!r}")


saved("before any call")
tokenizer([LONG, SHORT], truncation=True, max_length=4, padding="max_length")
saved("after a call for a training batch")
tokenizer(LONG)
saved("after one more call without arguments")
PY
cd "$tmp"
cat > expected <<'EXPECTED'
before any call: truncation none, padding none
  'who is the person in this picture ?': transformers 8 tokens, tokenizers 'who is the person in this picture ?'
  'who ?': transformers 2 tokens, tokenizers 'who ?'
after a call for a training batch: truncation set, padding set
  'who is the person in this picture ?': transformers 8 tokens, tokenizers 'who is the person'
  'who ?': transformers 2 tokens, tokenizers 'who ? <pad> <pad>'
after one more call without arguments: truncation none, padding none
  'who is the person in this picture ?': transformers 8 tokens, tokenizers 'who is the person in this picture ?'
  'who ?': transformers 2 tokens, tokenizers 'who ?'
EXPECTED
env/bin/python saved.py 2>/dev/null | tee seen
diff expected seen && echo 'as stated'
