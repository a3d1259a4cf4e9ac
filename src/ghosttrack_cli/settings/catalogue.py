"""Every setting once: its default, what it means and which words it takes; loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghosttrack_cli.penalties import PENALTIES
from ghosttrack_cli.site import POINTS, RESID_POST

DTYPES = ("auto", "float32", "float16", "bfloat16")
DEVICES = ("auto", "cpu", "cuda", "mps")
CORPORA = ("wikipedia", "python-docs")
TEXTS = ("store", "truthfulqa", "wikipedia")
LOGGER_NAMES = ("tensorboard", "wandb")

DEFAULT_CONTEXT = 1024
"""The most tokens of a window where no length is given."""
LARGE = 100_000
"""From here on a default is written with a unit; only amounts are that large."""


WEIGHTED = {name: one for name, one in PENALTIES.items() if one.term is not None}
"""The penalties that have a weight."""


@dataclass(frozen=True)
class Setting:
    """A setting's default and meaning; None is a default that is found out at run time."""

    default: Any
    meaning: str
    unset: str = ""
    """What holds where nobody sets it and the default is None."""
    words: tuple[str, ...] = ()
    """What it takes, or the best-known of what it takes."""

    @property
    def description(self) -> str:
        """The meaning, with what holds where it is not set."""
        return f"{self.meaning}; default: {self.unset}" if self.unset else self.meaning


