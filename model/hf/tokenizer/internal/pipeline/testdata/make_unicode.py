"""Sends every code point through the reference library's normalizers and pre-tokenizers.

Needs: pip install tokenizers. Run in this folder: python make_unicode.py
Writes unicode.json.gz: for each component its JSON and, for each 4096 code points, the beginning of the
SHA-256 of what comes out. unicode_test.go does the same.
"""
import gzip, hashlib, json

from tokenizers import Regex, Tokenizer, models, normalizers as n, pre_tokenizers as p

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
NORMALIZERS = [n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.StripAccents(), n.Nmt(), n.BertNormalizer(),
               n.BertNormalizer(clean_text=False, strip_accents=True, lowercase=False)]
SPLITS = [p.Split(Regex(GPT2), "isolated"), p.Split(Regex(QWEN), "isolated"), p.Digits(individual_digits=True), p.Punctuation(),
          p.WhitespaceSplit(), p.Whitespace(), p.BertPreTokenizer()]
SPLITS += [p.Split(Regex(r), "isolated") for r in
           (r"\w", r"[^\w\s]+", r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"\p{Ll}|\d", r"[\p{P}\p{S}]", r"[[:alpha:]]", r"[^[:punct:][:space:]]")]


def text(block):
    # Between marks of low and high combining class, and letters and digits.
    return "".join(f"a\u0345{chr(c)}\u0334 {chr(c)}b{chr(c)}1\n" for c in range(block << 12, block + 1 << 12) if c > 0 and not 0xD800 <= c < 0xE000)


def digests(f):
    return [hashlib.sha256(f(text(b)).encode()).hexdigest()[:8] for b in range(0x110)]


rows = []
for c in NORMALIZERS:
    tok = Tokenizer(models.BPE())
    tok.normalizer = c
    rows.append({"normalizer": json.loads(tok.to_str())["normalizer"], "digests": digests(c.normalize_str)})
for c in SPLITS:
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = c
    rows.append({"pre_tokenizer": json.loads(tok.to_str())["pre_tokenizer"],
                 "digests": digests(lambda s: "\0".join(t for t, _ in c.pre_tokenize_str(s)))})
with open("unicode.json.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(json.dumps(rows).encode())
