#!/usr/bin/env bash
# Pillow 13.0.0: a BMP of 8 bits a pixel whose palette is exactly black and white is read as one of 1 bit a pixel. The
# picture that comes out is another one, and nothing is said.
#
# The depth is taken from what the palette looks like and not from the header. Scans, masks and diagrams that a program
# kept as 8-bit BMP have such palettes. With the colours the other way round, or with a white that is off by one, the
# same pixels are read as they are. Two relatives are at least refused: run-length coded rows that are empty, and a
# bitmap that ends before its last row, which the format permits ("not enough image data").
#
# Seen: a chessboard of 8 x 4 pixels comes back with 2 of its 16 white pixels. Exit status 0 while this is so.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/env"
"$tmp/env/bin/pip" install -q pillow==13.0.0 numpy==2.3.5
cat > "$tmp/bmp.py" <<'PY'
import io
import struct

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 8, 4


def bmp(data, palette, compression=0):
    colours = b"".join(bytes([b, g, r, 0]) for r, g, b in palette)
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8, compression, len(data), 2835, 2835, len(palette), 0)
    start = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + colours + data


def read(name, raw):
    try:
        picture = Image.open(io.BytesIO(raw))
        white = np.asarray(picture.convert("L")) > 127
    except ValueError as e:
        print(f"{name}: {e}")
        return
    print(f"{name}: mode {picture.mode}, {'as drawn' if (white == board).all() else f'{white.sum()} of {board.sum()} white pixels'}")


board = np.indices((HEIGHT, WIDTH)).sum(0) % 2 == 1
rows = board[::-1].astype(np.uint8)
read("black and white", bmp(rows.tobytes(), [(0, 0, 0), (255, 255, 255)]))
read("white and black", bmp((1 - rows).tobytes(), [(255, 255, 255), (0, 0, 0)]))
read("black and nearly white", bmp(rows.tobytes(), [(0, 0, 0), (254, 255, 255)]))
grey = [(i, i, i) for i in range(256)]
read("run lengths, an empty row", bmp(bytes([8, 50, 0, 0, 0, 0, 8, 200, 0, 0, 8, 100, 0, 1]), grey, 1))
read("run lengths, an early end", bmp(bytes([8, 50, 0, 0, 8, 100, 0, 1]), grey, 1))
PY
cat > "$tmp/expected" <<'EXPECTED'
black and white: mode 1, 2 of 16 white pixels
white and black: mode P, as drawn
black and nearly white: mode P, as drawn
run lengths, an empty row: not enough image data
run lengths, an early end: not enough image data
EXPECTED
"$tmp/env/bin/python" "$tmp/bmp.py" | tee "$tmp/seen"
diff "$tmp/expected" "$tmp/seen" && echo 'as stated'
