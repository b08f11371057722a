"""Golden losses and gradients of the methods that learn from answers as they are, by their formulas.

    python methods_golden.py > methods_golden.json

Written with torch 2.9.1, transformers 5.23.0 on CPU, float64. The model as it was is the tiny LLaVA of
model/testdata/golden/llava_mha; the student is that with some weights moved by `moved`. Questions are without an image.
"""
import copy
import json
import math
import os

import torch
import torch.nn.functional as F
from transformers import LlavaForConditionalGeneration

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "..", "..", "..", "model", "testdata", "golden", "llava_mha")
# Ends of the names of the weights that are trained, as files and transformers have them alike.
TRAINED = ["layers.1.self_attn.q_proj.weight", "layers.0.mlp.down_proj.weight", "lm_head.weight"]
# term, prompt, response with its end token
SAMPLES = [
    ("forget", [1, 5, 9, 10, 11], [12, 13, 2]),
    ("forget", [1, 6, 20, 21], [22, 23, 24, 25, 2]),
    ("retain", [1, 7, 30], [31, 2]),
    ("retain", [1, 8, 14, 15, 16, 17], [18, 19, 3, 2]),
    ("retain", [1, 4, 33], [34, 35, 36, 2]),
]
CASES = [
    dict(method="graddiff", alpha=0.7, beta=1.3, strength=0.1),
    dict(method="npo", alpha=1.0, beta=2.0, strength=0.5),
    dict(method="npo", alpha=0.6, beta=0.0, strength=0.05),
]


def move(model):
    for k, tail in enumerate(TRAINED):
        w = weight(model, tail)
        i = torch.arange(w.numel(), dtype=torch.float64)
        w.data += (0.15 * torch.sin(0.7 * i + k)).reshape(w.shape)


def weight(model, tail):
    hits = [p for n, p in model.named_parameters() if n.endswith(tail) and "vision" not in n]
    assert len(hits) == 1, (tail, len(hits))
    return hits[0]


def log_probs(model, prompt, response):
    """log p of each token of the response."""
    ids = torch.tensor([prompt + response])
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
    lp = F.log_softmax(logits, -1)
    at = torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1)
    return lp[at, torch.tensor(response)]


def terms(case, student, before):
    lp = [(t, log_probs(student, q, a), log_probs(before, q, a).detach()) for t, q, a in SAMPLES]
    retain = -torch.cat([x for t, x, _ in lp if t == "retain"]).mean()
    if case["method"] == "graddiff":
        forget = -torch.cat([x for t, x, _ in lp if t == "forget"]).mean()
        return forget, retain, -case["alpha"] * forget + case["beta"] * retain
    assert case["method"] == "npo", f"{case['method']} has no formula here"
    b = case["strength"]
    ratio = torch.stack([x.sum() - y.sum() for t, x, y in lp if t == "forget"])
    forget = (-2 / b * F.logsigmoid(-b * ratio)).mean()
    return forget, retain, case["alpha"] * forget + case["beta"] * retain


def main():
    before = LlavaForConditionalGeneration.from_pretrained(MODEL, dtype=torch.float32).double().eval()
    out = []
    for case in CASES:
        student = copy.deepcopy(before)
        move(student)
        forget, retain, loss = terms(case, student, before)
        loss.backward()
        grads = {t: [float(f"{g:.8g}") for g in weight(student, t).grad.flatten().tolist()] for t in TRAINED}
        assert all(math.isfinite(g) for gs in grads.values() for g in gs)
        out.append(dict(case, forget=forget.item(), retain=retain.item(), grads=grads))
    samples = [dict(term=t, prompt=q, response=a) for t, q, a in SAMPLES]
    print(json.dumps(dict(samples=samples, trained=TRAINED, cases=out)))


main()
