"""Which flag of which command sets which setting: one table for parser, messages and reference."""

from __future__ import annotations

from dataclasses import dataclass

EXTRACT, TRAIN, INTERPRET, RUN, DEMO = "extract", "train", "interpret", "run", "demo"
PROMPT = "prompt"
LIST = "list"


@dataclass(frozen=True)
class Flag:
    """A flag that sets `keys`; `names[0]` is the one that messages and references use."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    metavar: str
    help: str
    commands: tuple[str, ...]

    @property
    def parameter(self) -> str:
        """The flag as the name of a Python parameter."""
        return self.names[0].removeprefix("--").replace("-", "_")


FLAGS = (
    Flag(
        ("--layers", "--layer"),
        ("extraction.layers",),
        "LAYERS",
        "layers to store: 6, 0,6,11, 0-5, middle or all",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--tokens",),
        ("extraction.tokens",),
        "AMOUNT",
        "tokens to store per layer: 250000, 300k, 1M",
        (EXTRACT, RUN, DEMO),
    ),
    Flag(
        ("--model",),
        ("model.name",),
        "MODEL",
        "hub id or local folder of a decoder-only model",
        (EXTRACT, INTERPRET, PROMPT, RUN),
    ),
    Flag(
        ("--revision",),
        ("model.revision",),
        "NAME",
        "branch, tag or commit of the model on the hub",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--corpus",),
        ("corpus.source",),
        "TEXT",
        "text: wikipedia, python-docs, a hub data set, .txt, .jsonl, .csv or .parquet files",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--column",),
        ("corpus.column",),
        "NAME",
        "column or JSON key that holds the text",
        (EXTRACT, INTERPRET, RUN),
    ),
    Flag(
        ("--encoding",),
        ("corpus.encoding",),
        "NAME",
        "encoding of text files that are not UTF-8, UTF-16 or UTF-32, such as cp1252",
        (EXTRACT, INTERPRET, RUN),
    ),
    Flag(
        ("--min-characters",),
        ("corpus.min_characters",),
        "N",
        "skip texts shorter than this",
        (EXTRACT, INTERPRET, RUN),
    ),
    Flag(
        ("--context-length",),
        ("extraction.context_length",),
        "N",
        "tokens per window (default: the model's maximum, up to 1024)",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--batch-size",),
        ("extraction.batch_size",),
        "N",
        "windows per forward pass (default: automatic)",
        (EXTRACT,),
    ),
    Flag(
        ("--dtype",),
        ("model.dtype",),
        "TYPE",
        "model precision: auto, float32, float16 or bfloat16",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--store-dtype",),
        ("extraction.store_dtype",),
        "TYPE",
        "precision of stored activations: auto (the model's), float32, float16 or bfloat16",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--compress",),
        ("extraction.compress",),
        "CODEC",
        "chunk compression: none, lz4 or zstd",
        (EXTRACT, RUN),
    ),
    Flag(
        ("--d-hidden",),
        ("sae.d_hidden",),
        "N",
        "number of features of each SAE",
        (TRAIN, RUN),
    ),
    Flag(
        ("--epochs",),
        ("sae_training.epochs",),
        "N",
        "passes over the stored rows",
        (TRAIN, RUN, DEMO),
    ),
    Flag(
        ("--batch-size",),
        ("sae_training.batch_size",),
        "N",
        "rows per step",
        (TRAIN,),
    ),
    Flag(
        ("--learning-rate",),
        ("sae_training.learning_rate",),
        "RATE",
        "peak learning rate of Adam",
        (TRAIN, RUN),
    ),
    Flag(
        ("--target-l0",),
        ("sae.target_l0",),
        "N",
        "target number of active features per token (L0)",
        (TRAIN, RUN),
    ),
    Flag(
        ("--sparsity",),
        ("sae.sparsity",),
        "MODE",
        "target (L0 held), batchtopk, or a fixed weight: l0, l1 or tanh",
        (TRAIN, RUN),
    ),
    Flag(
        ("--preset",),
        ("preset",),
        "NAME",
        "defaults of training: recipe (measured) or seed (the original values)",
        (TRAIN, RUN),
    ),
    Flag(
        ("--seed",),
        ("sae_training.seed",),
        "N",
        "random seed",
        (TRAIN, RUN),
    ),
    Flag(
        ("--log-to",),
        ("sae_training.log_to",),
        "NAMES",
        "also log metrics to: tensorboard, wandb or tensorboard,wandb",
        (TRAIN, RUN),
    ),
    Flag(
        ("--texts",),
        ("interpretation.texts",),
        "TEXT",
        "rows to read: store, truthfulqa, wikipedia, or a .txt, .jsonl, .csv or .parquet file",
        (INTERPRET, LIST, RUN),
    ),
    Flag(
        ("--max-texts",),
        ("interpretation.max_texts",),
        "N",
        "maximum number of texts to read",
        (INTERPRET,),
    ),
    Flag(
        ("--max-tokens",),
        ("interpretation.max_tokens",),
        "AMOUNT",
        "maximum number of tokens to read",
        (INTERPRET,),
    ),
    Flag(
        ("--top-examples",),
        ("interpretation.top_examples",),
        "N",
        "examples to keep per feature",
        (INTERPRET,),
    ),
    Flag(
        ("--checkpoint",),
        ("interpretation.checkpoint",),
        "WHICH",
        "SAE to use: best or final",
        (INTERPRET, PROMPT),
    ),
    Flag(
        ("--device",),
        ("model.device",),
        "DEVICE",
        "where the model runs: auto, cpu, cuda, cuda:1 or mps",
        (EXTRACT, INTERPRET, PROMPT),
    ),
    Flag(
        ("--device",),
        ("sae_training.device",),
        "DEVICE",
        "where training runs: auto, cpu, cuda, cuda:1 or mps",
        (TRAIN,),
    ),
    Flag(
        ("--device",),
        ("model.device", "sae_training.device"),
        "DEVICE",
        "where model and training run: auto, cpu, cuda, cuda:1 or mps",
        (RUN,),
    ),
)
WORKSPACE = Flag(
    ("--workspace",),
    ("paths.workspace",),
    "DIR",
    "folder for activations, SAEs and reports",
    (),
)


def flags_of(command: str) -> tuple[Flag, ...]:
    """The setting flags that `command` takes, in the order of its help."""
    return tuple(flag for flag in FLAGS if command in flag.commands)


def flag_names(key: str) -> tuple[str, ...]:
    """The flags that set `key`, each once."""
    return tuple(dict.fromkeys(flag.names[0] for flag in (*FLAGS, WORKSPACE) if key in flag.keys))
