"""Training steps of a LoRA adapter in transformers + PEFT with SDPA attention.

The counterpart of `vgid bench step --shape llava-7b`: random weights of the
given config.json in bfloat16, frozen, an adapter on the decoder's linear layers,
every sequence one image and text, a loss on its last tokens only, clipping to
norm 1, AdamW. `--step vgid` adds the teacher, the model without the adapter, and
takes the divergence from it.

PEFT keeps the adapter in float32. Steps are measured with its products in
float32, as they come, and under autocast in bfloat16; the faster one is printed.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import LlavaConfig, LlavaForConditionalGeneration


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--config", required=True)
    flags.add_argument("--step", choices=["train", "vgid"], default="train")
    flags.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    flags.add_argument("--targets", required=True, help="expression that whole module names match")
    for name, value in [("batch", 4), ("tokens", 1024), ("answer", 128), ("rank", 16), ("alpha", 32), ("steps", 20), ("warmup", 3)]:
        flags.add_argument("--" + name, type=int, default=value)
    args = flags.parse_args()
    cuda = args.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device")

    torch.manual_seed(0)
    with open(args.config) as f:
        config = LlavaConfig.from_dict(json.load(f))
    config._attn_implementation = "sdpa"
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(args.device):
        model = LlavaForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=args.alpha, target_modules=args.targets))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)

    patches = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    image = config.image_token_id
    ids = torch.randint(image + 1 if image < 100 else 3, min(32000, config.text_config.vocab_size), (args.batch, args.tokens))
    ids[:, :patches] = image
    side = config.vision_config.image_size
    inputs = {
        "input_ids": ids.to(args.device),
        "attention_mask": None,
        "pixel_values": torch.zeros(args.batch, 3, side, side, dtype=torch.bfloat16, device=args.device),
        "logits_to_keep": args.answer + 1,
        "use_cache": False,
    }
    targets = inputs["input_ids"][:, -args.answer:]

    def logits():
        return model(**inputs).logits[:, :-1].float()

    def loss_of_step():
        if args.step == "vgid":
            with torch.no_grad(), model.disable_adapter():
                teacher = F.log_softmax(logits(), dim=-1)
            student = F.log_softmax(logits(), dim=-1)
            return F.kl_div(student, teacher, log_target=True, reduction="sum") / targets.numel()
        return F.cross_entropy(logits().flatten(0, 1), targets.flatten())

    def step(autocast):
        with torch.autocast(args.device, torch.bfloat16, enabled=autocast):
            loss = loss_of_step()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def measure(autocast):
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        for _ in range(args.warmup):
            step(autocast)
        seconds = []
        for _ in range(args.steps):
            start = time.perf_counter()
            step(autocast)
            if cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return {
            "step_ms_median": round(1000 * statistics.median(seconds), 3),
            "peak_bytes": torch.cuda.max_memory_allocated() if cuda else 0,
            "trained": sum(p.numel() for p in trained),
            "autocast": autocast,
        }

    print(json.dumps(min(measure(False), measure(True), key=lambda r: r["step_ms_median"])))


if __name__ == "__main__":
    main()
