"""Which flag of which command sets which setting: one table for parser, messages and reference."""

from __future__ import annotations

from dataclasses import dataclass

from ghosttrack_cli.settings.catalogue import CATALOGUE, shown_default

EXTRACT, TRAIN, INTERPRET, RUN, DEMO = "extract", "train", "interpret", "run", "demo"
PROMPT = "prompt"
IMPORT = "import"
LIST = "list"


@dataclass(frozen=True)
class Flag:
    """A flag that sets `keys`; `names[0]` is the one that messages and references use."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    metavar: str
    commands: tuple[str, ...]
    of_all: str = ""
    """What a flag of several settings means; one of a single setting means what that means."""

    @property
    def meaning(self) -> str:
        """What the flag sets, as the settings file has it."""
        return self.of_all or CATALOGUE[self.keys[0]].meaning

    def help(self, default: str | None = None) -> str:
        """The line of the help; `default` is a command's own instead of the setting's."""
        shown = shown_default(self.keys[0]) if default is None else default
        return with_default(f"{self.meaning[0].upper()}{self.meaning[1:]}.", shown)

    @property
    def parameter(self) -> str:
        """The flag as the name of a Python parameter."""
        return self.names[0].removeprefix("--").replace("-", "_")


FLAGS = (
    Flag(("--layers", "--layer"), ("extraction.layers",), "LAYERS", (EXTRACT, RUN)),
    Flag(("--hook",), ("extraction.hook",), "POINTS", (EXTRACT, RUN)),
    Flag(("--tokens",), ("extraction.tokens",), "AMOUNT", (EXTRACT, RUN, DEMO)),
    Flag(("--model",), ("model.name",), "MODEL", (EXTRACT, INTERPRET, PROMPT, IMPORT, RUN)),
    Flag(("--revision",), ("model.revision",), "NAME", (EXTRACT, RUN)),
    Flag(("--corpus",), ("corpus.source",), "TEXT", (EXTRACT, RUN)),
    Flag(("--column",), ("corpus.column",), "NAME", (EXTRACT, INTERPRET, RUN)),
    Flag(("--encoding",), ("corpus.encoding",), "NAME", (EXTRACT, INTERPRET, RUN)),
    Flag(("--min-characters",), ("corpus.min_characters",), "N", (EXTRACT, INTERPRET, RUN)),
    Flag(("--context-length",), ("extraction.context_length",), "N", (EXTRACT, RUN)),
    Flag(("--batch-size",), ("extraction.batch_size",), "N", (EXTRACT,)),
    Flag(("--dtype",), ("model.dtype",), "TYPE", (EXTRACT, RUN)),
    Flag(("--store-dtype",), ("extraction.store_dtype",), "TYPE", (EXTRACT, RUN)),
    Flag(("--compress",), ("extraction.compress",), "CODEC", (EXTRACT, RUN)),
    Flag(("--d-hidden",), ("sae.d_hidden",), "N", (TRAIN, RUN)),
    Flag(("--epochs",), ("sae_training.epochs",), "N", (TRAIN, RUN, DEMO)),
    Flag(("--batch-size",), ("sae_training.batch_size",), "N", (TRAIN,)),
    Flag(("--learning-rate",), ("sae_training.learning_rate",), "RATE", (TRAIN, RUN)),
    Flag(("--target-l0",), ("sae.target_l0",), "N", (TRAIN, RUN)),
    Flag(("--sparsity",), ("sae.sparsity",), "MODE", (TRAIN, RUN)),
    Flag(("--preset",), ("preset",), "NAME", (TRAIN, RUN)),
    Flag(("--seed",), ("sae_training.seed",), "N", (TRAIN, RUN)),
    Flag(("--log-to",), ("sae_training.log_to",), "NAMES", (TRAIN, RUN)),
    Flag(("--texts",), ("interpretation.texts",), "TEXT", (INTERPRET, LIST, RUN)),
    Flag(("--max-texts",), ("interpretation.max_texts",), "N", (INTERPRET,)),
    Flag(("--max-tokens",), ("interpretation.max_tokens",), "AMOUNT", (INTERPRET,)),
    Flag(("--top-examples",), ("interpretation.top_examples",), "N", (INTERPRET,)),
    Flag(("--checkpoint",), ("interpretation.checkpoint",), "WHICH", (INTERPRET, PROMPT)),
    Flag(("--device",), ("model.device",), "DEVICE", (EXTRACT, INTERPRET, PROMPT, IMPORT)),
    Flag(("--device",), ("sae_training.device",), "DEVICE", (TRAIN,)),
    Flag(
        ("--device",),
        ("model.device", "sae_training.device"),
        "DEVICE",
        (RUN,),
        "where model and training run: auto, cpu, cuda, cuda:1 or mps",
    ),
)
WORKSPACE = Flag(("--workspace",), ("paths.workspace",), "DIR", ())


def flags_of(command: str) -> tuple[Flag, ...]:
    """The setting flags that `command` takes, in the order of its help."""
    return tuple(flag for flag in FLAGS if command in flag.commands)


def flag_names(key: str) -> tuple[str, ...]:
    """The flags that set `key`, each once."""
    return tuple(dict.fromkeys(flag.names[0] for flag in (*FLAGS, WORKSPACE) if key in flag.keys))


def with_default(words: str, default: str) -> str:
    """A help line, with what holds where the option is not given."""
    return f"{words} [default: {default}]" if default else words