CATALOGUE = {
    "preset": Setting(
        "recipe",
        "defaults of training: recipe (measured) or original (L1 penalty, learning rate 1e-4)",
        words=("recipe", "original"),
    ),
    "model.name": Setting("gpt2", "hub id or local folder of a decoder-only model"),
    "model.revision": Setting(None, "branch, tag or commit of the model on the hub", unset="main"),
    "model.device": Setting(
        "auto", "where the model runs: auto, cpu, cuda, cuda:1 or mps", words=DEVICES
    ),
    "model.dtype": Setting(
        "auto",
        "model precision: auto (bfloat16 on CUDA, otherwise float32), float32, float16 or bfloat16",
        words=DTYPES,
    ),
    "corpus.source": Setting(
        "wikipedia",
        "text: wikipedia, python-docs, a hub data set, .txt, .jsonl, .csv or .parquet files",
        words=CORPORA,
    ),
    "corpus.language": Setting("en", "language of wikipedia"),
    "corpus.date": Setting("20231101", "date of the wikipedia dump"),
    "corpus.config": Setting(None, "configuration of another hub data set", unset="its only one"),
    "corpus.split": Setting("train", "split of a hub data set"),
    "corpus.column": Setting("text", "column or JSON key that holds the text"),
    "corpus.encoding": Setting(
        None,
        "encoding of text files that are not UTF-8, UTF-16 or UTF-32, such as cp1252",
        unset="read from the bytes",
    ),
    "corpus.revision": Setting(None, "branch, tag or commit of the hub data set", unset="main"),
    "corpus.min_characters": Setting(100, "skip texts shorter than this"),
    "extraction.layers": Setting(
        "middle", "layers to store: 6, 0,6,11, 0-5, middle or all", words=("middle", "all")
    ),
    "extraction.hook": Setting(
        RESID_POST, f"where in each of these layers to read: {', '.join(POINTS)}", words=POINTS
    ),
    "extraction.tokens": Setting(1_000_000, "tokens to store per layer: 250000, 300k, 1M"),
    "extraction.context_length": Setting(
        None, "tokens per window", unset=f"the model's maximum, up to {DEFAULT_CONTEXT}"
    ),
    "extraction.batch_size": Setting(None, "windows per forward pass", unset="automatic"),
    "extraction.store_dtype": Setting(
        "auto",
        "precision of stored activations: auto (the model's), float32, float16 or bfloat16",
        words=DTYPES,
    ),
    "extraction.compress": Setting(
        "none",
        "chunk compression, with bitshuffle: none, lz4 or zstd",
        words=("none", "lz4", "zstd"),
    ),
    "extraction.retry_minutes": Setting(10.0, "minutes to retry when the hub is unreachable"),
    "sae.d_model": Setting(None, "width of the model", unset="read from the store"),
    "sae.d_hidden": Setting(4096, "number of features of each SAE"),
    "sae.threshold": Setting(0.001, "initial JumpReLU threshold"),
    "sae.bandwidth": Setting(0.01, "width of the straight-through estimator"),
    "sae.sparsity": Setting(
        "target",
        "what keeps few features active: "
        + ", ".join(f"{name} ({one.meaning})" for name, one in PENALTIES.items()),
        words=tuple(PENALTIES),
    ),
    "sae.lambda_sparse": Setting(
        None,
        "weight of the penalty",
        unset=", ".join(f"{one.weight:g} for {name}" for name, one in WEIGHTED.items()),
    ),
    "sae.target_l0": Setting(
        None,
        "target number of active features per token (L0)",
        unset="75, or the middle of target_sparsity_min and _max where both are set",
    ),
    "sae_training.epochs": Setting(20, "passes over the stored rows"),
    "sae_training.batch_size": Setting(4096, "rows per step"),
    "sae_training.learning_rate": Setting(
        None,
        "peak learning rate of Adam",
        unset="from target_l0, d_hidden, d_model and batch_size",
    ),
    "sae_training.weight_decay": Setting(0.0, "decoupled weight decay"),
    "sae_training.gradient_clip": Setting(0.1, "clip gradients to this global norm"),
    "sae_training.target_recon_loss": Setting(
        None,
        "largest reconstruction loss that the checklist accepts",
        unset="what is good at this L0 and width (docs/recipe.md)",
    ),
    "sae_training.target_sparsity_min": Setting(
        None,
        "fewest active features per token that are accepted",
        unset="two thirds of target_l0",
    ),
    "sae_training.target_sparsity_max": Setting(
        None,
        "most active features per token that are accepted",
        unset="four thirds of target_l0",
    ),
    "sae_training.schedule": Setting(
        "linear-decay",
        "constant with a linear decay at the end, or cosine annealing",
        words=("linear-decay", "cosine"),
    ),
    "sae_training.warmup_fraction": Setting(
        0.02, "share of steps spent warming up the learning rate"
    ),
    "sae_training.decay_fraction": Setting(0.5, "share of steps in which linear-decay falls to 0"),
    "sae_training.sparsity_warmup_fraction": Setting(
        0.1, "share of steps spent warming up lambda_sparse"
    ),
    "sae_training.val_fraction": Setting(0.05, "share of documents held out for validation"),
    "sae_training.evaluations": Setting(20, "evaluations on held-out rows during training"),
    "sae_training.evaluation_rows": Setting(
        None,
        "held-out rows of an evaluation during training",
        unset="an eighth of the rows trained on since the last one, from 8,192 to 65,536",
    ),
    "sae_training.patience": Setting(
        None, "stop after this many evaluations without improvement", unset="never"
    ),
    "sae_training.revive_rows": Setting(
        None,
        "rows without a firing after which a feature's threshold falls",
        unset="40 d_hidden / target_l0",
    ),
    "sae_training.max_dead_fraction": Setting(
        0.9, "stop training when more than this share of features is dead"
    ),
    "sae_training.checkpoint_minutes": Setting(5.0, "minutes between checkpoints"),
    "sae_training.checkpoint_steps": Setting(
        None, "also save a checkpoint every N steps", unset="only by time"
    ),
    "sae_training.seed": Setting(0, "random seed"),
    "sae_training.device": Setting(
        "auto", "where training runs: auto, cpu, cuda, cuda:1 or mps", words=DEVICES
    ),
    "sae_training.layers_at_once": Setting(
        None,
        "layers trained side by side on a CPU",
        unset="two if cores and memory allow",
    ),
    "sae_training.deterministic": Setting(
        default=False, meaning="bitwise reproducible training on a GPU (slower)"
    ),
    "sae_training.log_to": Setting(
        None,
        "also log metrics to: tensorboard, wandb or tensorboard,wandb",
        unset="neither",
        words=LOGGER_NAMES,
    ),
    "interpretation.texts": Setting(
        "store",
        "rows to read: store, truthfulqa, wikipedia, or a .txt, .jsonl, .csv or .parquet file",
        words=TEXTS,
    ),
    "interpretation.max_texts": Setting(
        None, "maximum number of texts to read", unset="all, of the hub the first 1,000"
    ),
    "interpretation.max_tokens": Setting(None, "maximum number of tokens to read", unset="all"),
    "interpretation.checkpoint": Setting(
        "best", "SAE to use: best or final", words=("best", "final")
    ),
    "interpretation.top_examples": Setting(10, "examples to keep per feature"),
    "interpretation.context_tokens": Setting(16, "tokens of context on each side of an example"),
    "interpretation.seed": Setting(0, "random seed for sampled examples"),
    "paths.workspace": Setting(Path("ghosttrack-data"), "folder for activations, SAEs and reports"),
    "paths.cache_dir": Setting(None, "cache of models and data sets", unset="Hugging Face's own"),
}


def written(value: Any) -> str:
    """A default as it is typed on the command line."""
    if type(value) is int and value >= LARGE and value % 1000 == 0:
        return f"{value // 10**6}M" if value % 10**6 == 0 else f"{value // 1000}k"
    return f"{value:g}" if isinstance(value, float) else str(value)


def shown_default(key: str) -> str:
    """What help says of a setting's default: a value, words, or nothing."""
    setting = CATALOGUE[key]
    return setting.unset if setting.default is None else written(setting.default)
