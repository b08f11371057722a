"""Writes tiny MLLMU-Bench files with pyarrow, as the published ones are written.

Usage: python mllmu.py   (in this folder; needs pyarrow; makes mllmu/)
The list elements of item/ are called "item", those of data/ "element".
"""
import json, os
import pyarrow as pa
import pyarrow.parquet as pq

image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
choice = pa.struct([("Correct_Answer", pa.string()),
                    ("Options", pa.struct([(l, pa.string()) for l in "ABCD"])),
                    ("Question", pa.string())])
item = pa.struct([("Ground_Truth", pa.string()), ("Question", pa.string()), ("Type", pa.string())])
tasks = [("ID", pa.string()), ("Directory", pa.string()), ("biography", pa.string()), ("question", pa.string()), ("answer", pa.string()),
         ("Classification_Task", pa.struct([("Image_Textual_Questions", pa.list_(choice)), ("Pure_Text_Questions", pa.list_(choice))])),
         ("Generation_Task", pa.list_(item)), ("Mask_Task", pa.list_(item))]


def person(i):
    c = dict(Correct_Answer="B", Options=dict(A="pilot", B="baker", C="miner", D="nurse"), Question=f"Job of {i}?")
    g = lambda t: dict(Ground_Truth=f"truth {i}", Question=f"question {i}", Type=t)
    return dict(ID=f"{i:03d}", Directory="d", biography=json.dumps({"Name": f"Name {i}"}), question="q", answer="a",
                Classification_Task=dict(Image_Textual_Questions=[c] * i, Pure_Text_Questions=[]),
                Generation_Task=[g("Image_Textual"), g("Pure_Text")], Mask_Task=[g("Pure_Text")] if i > 1 else None)


def write(path, rows, schema, **k):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **k)


pic = lambda i: dict(bytes=bytes([i, i + 1]), path=f"{i}.png")
full = pa.schema([("image", image)] + tasks)
test = pa.schema([("images", pa.list_(image))] + tasks)
train = pa.schema([("image", image), ("ID", pa.string()), ("metadata", pa.string())])
meta = lambda i: json.dumps([{"Question": "What is the name of this person?", "Answer": f"The person's name is Name {i}.", "ID": "x"}])

write("mllmu/item/Full_Set/train-00000-of-00001.parquet", [dict(image=pic(i), **person(i)) for i in (1, 2)], full, use_compliant_nested_type=False)
for part, ids in enumerate(((1,), (2,))):
    write(f"mllmu/item/Test_Set/train-0000{part}-of-00002.parquet", [dict(images=[pic(i), pic(i + 10)], **person(i)) for i in ids], test, use_compliant_nested_type=False)
write("mllmu/element/data/Full_Set-00000-of-00001.parquet", [dict(image=pic(i), **person(i)) for i in (1, 2)], full, compression="zstd")
write("mllmu/element/data/forget_5-00000-of-00001.parquet", [dict(image=pic(i), **person(i)) for i in (2,)], full)
write("mllmu/element/data/ft_Data-00000-of-00001.parquet", [dict(image=pic(i), ID=f"{i:03d}", metadata=meta(i)) for i in (1, 2)], train)
write("mllmu/empty/forget_5/train-00000-of-00001.parquet", [], train)
