"""Golden tokenizers: trains tiny tokenizers with the reference library and records their ids.

Needs: pip install tokenizers sentencepiece protobuf. Run in this folder: python make_tokenizers.py
Writes <name>/tokenizer.json, <name>/tokenizer_config.json, <name>/golden.json.gz.
Training Unigram and WordPiece differs from run to run; a tokenizer.json of these that exists is kept.
"""
import gzip, json, os, random

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"\p{N}| ", r"\p{N}{1,3}| ", 1)

WORDS = ("the a of person name is was born in what where does work city doctor engineer river old blue "
         "Amelia Kuznetsov Riga Latvia 1988 May 14 salary $75,000 it's don't we'll I'm THEY'RE they've he'd "
         "naïve café Łódź Ελλάδα Москва привет 東京 日本語 中文 한국어 العربية עברית हिन्दी ไทย 😀 👩‍👩‍👧 🇱🇻").split()


def corpus():
    r = random.Random(7)
    for _ in range(1500):
        yield " ".join(r.choice(WORDS) for _ in range(r.randint(3, 14))) + r.choice([".", "?", "!\n", "\n\n", "  "])


NASTY = ["", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "\n \n  x", "a", " a", "a ", "  a  b   c ",
         "it's IT'S don'T we'LL 're 've'm'd 'S 'ſ ſ's K", "'", "''", "'s", " 's", "1234567", "12 345,6", "½ ² Ⅻ ٣٤٥ ①",
         "<image>", "<image><image>", "a <image> b", "a<image>b", "  <image>  ", "<s>hi</s>", "<|im_start|>user\n<|im_end|>",
         "<mask>", "  <mask>  x", "x <mask>y", "word wordy sword word.", "_word word_ (word)", "Ａ fullwidth", "e\u0301 \u00e9 \u1e9b\u0323",
         "\u212b ﬁ", "\x00", "\x00\x01\x7f", "a\x00b", "\u200b\u200d\ufeff", "\u00a0x\u2003y\u3000z\u0085w", "\ufffd", "👩‍👩‍👧🇱🇻😀", "🏳️‍🌈 ok",
         "日本語 中文한국어", "العربية עברית", "हिन्दी ไทย", "Ελλάς ΣΑΣ", "İstanbul ß ẞ", "▁ ▁▁a ▁", "<0x41> <0x0A>", "a\u0300\u0301b", "\U0010ffff\U000e0001",
         "x" * 300, "ab" * 200, " " * 70, "\n" * 33, "..." * 40, "a.b,c;d:e!f?", "http://x.y/z?q=1&r=2#t", "{\"k\": [1, 2]}", "def f(x):\n\treturn x\n",
         "\u1680\u2028\u2029", "\u180e", "\x1c\x1d\x1e\x1f x", "$75,000 salary", "<imag", "<image", "<<image>>", "</s", "Ġ Ċ ġĠa", "é" * 50]


def charsmap():
    """A character map in SentencePiece's format: its own compiler makes it of these rules."""
    import io, tempfile
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    rules = {chr(0xff21 + i): chr(0x41 + i) for i in range(26)} | {chr(0xff41 + i): chr(0x61 + i) for i in range(26)}
    rules |= {"\ufb01": "fi", "\u2460": "1", "\u2026": "...", "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\r": " ", "e\u0301": "\u00e9",
              "a\u0300": "\u00e0", "o\u0308\u0301": "ö", "\u1100\u1161": "\uac00", "\u200b": "", "\u007f": "", "\u2122": "TM", "\u0130": "I"}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as f:
        for src, dst in rules.items():
            f.write(" ".join(f"{ord(c):X}" for c in src) + "\t" + " ".join(f"{ord(c):X}" for c in dst) + "\n")
        f.flush()
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([" ".join(WORDS)] * 20), model_writer=out, vocab_size=150,
                                                 hard_vocab_limit=False, normalization_rule_tsv=f.name, minloglevel=2)
    m = sentencepiece_model_pb2.ModelProto()
    m.ParseFromString(out.getvalue())
    return m.normalizer_spec.precompiled_charsmap


