"""Reads a built benchmark with pyarrow and says what it holds. Run by hand.

Usage: python check_build.py FOLDER   (needs pyarrow and pillow)
"""
import glob, io, json, sys
import pyarrow.parquet as pq
from PIL import Image

for path in sorted(glob.glob(sys.argv[1] + "/*/*.parquet")):
    rows = pq.read_table(path).to_pylist()
    for r in rows:
        images = r["images"] if "images" in r else [r["image"]]
        for im in images:
            Image.open(io.BytesIO(im["bytes"])).load()
        if "metadata" in r:
            assert all(m["Question"] and m["Answer"] for m in json.loads(r["metadata"]))
            continue
        assert json.loads(r["biography"])["Name"]
        for kind in ("Image_Textual_Questions", "Pure_Text_Questions"):
            for q in r["Classification_Task"][kind]:
                assert q["Options"][q["Correct_Answer"]] and sorted(q["Options"]) == list("ABCD")
        for t in ("Generation_Task", "Mask_Task"):
            assert all(q["Type"] in ("Image_Textual", "Pure_Text") and q["Question"] and q["Ground_Truth"] for q in r[t])
    print(path, len(rows), "rows:", ", ".join(rows[0]))
