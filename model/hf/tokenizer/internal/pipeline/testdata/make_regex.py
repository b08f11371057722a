"""Sends short texts through the reference library's Split and Replace with regular expressions of its dialect.

Needs: pip install tokenizers. Run in this folder: python make_regex.py
Writes regex.json.gz: the texts, and for each expression with a behavior the pieces of every text, for each
with a content the text it becomes. The expressions are some of released tokenizers and random ones.
"""
import gzip, json, random

from tokenizers import Regex, Tokenizer, normalizers, models, pre_tokenizers

RELEASED = [
    r"(?=(\d{3})+(?!\d))", r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|\p{N}{1,3}",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"[!-/:-~！-／：-～‘-‟　-。]+", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ]+", r"[一-龥ࠀ-一가-퟿]+",
    r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", r"\w+|[^\w\s]+", r"^\s", r"\s+$", " {2,}",
]
ATOMS = ["a", "b", "A", r"\n", " ", ".", r"\w", r"\W", r"\d", r"\s", r"\S", r"\p{L}", r"\P{L}", r"\p{^Lu}", r"\p{M}", "[^a-c]", r"[^\W\d_]",
         r"[\w&&[^a]]", "[[:alpha:]]", "[^[:space:]a]", "[[:^digit:]x]", r"[^(\s|[.,!?])]", r"[^\S\n]", r"[a\-c]", "[-a]", "[a-]", "[]a]", r"[\]a]",
         r"[\d-x]", "[é-ü一-龥]", r"[\x{41}-\x{43}]", "é", r"\b", r"\B", "^", "$", r"\z", r"\Z", "(?=[A-Z])", r"(?!\S)", "(?<=a)", "(?<!a)",
         "(?i:b)", "(?m:.)", r"\h", r"\R", "[[a-c]&&[b-d]]", r"[^a&&\w]", "[&a]"]
FRAGMENTS = ["a", "b", "c", "A", "B", "é", "ß", "É", "1", "٣", "²", "_", " ", "\n", "\r\n", "\t", "\u200d", "क्षा", "日本", "ǅ", "'", "-", ".", "(", "|",
             "!", "?", "&", "]", "[", "x", "\u00a0", "\x00", "😀", "e\u0301", "½", "Ⅷ", "12345"]
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
r = random.Random(0)


def expression(depth=0):
    def atom():
        return r.choice(ATOMS) if depth > 1 or r.random() < 0.8 else "(?:" + expression(depth + 1) + ")"

    def counted():
        return atom() + r.choice(["", "", "", "", "+", "*", "?", "{1,3}", "{,2}", "+?", "*?"])
    return "|".join("".join(counted() for _ in range(r.randint(1, 3))) for _ in range(r.choice([1, 1, 2, 3])))


texts = ["".join(r.choice(FRAGMENTS) for _ in range(r.randint(1, 9))) for _ in range(12)] + ["  The 1234567 IDs\n\n x=[1], (2)|! ", "Ab aB\n c"]
cases = []
for i in range(300):
    expr = RELEASED[i] if i < len(RELEASED) else expression()
    try:
        c, tok = {}, Tokenizer(models.BPE())
        tok.pre_tokenizer = pre_tokenizers.Split(Regex(expr), r.choice(BEHAVIORS), invert=r.random() < 0.2)
        tok.normalizer = normalizers.Replace(Regex(expr), r.choice(["#", ""]))
    except Exception:  # Oniguruma counts no look-around
        continue
    c["pieces"] = [[p for p, _ in tok.pre_tokenizer.pre_tokenize_str(t)] for t in texts]
    c["replaced"] = [tok.normalizer.normalize_str(t) for t in texts]
    parts = json.loads(tok.to_str())
    cases.append(dict(c, split=parts["pre_tokenizer"], replace=parts["normalizer"]))
with open("regex.json.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write(json.dumps({"texts": texts, "cases": cases}).encode())
print(len(cases))
