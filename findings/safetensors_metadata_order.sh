#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors with the same metadata give another file in every process.
#
# The entries of __metadata__ are written in the order of a hash map that is seeded anew in each process. A file with
# one entry (the usual {"format": "pt"}) is the same every time; with two or more, the bytes and so every hash of the
# file change although nothing in it does. Whoever records hashes of checkpoints, to tell whether two machines have
# the same weights or whether a file was touched, has to compare header and data parsed, or write one entry.
#
# Seen: 8 processes, one entry: 1 hash; five entries: more than one (mostly 8). Exit status 0 while this is so.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q safetensors==0.8.0 numpy==2.3.5
cat > "$tmp/save.py" <<'PY'
import hashlib, sys
import numpy as np
from safetensors.numpy import save

tensors = {"a": np.arange(4, dtype=np.float32), "b": np.ones(2, dtype=np.float32)}
metadata = {"format": "pt"} | ({"step": "100", "seed": "0", "base": "b", "data": "d"} if sys.argv[1] == "five" else {})
print(hashlib.sha256(save(tensors, metadata)).hexdigest())
PY
hashes() { for _ in 1 2 3 4 5 6 7 8; do "$tmp/env/bin/python" "$tmp/save.py" "$1"; done | sort -u | wc -l; }
one=$(hashes one) five=$(hashes five)
echo "hashes of one file in 8 processes: $one with one entry of metadata, $five with five"
[ "$one" = 1 ] && [ "$five" -gt 1 ] && echo 'as stated'
