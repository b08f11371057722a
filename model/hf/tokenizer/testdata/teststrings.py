"""Strings for comparing tokenizers: the same ones as the Go package teststrings makes, from a counter.

String i of a tokenizer depends on i, pieces.json and the tokenizer's added tokens only. Run in this
folder, python teststrings.py writes digests.json: for each tokenizer here, the SHA-256 of the ids of each
10,000 of 100,000 strings as the reference library gives them.
"""
import array, hashlib, json, os, sys

MASK = (1 << 64) - 1


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        # Seeds far apart on the counter: neighbours share no numbers.
        self.state = (seed * 0xD1342543DE82EF95 + 1) & MASK

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) % n


def load_pieces(tokenizer_json):
    """Lists of pieces by their kind, the added tokens of this tokenizer (64 at most) one of them."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "internal", "teststrings", "pieces.json"), encoding="utf-8") as f:
        pieces = json.load(f)
    with open(tokenizer_json, encoding="utf-8") as f:
        added = [t["content"] for t in json.load(f)["added_tokens"]][:64]
    return pieces + [added or ["<none>"]]


def make_string(pieces, i):
    r = Random(i)
    out = []
    for _ in range(1 + r.below(12)):
        kind = r.below(len(pieces) + 4)
        if kind < len(pieces):
            out.append(pieces[kind][r.below(len(pieces[kind]))])
        elif kind == len(pieces):  # a run of one blank or sign
            out.append("\u0020\n\t.\u00a0-=_\u3000"[r.below(9)] * (1 + r.below(20)))
        elif kind == len(pieces) + 1:  # a number
            out.append(str(r.below(10 ** (1 + r.below(12)))))
        elif kind == len(pieces) + 2:  # a neighbourhood of a script
            base = r.below(0x3200)
            out.extend(chr(base + r.below(24)) for _ in range(1 + r.below(8)))
        else:  # any code points
            for _ in range(1 + r.below(4)):
                c = r.below(0x110000 - 0x800)
                out.append(chr(c if c < 0xD800 else c + 0x800))
        if r.below(3) == 0:
            out.append(" ")
    return "".join(out)


def digests(folder, blocks=10, size=10_000):
    from tokenizers import Tokenizer
    path = os.path.join(folder, "tokenizer.json")
    tok, pieces = Tokenizer.from_file(path), load_pieces(path)
    for b in range(blocks):
        h = hashlib.sha256()
        for e in tok.encode_batch([make_string(pieces, i) for i in range(b * size, (b + 1) * size)]):
            ids = array.array("I", [len(e.ids), *e.ids])
            if sys.byteorder == "big":
                ids.byteswap()
            h.update(ids.tobytes())
        yield h.hexdigest()


if __name__ == "__main__":
    with open("digests.json", "w") as f:
        json.dump({d: list(digests(d)) for d in sorted(os.listdir(".")) if os.path.exists(f"{d}/tokenizer.json")}, f, indent=1)
