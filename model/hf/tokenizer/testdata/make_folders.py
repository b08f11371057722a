"""Golden folders: what AutoTokenizer of transformers makes of folders whose files disagree.

Needs: pip install transformers tokenizers (made with 5.23.0, 0.23.3). Run in this folder: python make_folders.py
Writes folders.json.gz: a list of {"row" (of the table in docs/tokenizers.md), "base" (a folder here whose tokenizer.json counts),
"patch" (fields of that file that are replaced), "files": {name: content}, "class", "size", "named" (special tokens by name),
"ids" (of each of texts), "decoded" (of each of decode, skipping special tokens)} or with "error"; the first entry holds texts
and decode.
"""
import gzip, json, logging, os, random, tempfile, warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
from transformers import AutoTokenizer  # noqa: E402

T, S, A, C = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"
TEXTS = ["a <image> b", "x<image>y", "  <image>  z", "a </s> b<s>", "</s>\n\nx  <s>", "it's <|im_start|> a\n<|im_end|> b", "<new> old<new>s <newer>", "a <pad> caf\u00e9 cafe\u0301 <tool>x",
         " leading", "12345 \u6771\u4eac \U0001f600", "", "word wordy", "x.y , z ! do n't", "<|endoftext|>a<unk>", "[P] <P> <x>"]
DECODE = [[0, 1, 2, 3], [519, 520, 521, 522, 523], [420, 421, 422, 423, 424, 425], [300, 301, 302], [66, 13, 0, 11]]


def tok(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True} | flags


def typed(content, **flags):
    return {"__type": "AddedToken"} | tok(content, **flags)


def base(name):
    return json.load(open(f"{name}/tokenizer.json"))


LLAVA, QWEN, QWEN25 = ({C: {"model_type": t}} for t in ("llava", "qwen2_vl", "qwen2_5_vl"))
L2, Q = base("llama2")["added_tokens"], base("qwen")["added_tokens"]
decoder = lambda added, **change: {str(a["id"]): {k: v for k, v in a.items() if k != "id"} | change.get(a["content"].strip("<>/|"), {}) for a in added}

folders = []


def row(name, base, *files, **patch):
    folders.append((name, base, patch, {k: v for f in files for k, v in f.items()}))


# Which class.
for cls in (None, "LlamaTokenizer", "LlamaTokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", "NoSuchTokenizer"):
    for b in ("llama2", "qwen", "llama3", "llama2-first", "gpt2"):
        for model in ({}, LLAVA, QWEN):
            if not (cls == "Qwen2TokenizerFast" and b == "llama2-first"):
                row("class", b, model, {T: {"tokenizer_class": cls} if cls else {}})
row("class", "llama2", {C: {"model_type": "qwen2_vl", "tokenizer_class": "LlamaTokenizer"}})
row("class", "qwen", {C: {"model_type": "llava", "tokenizer_class": "Qwen2Tokenizer"}})
row("class", "qwen", {C: {"model_type": "qwen2_5_vl", "tokenizer_class": "PreTrainedTokenizerFast"}}, {T: {"tokenizer_class": "Qwen2Tokenizer"}})
row("class", "unigram", QWEN)
row("class", "unigram", {T: {"tokenizer_class": "Qwen2Tokenizer"}})

# Options of a class.
for prefix in (True, False, None):
    for b, cls in (("qwen", "Qwen2TokenizerFast"), ("qwen", "PreTrainedTokenizerFast"), ("llama2", "LlamaTokenizer"), ("llama2", "PreTrainedTokenizerFast"), ("gpt2", "PreTrainedTokenizerFast")):
        row("add_prefix_space", b, {T: {"tokenizer_class": cls, "add_prefix_space": prefix}})
        row("add_prefix_space", b, QWEN, {T: {"tokenizer_class": cls, "add_prefix_space": prefix, "legacy": True}})