def strings(extra):
    r = random.Random(11)
    pool = NASTY + WORDS + extra + list(" \n\t\r'.-_09aZé中😀\u0301\u00a0\u200d")
    return NASTY + ["".join(r.choice(pool) for _ in range(r.randint(1, 9))) for _ in range(260)]


def write_gz(path, value):
    with open(path, "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        z.write(json.dumps(value, ensure_ascii=True).encode())


def save(name, tok, extra, config, keep=False):
    os.makedirs(name, exist_ok=True)
    if keep and os.path.exists(f"{name}/tokenizer.json"):
        tok = Tokenizer.from_file(f"{name}/tokenizer.json")
    else:
        tok.save(f"{name}/tokenizer.json", pretty=False)
    json.dump(config, open(f"{name}/tokenizer_config.json", "w"))
    rows = []
    for s in strings(extra):
        ids, plain = tok.encode(s).ids, tok.encode(s, add_special_tokens=False).ids
        rows.append({"text": s, "ids": ids, "plain": plain, "decoded": tok.decode(ids, skip_special_tokens=False),
                     "skipped": tok.decode(ids, skip_special_tokens=True)})
    # Ids that no text gives: broken byte sequences and strange orders.
    r = random.Random(5)
    for _ in range(120):
        ids = [r.randrange(tok.get_vocab_size()) for _ in range(r.randint(1, 7))]
        rows.append({"ids": ids, "decoded": tok.decode(ids, skip_special_tokens=False),
                     "skipped": tok.decode(ids, skip_special_tokens=True)})
    write_gz(f"{name}/golden.json.gz", rows)


def train(tok, size, special, alphabet):
    tok.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False, min_frequency=2))


ALPHABET = pre_tokenizers.ByteLevel.alphabet()

# GPT-2 style: what TrainBPE learns, too (the test compares vocabulary and merges).
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tok.decoder = decoders.ByteLevel()
tok.post_processor = processors.ByteLevel()
train(tok, 420, ["<pad>", "<s>", "</s>", "<unk>", "<image>"], ALPHABET)
save("gpt2", tok, ["<image>", "<s>", "</s>"], {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<pad>"})
write_gz("gpt2/corpus.json.gz", list(corpus()))

# GPT-2 style with a prefix space, lstrip/rstrip/single-word tokens and Roberta's post-processor.
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
tok.decoder = decoders.ByteLevel()
train(tok, 420, ["<s>", "</s>"], ALPHABET)
tok.add_tokens([AddedToken("word", single_word=True, normalized=True), AddedToken("<r>", rstrip=True)])
tok.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True), "<image>"])
tok.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
save("roberta", tok, ["<mask>", "<r>", "word", " <mask> ", " <r> "], {"bos_token": "<s>", "eos_token": "</s>"})

# Qwen style: NFC, regular expression split, no tokens around.
tok = Tokenizer(models.BPE())
tok.normalizer = normalizers.NFC()
tok.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(QWEN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tok.decoder = decoders.ByteLevel()
tok.post_processor = processors.ByteLevel(trim_offsets=False)
train(tok, 420, [], ALPHABET)
tok.add_special_tokens(["<|im_start|>", "<|im_end|>"])
tok.add_tokens([AddedToken("café", normalized=True), AddedToken("<tool>", normalized=False)])
save("qwen", tok, ["<|im_start|>", "cafe\u0301", "<tool>"], {"eos_token": "<|im_end|>"})

# Llama 3 style: digits by three, ignore_merges, begin-of-text template.
tok = Tokenizer(models.BPE(ignore_merges=True))
tok.pre_tokenizer = pre_tokenizers.Sequence([
    pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tok.decoder = decoders.ByteLevel()
train(tok, 420, ["<s>", "</s>"], ALPHABET)
tok.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                          processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])])
save("llama3", tok, ["<s>", "12345"], {"bos_token": "<s>", "eos_token": "</s>"})

