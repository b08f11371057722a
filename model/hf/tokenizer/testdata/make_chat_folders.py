"""Golden folders: which chat template AutoProcessor of transformers takes where a folder has several; the tokenizer's where
the processor has none.

Needs: pip install transformers torch pillow (made with transformers 5.23.0). Run in this folder: python make_chat_folders.py
Writes chat_folders.json: a list of {"files": {name: content}, "out"} or with "error" instead.
"""
import json, logging, os, shutil, tempfile, warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
from transformers import AutoProcessor, AutoTokenizer  # noqa: E402

P, J, X, T, D = "processor_config.json", "chat_template.json", "chat_template.jinja", "tokenizer_config.json", "additional_chat_templates/"
named = lambda *names: [{"name": n, "template": n.upper()} for n in names]
field = lambda t: {"chat_template": t}
folders = [
    {X: "jinja"}, {T: field("config")}, {T: field("config"), X: "jinja"}, {T: field("config"), J: field("json")}, {J: field("json"), X: "jinja"},
    {P: field("processor"), J: field("json"), X: "jinja", T: field("config")}, {P: field(None), X: "jinja"}, {P: {}, J: field("json")}, {P: {}, T: field("config")},
    {D + "a.jinja": "A", X: "jinja"}, {D + "a.jinja": "A"}, {D + "default.jinja": "AD"}, {D + "default.jinja": "AD", X: "jinja"}, {D + "a.jinja": "A", T: field("config")},
    {D + "a.jinja": "A", J: field("json")}, {D + "a.txt": "A", T: field("config")}, {D + "a.jinja": "A", P: field("processor")}, {D + "a.jinja": "A", D + "default.jinja": "AD", T: field("config")},
    {J: field(None), T: field("config")}, {P: field({"default": "D", "x": "X"})}, {P: field({"x": "X"}), T: field("config")}, {J: field({"default": "D"})},
    {T: field(named("default", "x"))}, {T: field(named("x"))}, {T: field({"default": "D"})}, {T: field({"x": "D"})}, {},
    {X: "{{ bos_token }}{{ eos_token }}{{ image_token }}", T: {"bos_token": "<s>", "image_token": "<image>"}, "special_tokens_map.json": {"eos_token": "</s>"}},
    {X: "{{ bos_token }}{{ eos_token }}", T: {"bos_token": "<s>", "eos_token": "</s>", "added_tokens_decoder": {}}, "special_tokens_map.json": {"eos_token": "<pad>"}},
    {X: "{{ bos_token }}{{ eos_token }}", T: {"bos_token": "<s>", "eos_token": "</s>"}, "special_tokens_map.json": {"eos_token": "<pad>", "bos_token": None}},
    {X: "[{{ eos_token }}{{ pad_token }}]", "config.json": {"model_type": "qwen2_vl"}, "preprocessor_config.json": {"image_processor_type": "Qwen2VLImageProcessor"}},
]
rows = []
for files in folders:
    with tempfile.TemporaryDirectory() as d:
        shutil.copy("llama2/tokenizer.json", d)
        base = {"config.json": {"model_type": "llava"}, "preprocessor_config.json": {"image_processor_type": "CLIPImageProcessor"}}
        for name, content in {**base, **files}.items():
            path = os.path.join(d, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(content if isinstance(content, str) else json.dumps(content))
        row = {"files": {k: v if isinstance(v, str) else json.dumps(v) for k, v in files.items()}}
        for cls in (AutoProcessor, AutoTokenizer):
            try:
                row["out"] = cls.from_pretrained(d).apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
                break
            except Exception as e:
                row["error"] = (type(e).__name__ + ": " + str(e).split("\n")[0]).replace(d, "")[:100]
                if "does not have a chat template" not in str(e):
                    break
        if "out" in row:
            row.pop("error", None)
        rows.append(row)
with open("chat_folders.json", "w") as f:
    f.write("[" + ",\n".join(map(json.dumps, rows)) + "]\n")
print(len(rows), sum("error" in r for r in rows), "refused")