for legacy in (True, False, None):
    row("legacy", "llama2", {T: {"tokenizer_class": "LlamaTokenizer", "legacy": legacy}})
    row("legacy", "llama2", LLAVA, {T: {"tokenizer_class": "LlamaTokenizer", "legacy": legacy}})
for split in (True, False, None):
    for b in ("qwen", "llama2", "roberta"):
        for model in (LLAVA, QWEN):
            row("split_special_tokens", b, model, {T: {"split_special_tokens": split, "eos_token": "</s>", "extra_special_tokens": ["<new>"]}})
for clean in (True, False):
    for force in (True, False):
        for b in ("llama2", "qwen", "wordpiece", "unigram", "wordlevel"):
            row("clean_up_tokenization_spaces", b, LLAVA, {T: {"clean_up_tokenization_spaces": clean, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": force}})
for b in ("llama2", "llama3", "qwen", "unigram"):
    for model in (LLAVA, QWEN):
        for bos, eos in ((True, True), (False, False), (None, True)):
            row("add_bos_token, add_eos_token", b, model, {T: {"add_bos_token": bos, "add_eos_token": eos, "bos_token": "<s>", "eos_token": "</s>"}})
    row("add_bos_token, add_eos_token", b, LLAVA, {T: {"add_bos_token": True, "bos_token": "<s>"}}, post_processor=None)
row("model_max_length, padding_side, truncation_side", "llama2", LLAVA, {T: {"model_max_length": 3, "padding_side": "left", "truncation_side": "left"}})
row("truncation, padding", "llama2", LLAVA, truncation={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0})
PADDING = {"strategy": {"Fixed": 8}, "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 1, "pad_type_id": 0, "pad_token": "[P]"}
for t in ({}, {"pad_token": "<pad>"}, {"pad_token": None}):
    for model in (LLAVA, QWEN):
        row("truncation, padding", "llama2", model, {T: t}, padding=PADDING)
        row("truncation, padding", "qwen", model, {T: t}, padding=PADDING)

# Flags and ids of added tokens.
for flag in ("lstrip", "rstrip", "single_word", "normalized", "special"):
    for name in ("image", "s", "pad"):
        changed = decoder(L2, **{name: {flag: not next(a[flag] for a in L2 if a["content"] == f"<{name}>")}})
        for t in ({}, {"bos_token": "<s>", "pad_token": typed("<pad>", lstrip=True)}):
            row("flags of added tokens", "llama2", LLAVA, {T: {"added_tokens_decoder": changed} | t})
        row("flags of added tokens", "llama2", {T: {"added_tokens_decoder": changed, "tokenizer_class": "LlamaTokenizer"}})
    for name in ("im_end", "tool"):
        whole = f"<|{name}|>" if name == "im_end" else "<tool>"
        changed = decoder(Q, **{name: {flag: not next(a[flag] for a in Q if a["content"] == whole)}})
        for t in ({}, {"eos_token": "<|im_end|>"}, {"extra_special_tokens": ["<tool>"]}):
            row("flags of added tokens", "qwen", QWEN, {T: {"added_tokens_decoder": changed} | t})
            row("flags of added tokens", "qwen", LLAVA, {T: {"added_tokens_decoder": changed} | t})
        row("flags of added tokens", "qwen", QWEN25, added_tokens=[a | ({flag: not a[flag]} if a["content"] == whole else {}) for a in Q])
for model, b, added in ((LLAVA, "llama2", L2), (QWEN, "qwen", Q)):
    last = max(a["id"] for a in added)
    row("ids of added tokens", b, model, {T: {"added_tokens_decoder": decoder(added) | {str(last + 5): tok("<new>"), str(last + 1): tok("<newer>", special=False)}}})
    row("ids of added tokens", b, model, {T: {"added_tokens_decoder": {str(last): tok("<new>")}}})
    row("ids of added tokens", b, model, {T: {"added_tokens_decoder": {}}})
    row("ids of added tokens", b, model, {T: {"added_tokens_decoder": {"3": tok("a"), "900": {"content": "<new>", "rstrip": True}}}})
    row("ids of added tokens", b, model, added_tokens=[a | {"id": a["id"] + (a["id"] > last - 1) * 3} for a in added])
    row("ids of added tokens", b, model, added_tokens=list(reversed(added)))
    row("ids of added tokens", b, model, added_tokens=added[:-1])
    row("ids of added tokens", b, model, added_tokens=[])
    row("added_tokens.json", b, model, {A: {"<new>": last + 9, "<newer>": last + 4}})
    row("added_tokens.json", b, model, {A: {"<new>": last, "<newer>": 7, "word": last + 1}})
    row("added_tokens.json", b, model, {A: {"<new>": last + 1}, T: {"added_tokens_decoder": decoder(added)}})
    row("added_tokens.json", b, model, {A: {"<new>": last + 1, "<newer>": last + 2}, S: {"eos_token": "<new>", "extra_special_tokens": ["<newer>"]}})
    row("added_tokens.json", b, model, {A: {"<new>": last + 1}, T: {"eos_token": typed("<new>", lstrip=True)}})

# Named tokens.
for model, b in ((LLAVA, "llama2"), (QWEN, "qwen"), (LLAVA, "qwen"), ({}, "llama2")):
    for t, s in (({"eos_token": "</s>"}, {"eos_token": "<s>"}), ({"eos_token": "</s>"}, {"eos_token": None}), ({}, {"eos_token": {"content": "</s>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}}),
                 ({"eos_token": typed("</s>", rstrip=True)}, {}), ({"eos_token": None, "pad_token": None, "unk_token": None}, {}), ({"eos_token": "<new>", "pad_token": "<new>"}, {}),
                 ({"pad_token": "<P>", "bos_token": "<x>"}, {"sep_token": "<new>"}), ({"eos_token": typed("<new>", special=False, normalized=True, lstrip=True)}, {}),
                 ({"eos_token": "<image>", "mask_token": "<newer>"}, {"eos_token": {"content": "<image>", "rstrip": True}})):
        row("bos_token and the like", b, model, {T: t}, {S: s} if s else {})
        row("bos_token and the like", b, model, {T: t | {"added_tokens_decoder": decoder(L2 if b == "llama2" else Q)}}, {S: s} if s else {})
    for t, s in (({"extra_special_tokens": ["<new>", "<image>"]}, {}), ({"additional_special_tokens": ["<new>", "<tool>"]}, {}), ({"additional_special_tokens": ["<new>"], "extra_special_tokens": ["<newer>"]}, {}),
                 ({"additional_special_tokens": ["<new>"], "extra_special_tokens": []}, {}), ({"extra_special_tokens": [typed("<new>", lstrip=True, special=False)]}, {}), ({}, {"additional_special_tokens": ["<new>"]}),
                 ({"additional_special_tokens": ["<newer>"]}, {"additional_special_tokens": ["<new>"]}), ({"extra_special_tokens": ["<newer>"]}, {"extra_special_tokens": ["<new>", {"content": "<P>", "rstrip": True}]}),
                 ({}, {"extra_special_tokens": {"x_token": "<new>"}}), ({"extra_special_tokens": {"image_token": "<image>", "y": "<new>"}}, {}), ({"extra_special_tokens": None}, {}), ({"extra_special_tokens": ["<tool>", "a"]}, {})):
        row("extra_special_tokens, additional_special_tokens", b, model, {T: t}, {S: s} if s else {})
        row("extra_special_tokens, additional_special_tokens", b, model, {T: t | {"added_tokens_decoder": {}}}, {S: s} if s else {})
    for t, s in (({"image_token": "<image>"}, {}), ({"image_token": "<new>", "boi_token": "<newer>"}, {}), ({"image_token": typed("<new>", lstrip=True)}, {}), ({"image_token": "<new>"}, {"image_token": "<newer>", "z_token": "<P>"}),
                 ({"image_token": {"content": "<new>"}}, {}), ({"model_specific_special_tokens": {"odd": "<new>"}}, {}), ({"model_specific_special_tokens": {"odd": "<new>"}, "image_token": "<newer>"}, {}), ({}, {"image_token": {"content": "<new>", "lstrip": True}})):
        row("tokens a model names itself", b, model, {T: t}, {S: s} if s else {})

# Any of it together.
r = random.Random(4)
CONTENTS = ["<image>", "<s>", "</s>", "<pad>", "<unk>", "<|im_start|>", "<|im_end|>", "<tool>", "<new>", "<newer>", "<P>", "<x>", "a", "word", "caf\u00e9"]
any_tok = lambda: tok(r.choice(CONTENTS), **{f: True for f in ("lstrip", "rstrip", "single_word", "normalized") if r.random() < .25}, special=r.random() < .5)
for _ in range(400):
    t, s, files, patch = {}, {}, {}, {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token", "image_token", "z_token"):
        for where, p in ((t, .35), (s, .2)):
            if r.random() < p:
                where[name] = r.choice([r.choice(CONTENTS), r.choice(CONTENTS), typed(**any_tok()) if where is t else {k: v for k, v in any_tok().items() if k != "special"}, None])
    for where, p in ((t, .2), (s, .15)):
        if r.random() < p:
            where[r.choice(["extra_special_tokens", "additional_special_tokens"])] = r.sample(CONTENTS, r.randint(0, 3))
    if r.random() < .4:
        t["added_tokens_decoder"] = {str(r.choice([0, 1, 2, 420, 421, 422, 423, 520, 521, 522, 530])): any_tok() for _ in range(r.randint(0, 4))}
    if r.random() < .3:
        files[A] = {r.choice(CONTENTS): r.choice([420, 424, 521, 522, 523, 530]) for _ in range(r.randint(1, 3))}
    for name, p, values in (("add_prefix_space", .2, [True, False]), ("split_special_tokens", .1, [True]), ("legacy", .2, [True, False]), ("clean_up_tokenization_spaces", .2, [True]), ("add_bos_token", .2, [True, False]),
                            ("tokenizer_class", .5, ["LlamaTokenizer", "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"])):
        if r.random() < p:
            t[name] = r.choice(values)
    b = r.choice(["llama2", "llama2", "qwen", "qwen", "llama3", "gpt2", "llama2-first", "unigram", "wordpiece"])
    if b in ("unigram", "wordpiece") and r.random() < .8:
        t["tokenizer_class"] = "PreTrainedTokenizerFast"
    if r.random() < .3:
        added = [a | {f: not a[f] for f in ("lstrip", "rstrip", "normalized", "special") if r.random() < .2} for a in base(b)["added_tokens"]]
        r.shuffle(added)
        patch["added_tokens"] = added
    row("any", b, r.choice([{}, LLAVA, LLAVA, QWEN, QWEN25]), {T: t} if r.random() < .95 else {}, {S: s} if s else {}, files, **patch)

rows = [{"texts": TEXTS, "decode": DECODE}]
bases = {}
for name, b, patch, files in folders:
    with tempfile.TemporaryDirectory() as d:
        json.dump(bases.setdefault(b, base(b)) | patch, open(d + "/tokenizer.json", "w"))
        for file, content in files.items():
            json.dump(content, open(os.path.join(d, file), "w"))
        out = {"row": name, "base": b, "patch": patch, "files": files}
        try:
            t = AutoTokenizer.from_pretrained(d)
            out |= {"class": type(t).__name__, "size": len(t), "named": t.special_tokens_map, "ids": [t(x)["input_ids"] for x in TEXTS],
                    "decoded": [t.decode([i for i in ids if i < len(t)], skip_special_tokens=True) for ids in DECODE]}
        except BaseException as e:  # the library panics, too
            out["error"] = (type(e).__name__ + ": " + str(e).split("\n")[0]).replace(d, "")[:100]
        rows.append(out)
with open("folders.json.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(("[" + ",\n".join(json.dumps(x) for x in rows) + "]").encode())
print(len(rows) - 1, "folders", sum("error" in x for x in rows), "refused")
