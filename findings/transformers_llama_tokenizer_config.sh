#!/usr/bin/env bash
# transformers 5.23.0 with tokenizers 0.23.3: the same tokenizer files give other ids when another config.json, or none,
# lies beside them.
#
# A folder of LLaVA's kind has a tokenizer.json of Llama 2's kind (its normalizer puts a mark in front of every piece of
# text) and says tokenizer_class LlamaTokenizer. Beside a config.json of model_type llava or mistral AutoTokenizer takes
# tokenizer.json as it stands; beside one of llama, or without config.json, it takes the class at its word and builds a
# normalizer and a pre-tokenizer of its own, with another rule for that mark: texts that begin with a blank, and what
# stands behind a special token, get other ids. Folders without config.json are not rare: training scripts save the
# tokenizer into the adapter's folder, and evaluation loads it from there.
#
# Seen: 3 of 5 texts differ. Exit status 0 while this is so, 1 when it has changed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q transformers==5.23.0 tokenizers==0.23.3
cat > "$tmp/ids.py" <<'PY'
import json, os
from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer

MARK = "\u2581"
tokens = ["<unk>", "<s>", "</s>", "<image>", MARK] + [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("?:\n")
t = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(tokens)}, merges=[], unk_token="<unk>"))
t.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
t.add_special_tokens(["<unk>", "<s>", "</s>", "<image>"])
os.mkdir("m")
t.save("m/tokenizer.json")
json.dump({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, open("m/tokenizer_config.json", "w"))
TEXTS = ["who is this?", " a blank in front", "<image>who", "<s>user", "one two"]


def pieces(model_type):
    if model_type:
        json.dump({"model_type": model_type}, open("m/config.json", "w"))
    elif os.path.exists("m/config.json"):
        os.remove("m/config.json")
    tok = AutoTokenizer.from_pretrained("m")
    return [" ".join(tok.convert_ids_to_tokens(tok(text, add_special_tokens=False)["input_ids"])) for text in TEXTS]


found = {name: pieces(name) for name in ("llava", "mistral", "llama", None)}
for i, text in enumerate(TEXTS):
    print(f"{text!r}: beside llava {found['llava'][i]!r}, without config.json {found[None][i]!r}")
differ = sum(a != b for a, b in zip(found["llava"], found[None]))
print(differ, "of", len(TEXTS), "texts differ")
assert found["llava"] == found["mistral"] and found["llama"] == found[None] and differ == 3
print("as stated")
PY
cd "$tmp" && env/bin/python ids.py 2>/dev/null