# Llama 2 style: ▁ for spaces, byte fallback, whole text as one word.
tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
tok.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for training only
tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
train(tok, 520, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], [])
j = json.loads(tok.to_str())
j["pre_tokenizer"] = None
j["added_tokens"] = [t for t in j["added_tokens"] if t["id"] < 3]
tok = Tokenizer.from_str(json.dumps(j))
tok.add_special_tokens([AddedToken("<image>", normalized=False), AddedToken("<pad>", normalized=False)])
tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
save("llama2", tok, ["<image>", "<s>", "</s>"], {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"})

# The remaining parts: Metaspace, Digits, string split, normalizers, unknown tokens.
tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
tok.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
                                       normalizers.Strip(), normalizers.Replace(Regex(r"\.{2,}"), "$1…")])
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True),
                                             pre_tokenizers.Split("-", "merged_with_previous"),
                                             pre_tokenizers.Split(Regex(r"[,;:]+"), "removed"), pre_tokenizers.Split(Regex(r"[.?!]"), "contiguous")])
tok.decoder = decoders.Metaspace()
train(tok, 300, ["<unk>"], [])
save("meta", tok, ["...", "a-b--c", "x,;y", "12-34"], {})

# T5 style: Unigram behind SentencePiece's normalizer, here with a map of our own.
tok = Tokenizer(models.Unigram())
tok.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap()), normalizers.Strip(left=False, right=True),
                                       normalizers.Replace(Regex(" {2,}"), "▁")])
tok.pre_tokenizer = pre_tokenizers.Metaspace()
tok.decoder = decoders.Metaspace()
tok.train_from_iterator(corpus(), trainers.UnigramTrainer(vocab_size=400, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
tok.add_special_tokens([AddedToken("<extra_id_0>", lstrip=True, rstrip=True), "<image>"])
tok.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
save("unigram", tok, ["<extra_id_0>", " <extra_id_0> ", "<image>", "\uff21\uff22", "e\u0301", "\ufb01", "\u2460"], {"eos_token": "</s>", "pad_token": "<pad>"}, keep=True)

# Unigram with bytes for unknown characters, the text in one piece.
tok = Tokenizer(models.Unigram())
tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
tok.train_from_iterator(corpus(), trainers.UnigramTrainer(
    vocab_size=600, special_tokens=["<unk>", "<s>"] + [f"<0x{b:02X}>" for b in range(256)], unk_token="<unk>", show_progress=False))
j = json.loads(tok.to_str())
j["model"]["byte_fallback"] = True
j["added_tokens"] = [t for t in j["added_tokens"] if t["id"] < 2]
save("unigram-bytes", Tokenizer.from_str(json.dumps(j)), ["<s>"], {"bos_token": "<s>"}, keep=True)

# BERT style.
tok = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
tok.normalizer = normalizers.BertNormalizer()
tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tok.decoder = decoders.WordPiece()
tok.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=420, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
tok.add_tokens([AddedToken("Quux", normalized=True)])
tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
save("wordpiece", tok, ["[SEP]", "Quux", "quux", "it ' s do not"], {"pad_token": "[PAD]"}, keep=True)

# Whole words.
tok = Tokenizer(models.WordLevel(unk_token="[UNK]"))
tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Lowercase()])
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(),
                                             pre_tokenizers.CharDelimiterSplit("x")])
tok.train_from_iterator(corpus(), trainers.WordLevelTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False))
save("wordlevel", tok, ["axb", "?!.", "12a"], {})


def fallback_bpe(name, normalizer, pre, decoder):
    """A byte-fallback BPE with these parts, its merges those of llama2."""
    j = json.load(open("llama2/tokenizer.json"))
    tok = Tokenizer.from_str(json.dumps(j))
    tok.normalizer, tok.pre_tokenizer, tok.decoder = normalizer, pre, decoder
    j = json.loads(tok.to_str())
    save(name, Tokenizer.from_str(json.dumps(j)), ["<image>", "<s>", " <s> "], {"bos_token": "<s>", "eos_token": "</s>"})


fallback_bpe("gemma", normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
             decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))
# Llama 2 as transformers writes it with legacy=False.
fallback_bpe("llama2-first", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
             decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))
