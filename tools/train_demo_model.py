"""Train the packaged demo model: a small GPT-2 on the text that every CPython carries.

    PYTHONPATH=src python tools/train_demo_model.py --out FOLDER
    python tools/train_demo_model.py --out FOLDER --write-doc docs/demo-model.md

B batch, T context, V vocabulary. Losses are nats a token over held-out files; the baselines are
counted on the same training tokens and scored on the same held-out tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from ghosttrack_cli.text.python_docs import PythonDocsCorpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

END = "<|endoftext|>"
VOCABULARY = 4096
CONTEXT = 256
MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class Recipe:
    """What decides the weights, besides the text, the software and the hardware."""

    d_model: int = 192
    layers: int = 6
    heads: int = 6
    dropout: float = 0.1
    steps: int = 6000
    batch: int = 64
    lr: float = 2e-3
    final_lr: float = 2e-5
    warmup: float = 0.04
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    seed: int = 0
    minutes: float | None = None
    evaluations: int = 60
    eval_windows: int | None = None


@dataclass(frozen=True)
class Split:
    """Documents of one side as one row of tokens: each document, then the end-of-text token."""

    documents: int
    text_bytes: int
    tokens: Tensor  # (N,)


def read_documents(quick: bool) -> tuple[dict[str, Any], list[str], list[str], str]:
    """The corpus identity, training and validation texts, and the SHA-256 of all of them."""
    corpus = PythonDocsCorpus()
    stream = corpus.documents()
    sides: tuple[list[str], list[str]] = ([], [])
    digest = hashlib.sha256()
    for document in stream:
        sides[is_validation(stream.origin)].append(document.text)
        digest.update(document.text.encode("utf-8", "surrogatepass") + b"\0")
        if quick and document.id >= 400:
            break
    return corpus.identity(), *sides, digest.hexdigest()


def is_validation(origin: str) -> bool:
    """Whether a file or topic is held out, one in twenty: the same under every Python version."""
    return hashlib.sha256(f"held out? {origin}".encode()).digest()[0] % 20 == 0


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE over the training texts; any text round-trips."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, model_max_length=CONTEXT
    )


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Split:
    """Tokens of the texts in order, each text ended by the end-of-text token."""
    rows = tokenizer(texts, split_special_tokens=True, verbose=False)["input_ids"]
    end = tokenizer.eos_token_id
    tokens = torch.tensor([token for row in rows for token in [*row, end]])
    text_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return Split(len(texts), text_bytes, tokens)


def baselines(train: Tensor, held_out: Tensor) -> dict[str, float]:
    """Cross-entropy of unigram (add one) and bigram (Witten-Bell) models, nats a token.

    p(b | a) = (c(ab) + t(a) p(b)) / (c(a) + t(a)), t(a) the number of kinds of token after a
    (Witten and Bell 1991).
    """
    counts = torch.bincount(train, minlength=VOCABULARY).double()
    unigram = (counts + 1) / (counts.sum() + VOCABULARY)  # (V,)
    pairs = torch.bincount(train[:-1] * VOCABULARY + train[1:], minlength=VOCABULARY**2)
    pairs = pairs.view(VOCABULARY, VOCABULARY)  # (V, V)
    kinds = (pairs > 0).sum(1).clamp(min=1)  # (V,)
    before, after = held_out[:-1], held_out[1:]
    numerator = pairs[before, after] + kinds[before] * unigram[after]
    bigram = numerator / (pairs.sum(1) + kinds)[before]
    return {
        "unigram": -unigram[after].log().mean().item(),
        "bigram": -bigram.log().mean().item(),
    }


def windows(tokens: Tensor, starts: Tensor, begin: int) -> tuple[Tensor, Tensor]:
    """Inputs opened by the beginning-of-text token and the tokens that follow, both (B, T)."""
    targets = tokens[starts[:, None] + torch.arange(CONTEXT, device=tokens.device)]  # (B, T)
    opening = torch.full_like(targets[:, :1], begin)  # (B, 1)
    return torch.cat([opening, targets[:, :-1]], 1), targets


def shuffled_starts(count: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Starts of batches without end: each epoch cuts the tokens at another offset."""
    while True:
        offset = int(torch.randint(CONTEXT, (), generator=generator))
        starts = torch.arange(offset, count - CONTEXT + 1, CONTEXT)
        order = starts[torch.randperm(len(starts), generator=generator)]
        yield from (
            part for part in torch.split(order, batch) if len(part) == min(batch, len(starts))
        )


