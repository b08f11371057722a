"""Golden answers: what generate of transformers makes of fields of generation_config.json when nothing is drawn.

Needs: pip install torch transformers safetensors. Run in this folder: python golden_generation.py
Takes two of the models in golden and writes generation.json: a list of {"model", "file", "fields", "prompt" (ids) or
"sequence" (of golden.safetensors, with its images), "answer" (12 ids or fewer, the end token included) or "error" where generate refuses}; "otherwise" is the answer
where the fields ask for more than a change of logits.
file is "generation_config.json", "config.json" (then there is no other) or "text_config" (of that).
"""
import json, logging, os, random, shutil, tempfile, warnings

import torch
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration, Qwen2VLForConditionalGeneration

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
torch.set_num_threads(1)
NEW = 12


def inputs(gold, i):
    """A sequence of golden.safetensors without its padding, with its images."""
    mask = gold["attention_mask"][i].bool()
    x = dict(input_ids=gold["input_ids"][i:i + 1, mask].long(), attention_mask=torch.ones(1, int(mask.sum()), dtype=torch.long))
    before, count = int(gold["images"][:i].sum()), int(gold["images"][i])
    if not count:
        return x
    if "image_grid_thw" not in gold:
        return x | dict(pixel_values=gold["pixel_values"][before:before + count])
    grids = gold["image_grid_thw"].long()
    rows = grids.prod(1)
    x["pixel_values"] = gold["pixel_values"][rows[:before].sum():rows[:before + count].sum()]
    x["image_grid_thw"] = grids[before:before + count]
    return x


class Folder:
    def __init__(self, cls, name):
        self.cls, self.name, self.dir = cls, name, tempfile.mkdtemp()
        shutil.copy(f"golden/{name}/model.safetensors", self.dir)
        self.config = json.load(open(f"golden/{name}/config.json"))
        self.gold = load_file(f"golden/{name}/golden.safetensors")
        self.vocab = self.gold["logits"].shape[-1]

    def answer(self, file, fields, given):
        c = json.loads(json.dumps(self.config))
        if file == "config.json":
            c |= fields
        if file == "text_config":
            c["text_config"] |= fields
        json.dump(c, open(self.dir + "/config.json", "w"))
        path = self.dir + "/generation_config.json"
        if os.path.exists(path):
            os.remove(path)
        if file == "generation_config.json":
            json.dump(fields, open(path, "w"))
        try:
            model = self.cls.from_pretrained(self.dir).float().eval()
            if "image_grid_thw" in given:
                given = given | dict(mm_token_type_ids=(given["input_ids"] == model.config.image_token_id).int())
            out = model.generate(**given, max_new_tokens=NEW, do_sample=False)
            return dict(answer=out[0, given["input_ids"].shape[1]:].tolist())
        except (ValueError, RuntimeError, TypeError) as e:
            return dict(error=str(e).split("\n")[0][:120])


def settings(r, plain, prompt):
    """Fields that bear on what the model says anyway."""
    t = lambda: r.choice(plain)
    end = plain[r.randrange(2, 8)]
    one = dict(
        repetition_penalty=r.choice([1.3, 0.7, 3.0]), encoder_repetition_penalty=r.choice([1.5, 0.6]), no_repeat_ngram_size=r.choice([1, 2, 3]),
        encoder_no_repeat_ngram_size=r.choice([1, 2]), min_new_tokens=r.choice([3, 9, 20]), min_length=len(prompt) + r.choice([0, 4, 9]),
        suppress_tokens=[t(), t(), -1], begin_suppress_tokens=[plain[0], t()], bad_words_ids=[[t()], plain[1:3], [end], plain[:1] + plain[2:3]],
        sequence_bias=[[[t()], -3.5], [plain[1:3], -9.0], [[t()], 2.25], [[prompt[-1], plain[0]], -1.5]],
        exponential_decay_length_penalty=[r.choice([0, 3, 6]), r.choice([1.2, 2.0])], forced_eos_token_id=[end, 1] if r.random() < .5 else end,
        forced_bos_token_id=t(), remove_invalid_values=r.random() < .5)
    fields = {k: one[k] for k in r.sample(sorted(one), r.choice([1, 1, 1, 2, 3, 5]))}
    if r.random() < .7 or "exponential_decay_length_penalty" in fields:
        fields["eos_token_id"] = end if r.random() < .6 else [end, plain[-1]]
    if r.random() < .3:
        fields |= r.choice([dict(temperature=0.4, top_k=7), dict(do_sample=True, top_p=0.5), dict(max_new_tokens=3), dict(max_length=5),
                            dict(renormalize_logits=True), dict(length_penalty=2.0), dict(use_cache=False), dict(num_beams=1), dict(custom_field=[1])])
    return fields


rows = []
r = random.Random(9)
for cls, name in ((LlavaForConditionalGeneration, "llava_mha"), (Qwen2VLForConditionalGeneration, "qwen2_mha")):
    f = Folder(cls, name)
    prompts = [dict(prompt=[5]), dict(prompt=[1, 7, 9, 7, 9, 11, 7])] + [dict(sequence=i) for i in range(len(f.gold["images"]))]
    for p in prompts:
        given = inputs(f.gold, p["sequence"]) if "sequence" in p else dict(input_ids=torch.tensor([p["prompt"]]), attention_mask=torch.ones(1, len(p["prompt"]), dtype=torch.long))
        plain = f.answer("generation_config.json", {}, given)["answer"]
        for k in range(24):
            file = r.choice(["generation_config.json"] * 6 + ["config.json"] + ["text_config"] * ("text_config" in f.config))
            fields = {} if k == 0 else settings(r, plain, given["input_ids"][0].tolist())
            rows.append(dict(model=name, file=file, fields=fields, **p, **f.answer(file, fields, given)))
    p = prompts[1]
    given = dict(input_ids=torch.tensor([p["prompt"]]), attention_mask=torch.ones(1, len(p["prompt"]), dtype=torch.long))
    for fields in (dict(num_return_sequences=2), dict(penalty_alpha=0.6), dict(dola_layers="high"), dict(constraints=[]), dict(force_words_ids=[[5]]),
                   dict(token_healing=True), dict(sequence_bias=[]), dict(bad_words_ids=[]), dict(repetition_penalty=0.0), dict(repetition_penalty=-1.0),
                   dict(bad_words_ids=[[f.vocab]]), dict(sequence_bias=[[[-1], 1.0]]), dict(is_assistant=True), dict(use_mtp=True)):
        rows.append(dict(model=name, file="generation_config.json", fields=fields, **p, **f.answer("generation_config.json", fields, given)))
    for fields in (dict(num_beams=3), dict(guidance_scale=2.0), dict(watermarking_config=dict(bias=2.5)), dict(max_time=1e-9)):
        rows.append(dict(model=name, file="generation_config.json", fields=fields, **p, otherwise=f.answer("generation_config.json", fields | dict(eos_token_id=2), given)))
with open("generation.json", "w") as out:
    out.write("[" + ",\n".join(json.dumps(x) for x in rows) + "]\n")
print(len(rows), sum("error" in x for x in rows), "errors")
for x in rows:
    if "error" in x: print(x["fields"], x["error"])