def loss_of(model: Any, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats; bfloat16 autocast on CUDA."""
    with torch.autocast("cuda", torch.bfloat16, enabled=inputs.is_cuda):
        logits = model(input_ids=inputs, use_cache=False).logits  # (B, T, V)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


@torch.no_grad()
def evaluate(model: Any, tokens: Tensor, begin: int, limit: int | None = None) -> float:
    """Mean loss over whole windows of held-out tokens, or over `limit` of them evenly spread."""
    was_training = model.training
    model.eval()
    starts = torch.arange(0, len(tokens) - CONTEXT + 1, CONTEXT)
    if limit is not None and limit < len(starts):
        starts = starts[torch.linspace(0, len(starts) - 1, limit).long()]
    total = 0.0
    for part in torch.split(starts, 32):
        loss = loss_of(model, *windows(tokens, part.to(tokens.device), begin))
        total += loss.item() * len(part)
    model.train(was_training)
    return total / len(starts)


def build_model(recipe: Recipe, begin: int) -> GPT2LMHeadModel:
    """A GPT-2 with fresh weights."""
    torch.manual_seed(recipe.seed)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=recipe.d_model,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        resid_pdrop=recipe.dropout,
        embd_pdrop=recipe.dropout,
        attn_pdrop=recipe.dropout,
        bos_token_id=begin,
        eos_token_id=begin,
    )
    return GPT2LMHeadModel(config)


def build_optimizer(model: GPT2LMHeadModel, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=recipe.betas)


def learning_rate(done: float, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine to the final rate; `done` is the share of the run."""
    if done < recipe.warmup:
        return recipe.lr * max(done, 1 / recipe.steps) / recipe.warmup
    cosine = 0.5 * (1 + math.cos(math.pi * (done - recipe.warmup) / (1 - recipe.warmup)))
    return recipe.final_lr + (recipe.lr - recipe.final_lr) * cosine


def train(
    recipe: Recipe, train_tokens: Tensor, held_out: Tensor, begin: int
) -> tuple[Any, list[dict[str, float]]]:
    """Train one model; gives it as it was at its lowest validation loss, and the curve."""
    device = train_tokens.device
    model: Any = build_model(recipe, begin)
    model.to(device).train()
    optimizer = build_optimizer(model, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    batches = shuffled_starts(len(train_tokens), recipe.batch, generator)
    started = last_shown = time.monotonic()
    curve: list[dict[str, float]] = []
    best_loss, best = math.inf, model.state_dict()
    running, since = torch.zeros((), device=device), 0
    next_evaluation, done = 1 / recipe.evaluations, 0.0
    step = 0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(done, recipe)
        loss = loss_of(model, *windows(train_tokens, next(batches).to(device), begin))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        step += 1
        running, since = running + loss.detach(), since + 1
        seconds = time.monotonic() - started
        done = max(step / recipe.steps, seconds / 60 / recipe.minutes if recipe.minutes else 0.0)
        if done < 1 and done < next_evaluation:
            continue
        next_evaluation += 1 / recipe.evaluations
        validation = evaluate(model, held_out, begin, recipe.eval_windows)
        curve.append(
            {
                "step": step,
                "train_loss": round(running.item() / since, 4),
                "val_loss": round(validation, 4),
                "seconds": round(seconds, 1),
            }
        )
        running, since = torch.zeros_like(running), 0
        if validation < best_loss:
            best_loss = validation
            best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        if done >= 1 or time.monotonic() - last_shown > 5:
            last_shown = time.monotonic()
            print(f"  {done:4.0%} {json.dumps(curve[-1])}", flush=True)
    model.load_state_dict(best)
    return model.eval(), curve


def save(model: Any, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the model in float16 and its tokenizer, and no generation settings."""
    model.to("cpu", torch.float16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.iterdir():
        if path.name in MODEL_FILES:
            path.chmod(0o644)
        elif path.is_file() and path.name != "training.json":
            path.unlink()


def table(record: dict[str, Any]) -> str:
    """The figures of a training record as a Markdown table."""
    data, result, software = record["data"], record["result"], record["software"]
    recipe, baseline = record["recipe"], record["baselines"]
    bits = data["validation"]["bits_per_nat_a_token"]
    rows = [
        ("validation loss", f"{result['val_loss']:.3f} nats a token"),
        ("", f"{result['val_loss'] * bits:.3f} bits a byte"),
        ("bigram baseline (Witten-Bell)", f"{baseline['bigram']:.3f} nats a token"),
        ("", f"{baseline['bigram'] * bits:.3f} bits a byte"),
        ("unigram baseline", f"{baseline['unigram']:.3f} nats a token"),
        ("", f"{baseline['unigram'] * bits:.3f} bits a byte"),
        ("parameters", f"{result['parameters']:,}"),
        ("model.safetensors", f"{result['bytes']:,} bytes, float16"),
        ("training text", f"{data['train']['documents']:,} documents"),
        ("", f"{data['train']['bytes']:,} bytes, {data['train']['tokens']:,} tokens"),
        ("held-out text", f"{data['validation']['documents']:,} documents"),
        ("", f"{data['validation']['bytes']:,} bytes, {data['validation']['tokens']:,} tokens"),
        ("best checkpoint", f"step {result['best_step']:,} of {result['steps']:,}"),
        ("epochs seen by then", f"{result['best_epochs']:.1f}"),
        ("batch, peak learning rate", f"{recipe['batch']} windows, {recipe['lr']}"),
        ("dropout, weight decay", f"{recipe['dropout']}, {recipe['weight_decay']}"),
        ("training time", f"{result['seconds']:.0f} s on {software['device']}"),
        ("Python (its text was used)", software["python"]),
        ("torch, transformers", f"{software['torch']}, {software['transformers']}"),
        ("hash of the text", f"`{data['sha256'][:16]}`"),
    ]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)])


def write_doc(record: dict[str, Any], doc: Path) -> None:
    """Replace what stands between the two markers of `doc` by the table of figures."""
    before, rest = doc.read_text(encoding="utf-8").split("<!-- figures -->\n")
    after = rest.split("<!-- end of figures -->")[1]
    figures = f"<!-- figures -->\n{table(record)}\n<!-- end of figures -->"
    doc.write_text(before + figures + after, encoding="utf-8")


def split_figures(split: Split) -> dict[str, float]:
    """Sizes of one side; nats a token times `bits_per_nat_a_token` are bits a byte."""
    return {
        "documents": split.documents,
        "bytes": split.text_bytes,
        "tokens": len(split.tokens),
        "bits_per_nat_a_token": len(split.tokens) / split.text_bytes / math.log(2),
    }


def software(device: torch.device) -> dict[str, str]:
    """What the run depended on besides text and recipe."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": name,
    }


def run(recipes: list[Recipe], device: torch.device, out: Path, *, quick: bool) -> None:
    """Read, tokenise, train every recipe, keep the best one, and record it all."""
    started = time.monotonic()
    identity, train_texts, held_out_texts, digest = read_documents(quick)
    tokenizer = train_tokenizer(train_texts)
    assert len(tokenizer) == VOCABULARY
    train_split, held_out = encode(tokenizer, train_texts), encode(tokenizer, held_out_texts)
    baseline = baselines(train_split.tokens, held_out.tokens)
    begin = tokenizer.bos_token_id
    print(f"{len(train_split.tokens):,} training, {len(held_out.tokens):,} held-out tokens")
    print(f"baselines: {json.dumps(baseline)}, prepared in {time.monotonic() - started:.0f} s")

    train_tokens, held_out_tokens = train_split.tokens.to(device), held_out.tokens.to(device)
    runs: list[tuple[float, int, Recipe, Any, list[dict[str, float]], dict[str, float]]] = []
    for recipe in recipes:
        print(f"dropout {recipe.dropout}, {recipe.steps} steps of {recipe.batch} windows")
        model, curve = train(recipe, train_tokens, held_out_tokens, begin)
        best = min(curve, key=lambda point: point["val_loss"])
        runs.append((best["val_loss"], len(runs), recipe, model, curve, best))
    _, _, recipe, model, curve, best = min(runs, key=lambda entry: entry[:2])

    out.mkdir(parents=True, exist_ok=True)
    save(model, tokenizer, out)
    saved = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    record = {
        "schema": 1,
        "recipe": asdict(recipe),
        "software": software(device),
        "data": {
            "corpus": identity,
            "sha256": digest,
            "train": split_figures(train_split),
            "validation": split_figures(held_out),
        },
        "baselines": baseline,
        "result": {
            "val_loss": evaluate(saved, held_out.tokens, begin),
            "parameters": saved.num_parameters(),
            "bytes": (out / "model.safetensors").stat().st_size,
            "steps": curve[-1]["step"],
            "best_step": best["step"],
            "best_epochs": best["step"] * recipe.batch * CONTEXT / len(train_split.tokens),
            "seconds": curve[-1]["seconds"],
        },
        "tried": [{"dropout": r.dropout, "val_loss": loss} for loss, _, r, *_ in runs],
        "curve": curve,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--minutes", type=float, help="end each run after this time at the latest")
    parser.add_argument("--batch", type=int, default=Recipe.batch, help="windows a step")
    parser.add_argument("--lr", type=float, default=Recipe.lr, help="peak learning rate")
    parser.add_argument(
        "--dropout",
        type=float,
        nargs="+",
        default=[0.1, 0.2, 0.3],
        help="one run each, best is kept",
    )
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--evaluations", type=int, default=Recipe.evaluations)
    parser.add_argument("--eval-windows", type=int, help="held-out windows an evaluation")
    parser.add_argument("--quick", action="store_true", help="little text, a few steps: a test")
    parser.add_argument("--write-doc", type=Path, help="no training: write figures of --out here")
    return parser.parse_args()


def main() -> None:
    """Train, or write the figures of a finished training into the docs."""
    arguments = parse_arguments()
    if arguments.write_doc:
        record = json.loads((arguments.out / "training.json").read_text(encoding="utf-8"))
        write_doc(record, arguments.write_doc)
        return
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    shared = {"lr": arguments.lr, "seed": arguments.seed, "minutes": arguments.minutes}
    if arguments.quick:
        recipes = [Recipe(**shared, steps=6, batch=4, evaluations=2, eval_windows=4)]
    else:
        size = {"steps": arguments.steps, "batch": arguments.batch}
        size["eval_windows"] = arguments.eval_windows
        size["evaluations"] = arguments.evaluations
        recipes = [Recipe(**shared, **size, dropout=dropout) for dropout in arguments.dropout]
    torch.set_float32_matmul_precision("high")
    run(recipes, torch.device(arguments.device), arguments.out, quick=arguments.quick)


if __name__ == "__main__":
    main()
