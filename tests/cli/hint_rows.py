"""How each hint is provoked, and what a person does who follows it as it is printed.

`what` is the message as the source has it, "*" where something is put in, or "function()" where the
message is made elsewhere. `follow` are alternatives: a command of the hint, an option of it for
`line`, "no --option" to leave it out, "NAME=value" for the environment, "" for `line` again.
"""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from ghosttrack_cli import files
from ghosttrack_cli.cli.app import run_program
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.files import system
from ghosttrack_cli.model.hook_points import BLOCK_TAPS
from ghosttrack_cli.store.format import layout
from ghosttrack_cli.training.measure import guard

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    import pytest
    from tests.hub.server import Hub

DATA = Path("ghosttrack-data")
EXTRACT = "extract --model {model} --corpus {texts} --layers 0,2 --tokens 2k"
GROWN = "ghosttrack extract --layers 0,2 --tokens 3000 && ghosttrack train --layers 0,2 --overwrite"
DEMO_BEGAN = "the demo has begun"


@dataclass(frozen=True)
class Scene:
    """The folder that a row is played in, which is the current one."""

    patch: pytest.MonkeyPatch
    model: Path
    texts: Path
    held: ExitStack
    hub: Hub


def nothing(scene: Scene) -> None:
    """The state that the base has."""


@dataclass(frozen=True)
class Row:
    """One hint."""

    what: str
    line: str
    follow: tuple[str, ...]
    base: Literal["empty", "stored", "trained", "read"] = "empty"
    prepare: Callable[[Scene], None] = nothing
    then: str | None = None
    """The message that comes instead of success, where following leads on to something else."""
    again: bool = True
    """Whether `line` itself works after a command of the hint was run."""
    slow: bool = False


def write(name: str, text: str | bytes) -> Callable[[Scene], None]:
    """A file in the current folder."""

    def prepare(scene: Scene) -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return prepare


def lines_of(name: str, column: str = "text", **more: object) -> Callable[[Scene], None]:
    """A .jsonl file of a few texts."""
    record = {column: "A text that is long enough to be read by anyone, and longer. " * 4, **more}
    return write(name, (json.dumps(record) + "\n") * 8)


def copied(name: str, copy: str) -> Callable[[Scene], None]:
    """A file under another name, too."""

    def prepare(scene: Scene) -> None:
        shutil.copy(name, copy)

    return prepare


def blocks_without_parts(scene: Scene) -> None:
    """A model as Mamba, whose blocks add one thing to the stream."""
    found = "ghosttrack_cli.model.residual.find_taps"
    scene.patch.setattr(found, lambda model, _ids: [dict(BLOCK_TAPS) for _ in model.blocks])


def config_alone(scene: Scene) -> None:
    """A model's folder, `bare`, without weights."""
    Path("bare").mkdir()
    shutil.copy(scene.model / "config.json", "bare")


def no_demo(scene: Scene) -> None:
    """The demo ends where its stages begin; Path("blocked") and Path("full") are in its way."""

    def began(*_: object) -> None:
        raise UsageError(DEMO_BEGAN)

    scene.patch.setattr("ghosttrack_cli.cli.actions.demo.run_all", began)
    Path("blocked").write_text("a file")
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")


def both(*steps: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """One after another."""

    def prepare(scene: Scene) -> None:
        for step in steps:
            step(scene)

    return prepare


def gone(name: str) -> Callable[[Scene], None]:
    """Something deleted behind the program's back."""

    def prepare(scene: Scene) -> None:
        path = DATA / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return prepare


def damaged(pattern: str, *, every: bool = False) -> Callable[[Scene], None]:
    """A byte in the middle of a file, or of all, that is another one now."""

    def prepare(scene: Scene) -> None:
        found = sorted(DATA.glob(pattern))
        assert found, pattern
        for path in found if every else found[:1]:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 0x5A
            path.write_bytes(content)

    return prepare


def resealed(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Scene], None]:
    """A sealed file with another content, sealed again."""

    def prepare(scene: Scene) -> None:
        document = files.read_sealed(DATA / name)
        change(document)
        document.pop("checksum", None)
        files.write_sealed(DATA / name, document)

    return prepare


def half_characters_on_the_hub(scene: Scene) -> None:
    """A data set, some/halves, with bytes that are no text."""
    folder = scene.hub.root / "datasets" / "some" / "halves"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_bytes(b"half of a pair \xed\xa0\x80 and more\n" * 40)


def answer_no(scene: Scene) -> None:
    """Somebody who does not want anything deleted."""
    scene.patch.setattr("ghosttrack_cli.cli.terminal.console.Console.confirm", lambda *_: False)


def at_work(scene: Scene) -> None:
    """Another extraction, which ends before the same command is given again."""
    DATA.mkdir(exist_ok=True)
    lock = layout.lock_path(DATA / "activations.zarr")
    scene.held.enter_context(files.exclusive_lock(lock, purpose="extract"))


def without_locks(scene: Scene) -> None:
    """A file system that takes no locks under one of two folders."""
    real = system.try_lock

    def try_lock(descriptor: int, *, shared: bool) -> bool:
        if "ghosttrack-data" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOLCK, "No locks available")
        return real(descriptor, shared=shared)

    scene.patch.setattr(system, "try_lock", try_lock)


def little_room(bytes_free: int) -> Callable[[Scene], None]:
    """A disk with so many bytes."""

    def prepare(scene: Scene) -> None:
        scene.patch.setattr(files, "free_bytes", lambda _: bytes_free)

    return prepare


def little_memory(scene: Scene) -> None:
    """Windows of more than 16 tokens in float32 do not fit."""
    from ghosttrack_cli.model.residual import ResidualModel

    real = ResidualModel.residuals

    def residuals(model: Any, ids: Any, layers: Any) -> Any:
        if ids.shape[1] > 16 and model.dtype.itemsize == 4:
            raise MemoryError
        return real(model, ids, layers)

    scene.patch.setattr(ResidualModel, "residuals", residuals)


def changed_weights(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Scene], None]:
    """The model with other weights, in the folder `name`."""

    def prepare(scene: Scene) -> None:
        from safetensors.torch import load_file, save_file

        shutil.copytree(scene.model, name)
        weights = load_file(Path(name) / "model.safetensors")
        change(weights)
        save_file(weights, Path(name) / "model.safetensors", {"format": "pt"})

    return prepare


def louder(weights: dict[str, Any]) -> None:
    """Values that float16 does not hold."""
    weights["transformer.wte.weight"] *= 1e5


def quieter(weights: dict[str, Any]) -> None:
    """Another model."""
    weights["transformer.wte.weight"] *= 0.5


def judged(**figures: float) -> Callable[[Scene], None]:
    """The first evaluation of a training with other figures."""

    def prepare(scene: Scene) -> None:
        real, left = guard.check_entry, [1]

        def check(layer: int, history: Any, entry: dict[str, float], *more: Any) -> None:
            if left:
                left.pop()
                entry = entry | figures
                if "before" in figures:
                    history = SimpleNamespace(columns={"recon_loss": [figures["before"]]})
            real(layer, history, entry, *more)

        scene.patch.setattr(guard, "check_entry", check)

    return prepare


def no_library(scene: Scene) -> None:
    """A Python without its sources."""
    Path("empty").mkdir()
    scene.patch.setattr("ghosttrack_cli.text.python_docs.sysconfig.get_path", lambda _: "empty")


def few_windows(scene: Scene) -> None:
    """More than two windows at once do not fit."""
    from ghosttrack_cli.model.residual import ResidualModel

    real = ResidualModel.residuals

    def residuals(model: Any, ids: Any, layers: Any) -> Any:
        if len(ids) > 2:
            raise MemoryError
        return real(model, ids, layers)

    scene.patch.setattr(ResidualModel, "residuals", residuals)


def half_precision(scene: Scene) -> None:
    """SAEs of a model whose activations float16 does not hold, read in float16."""
    changed_weights("loud", louder)(scene)
    for line in (
        f"extract --model loud --corpus {scene.texts} --tokens 1k --layers 0",
        "train --d-hidden 32 --target-l0 6 --epochs 1",
    ):
        assert run_program([*line.split(), "--quiet"]) == 0
    scene.patch.setenv("GHOSTTRACK_MODEL__DTYPE", "float16")


def hub(kind: Literal["drop", "hang"] | int | None = None) -> Callable[[Scene], None]:
    """The stand-in of the hub, which fails like that until somebody tries again."""

    def prepare(scene: Scene) -> None:
        if kind is not None:
            scene.hub.fail(kind)
            scene.held.callback(scene.hub.heal)

    prepare.needs_hub = True  # type: ignore[attr-defined]
    return prepare


def of_model(scene: Scene) -> None:
    """A settings file that names the model and the text."""
    Path("ghosttrack.toml").write_text(
        f'[model]\nname = "{scene.model}"\n[corpus]\nsource = "{scene.texts}"\n'
        '[extraction]\ntokens = "1k"\nlayers = "0"\n'
    )


def adapter(name: str, *, alone: bool) -> Callable[[Scene], None]:
    """A model's folder with a PEFT adapter beside its weights, or the adapter alone."""

    def prepare(scene: Scene) -> None:
        if not alone:
            shutil.copytree(scene.model, name)
        write(f"{name}/adapter_config.json", "{}")(scene)
        write(f"{name}/adapter_model.safetensors", "")(scene)

    return prepare


def other_model(scene: Scene) -> None:
    """The model with other weights, in the folder `other`."""
    changed_weights("other", quieter)(scene)


def only_layer_0(scene: Scene) -> None:
    """A store that was made again with fewer layers."""
    line = f"extract --model {scene.model} --corpus {scene.texts} --layers 0 --tokens 2k"
    assert run_program([*line.split(), "--overwrite", "--yes", "--quiet"]) == 0


def nowhere(scene: Scene) -> None:
    """A hub that nobody answers for."""
    from huggingface_hub import constants

    scene.patch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def stored_own(scene: Scene) -> None:
    """A store of 300 rows of own.jsonl."""
    line = f"extract --model {scene.model} --corpus own.jsonl --tokens 300 --quiet"
    assert run_program(line.split()) == 0


def offline(scene: Scene) -> None:
    """HF_HUB_OFFLINE is read when huggingface_hub is imported."""
    from huggingface_hub import constants

    scene.patch.setattr(constants, "HF_HUB_OFFLINE", True)


ROWS: tuple[Row, ...] = (
    Row("file already exists: *", "config init", ("--yes",), prepare=of_model),
    Row(
        "demo uses its own settings file",
        "demo --config own.toml",
        ("no --config",),
        prepare=both(no_demo, write("own.toml", "")),
        then=DEMO_BEGAN,
    ),
    Row(
        "demo uses its own settings file",
        "demo --config own.toml",
        ("ghosttrack run --config own.toml --workspace ghosttrack-data",),
        "read",
        copied("ghosttrack.toml", "own.toml"),
        again=False,
    ),
    Row(
        "demo only uses a folder of its own: * holds *",
        "demo --workspace full",
        ("no --workspace", "--workspace fresh"),
        prepare=no_demo,
        then=DEMO_BEGAN,
    ),
    Row(
        "demo cannot use *: *",
        "demo --workspace blocked",
        ("no --workspace", "--workspace fresh"),
        prepare=no_demo,
        then=DEMO_BEGAN,
    ),
    Row(
        "--checkpoint: * is neither best nor final",
        "export --checkpoint middle",
        ("--checkpoint best",),
        "trained",
    ),
    Row(
        "no interpreted layer in *",
        "interpret list --layer 0",
        ("ghosttrack interpret",),
        "trained",
    ),
    Row(
        "no report over *, there are reports over *",
        "interpret list --layer 0 --source nothing",
        ("--source store",),
        "read",
    ),
    Row("* available: *", "interpret list", ("--layer 0",), "read"),
    Row("* available: *", "interpret --layer 7 --feature 3", ("--layer 0",), "read"),
    Row(
        "* available: *",
        "interpret list --layer 2",
        ("ghosttrack interpret --layers 2",),
        "read",
        gone("interpretations/layer_2"),
    ),
    Row(
        "--feature: * is not valid, layer * has features 0 to *",
        "interpret --layer 0 --feature 32",
        ("ghosttrack interpret list --layer 0",),
        "read",
        again=False,
    ),
    Row(
        "*: * is not valid, it takes one of *",
        "interpret list --layer 0 --sort loudness",
        ("ghosttrack interpret list --help",),
        "read",
        again=False,
    ),
    Row(
        "--layer: name one layer",
        "interpret --feature 3 --layers 0,2",
        ("--layer 0 --feature 3",),
        "read",
    ),
    Row(
        "--layers: layer * has no *, available: *",
        "train --layers 1",
        ("ghosttrack status",),
        "trained",
        again=False,
    ),
    Row(
        "a layer was trained on * rows, * are requested",
        "run --tokens 3k",
        (GROWN,),
        "trained",
        slow=True,
    ),
    Row(
        "* is placed before the command *",
        "interpret --layers 0 list",
        ("ghosttrack interpret list --layer 0",),
        "read",
        again=False,
    ),
    Row(
        "* is placed before the command *",
        "interpret --top-examples 3 list",
        ("ghosttrack interpret list --help",),
        "read",
        again=False,
    ),
    Row("--overwrite would delete *", "interpret --overwrite", ("--yes",), "read"),
    Row("nothing was deleted", "train --overwrite", ("no --overwrite",), "trained", answer_no),
    Row(
        "context_length out of range: *, must be 2 to *",
        f"{EXTRACT} --context-length 64",
        ("--context-length 32", "no --context-length"),
    ),
    Row(
        "offline: cannot get *, HF_HUB_OFFLINE is set",
        "extract --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=offline,
    ),
    Row(
        "offline: cannot get *, HF_HUB_OFFLINE is set",
        "extract --model {model} --tokens 1k",
        ("--corpus {texts}",),
        prepare=offline,
    ),
    Row(
        "model: not a folder: *",
        "extract --model {texts} --corpus {texts} --tokens 1k",
        ("--model {model}",),
    ),
    Row(
        "model: no such folder, and not a hub id: *",
        "extract --model ./nowhere --corpus {texts} --tokens 1k",
        ("--model {model}",),
    ),
    Row(
        "no model: * has no *",
        "extract --model full --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=no_demo,
    ),
    Row(
        "no model: * has no *",
        "extract --model full --corpus {texts} --tokens 1k",
        ("ghosttrack demo",),
        prepare=no_demo,
        then=DEMO_BEGAN,
        again=False,
    ),
    Row(
        "not a choice of layers: *",
        "extract --model {model} --corpus {texts} --tokens 1k --layers first",
        ("--layers 0", "--layers middle", "--layers all"),
    ),
    Row(
        "no hook point * in block * of *",
        "extract --model {model} --corpus {texts} --tokens 1k --layers 0 --hook mlp_in",
        ("--hook resid_pre", "--hook resid_post"),
        prepare=blocks_without_parts,
    ),
    Row(
        "layer out of range: *, must be 0 to *",
        "extract --model {model} --corpus {texts} --tokens 1k --layers 0-5",
        ("--layers 0",),
    ),
    Row("device: no such device: *", "train --device gpu", ("--device cpu",), "stored"),
    Row("device: not supported: *", "train --device meta", ("--device auto",), "stored"),
    Row(
        "device: * requested, but torch * sees * * devices",
        "train --device cuda:7",
        ("--device auto", "--device cpu"),
        "stored",
    ),
    Row(
        "*: no such file: *",
        "status --config nowhere.toml",
        ("ghosttrack config init --path nowhere.toml",),
    ),
    Row(
        "*: not valid TOML: *",
        "status --config broken.toml",
        ("ghosttrack config init --path example.toml",),
        prepare=write("broken.toml", "[sae\n"),
        again=False,
    ),
    Row("no activation store: *", "train", ("ghosttrack extract",), prepare=of_model, slow=True),
    Row(
        "bad chunk: *, chunk *: *: *",
        "train --overwrite --yes",
        ("ghosttrack extract --repair",),
        "trained",
        damaged("activations.zarr/layers/00/resid_post/c/*/*"),
    ),
    Row(
        "the store was made with different settings: *",
        f"{EXTRACT} --context-length 16",
        ("no --context-length", "--workspace other", "--overwrite"),
        "stored",
    ),
    Row(
        "not an activation store, and not empty: *",
        EXTRACT,
        ("--workspace other",),
        prepare=write("ghosttrack-data/activations.zarr/mine.txt", "mine"),
    ),
    Row(
        "no column *: * has *",
        "extract --model {model} --corpus body.jsonl --tokens 200",
        ("--column body",),
        prepare=lines_of("body.jsonl", "body"),
    ),
    Row(
        "* holds *, no text: *",
        "extract --model {model} --corpus two.jsonl --tokens 200 --column number",
        ("--column text",),
        prepare=lines_of("two.jsonl", number=3),
    ),
    Row(
        "no usable text: all * texts are blank or shorter than * characters: *",
        "extract --model {model} --corpus short.txt --tokens 20",
        ("--min-characters 1",),
        prepare=write("short.txt", "Short, but there.\n\n" * 5),
    ),
    Row(
        "*: *, *: *",
        "extract --model {model} --corpus latin.txt --tokens 200",
        ("--encoding cp1252", "--encoding latin-1"),
        prepare=write("latin.txt", ("Café à la carte, déjà vu. " * 30).encode("latin-1")),
    ),
    Row(
        "*: *, *: *",
        "extract --model {model} --corpus utf8.txt --tokens 200 --encoding ascii",
        ("--encoding utf-8", "no --encoding"),
        prepare=write("utf8.txt", "Café à la carte, déjà vu. " * 30),
    ),
    Row(
        "no such file or folder: *",
        "extract --model {model} --corpus ./nowhere.txt --tokens 1k",
        ("--corpus {texts}", "--corpus python-docs"),
        slow=True,
    ),
    Row(
        "no such file or folder: *",
        "interpret --texts ./nowhere.txt",
        ("--texts store", "--texts {texts}"),
        "trained",
        slow=True,
    ),
    Row(
        "no readable text file: **",
        "extract --model {model} --corpus full --tokens 1k",
        ("--corpus {texts}",),
        prepare=write("full/notes.docx", "no text"),
    ),
    Row(
        "target_l0: * active features per token cannot be reached with d_hidden = *",
        "train --target-l0 40",
        ("--d-hidden 64", "--target-l0 8"),
        "stored",
    ),
    Row(
        "target_l0: * requested, but with sparsity = * it is the k of a row, a whole number from 1",
        "train --sparsity topk --target-l0 4.5",
        ("--target-l0 4",),
        "stored",
    ),
    Row(
        "check_same()",
        "run --d-hidden 48",
        ("ghosttrack train --d-hidden 48 --overwrite", "no --d-hidden"),
        "trained",
        slow=True,
    ),
    Row("check_same()", "train --d-hidden 48", ("no --d-hidden", "--overwrite"), "trained"),
    Row(
        "--max-tokens * is less than the first window has: * tokens",
        "interpret --texts {texts} --max-tokens 3",
        ("--max-tokens 9999",),
        "trained",
        slow=True,
    ),
    Row(
        "the store was made with a different model: *",
        "interpret --model other",
        ("no --model",),
        "trained",
        other_model,
        slow=True,
    ),
    Row(
        "the SAE * was trained on another model or layer",
        "interpret --model other --texts {texts} --max-tokens 500",
        ("no --model",),
        "trained",
        other_model,
        slow=True,
    ),
    Row(
        "not enough disk space: *: * tokens of * layers need * more, * is free*",
        "extract --model {model} --corpus {texts} --layers all --tokens 20k",
        ("--tokens 2k", "--layers 0"),
        prepare=little_room(2_200_000),
    ),
    Row(
        "the store was made with different settings: *",
        "extract --model {model} --corpus own.jsonl --tokens 600",
        ("--overwrite", "--workspace other"),
        prepare=both(lines_of("own.jsonl"), stored_own, lines_of("own.jsonl", more="x" * 9)),
    ),
    Row(
        "neither a local folder nor a name the hub can have: *",
        "extract --model {model} --corpus a--b/c --tokens 1k",
        ("--corpus {texts}",),
    ),
    Row(
        "no Python sources in the standard library: *",
        "extract --model {model} --corpus python-docs --tokens 1k",
        ("--corpus {texts}",),
        prepare=no_library,
    ),
    Row(
        "*: not a JSON object with the section's keys",
        "status",
        ("GHOSTTRACK_SAE= && GHOSTTRACK_SAE__D_HIDDEN=64",),
        prepare=lambda scene: scene.patch.setenv("GHOSTTRACK_SAE", '{"d_hidden'),
    ),
    Row(
        "out of memory with * windows per batch (committed rows are kept): *",
        f"{EXTRACT} --batch-size 4",
        ("--batch-size 2 --workspace other",),
        prepare=few_windows,
    ),
    Row(
        "activations are not finite: layer *, document *, position *",
        "interpret --texts {texts} --max-tokens 500",
        ("GHOSTTRACK_MODEL__DTYPE=float32",),
        prepare=half_precision,
        slow=True,
    ),
    Row(
        "the hub is unavailable (HTTP *), while getting *",
        "extract --corpus {texts} --tokens 1k",
        ("", "--model {model}"),
        prepare=hub(503),
        slow=True,
    ),
    Row(
        "the hub does not answer: *, for *",
        "extract --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=hub("hang"),
        slow=True,
    ),
    Row(
        "connection to the hub lost while fetching *: *",
        "extract --corpus {texts} --tokens 1k",
        ("", "--model {model}"),
        prepare=hub("drop"),
        slow=True,
    ),
    Row(
        "cannot use *: *",
        "extract --model {model} --corpus wikimedia/wikipedia --tokens 1k",
        ("GHOSTTRACK_CORPUS__CONFIG=20231101.en",),
        prepare=hub(),
        slow=True,
    ),
    Row(
        "no split *: * has *",
        "extract --model {model} --corpus wikipedia --tokens 1k",
        ("GHOSTTRACK_CORPUS__SPLIT=train",),
        prepare=both(hub(), lambda scene: scene.patch.setenv("GHOSTTRACK_CORPUS__SPLIT", "none")),
        slow=True,
    ),
    Row(
        "the store was made from different text: *",
        "extract --corpus wikipedia",
        ("no --corpus",),
        "stored",
        nowhere,
    ),
    Row(
        "--max-texts * is less than the * answers to one question",
        "interpret --texts truthfulqa --max-texts 1",
        ("--max-texts 12",),
        "trained",
        hub(),
        slow=True,
    ),
    Row(
        "--sort *: layer * was not read over true and false answers",
        "interpret list --layer 0 --sort separation",
        ("ghosttrack interpret --texts truthfulqa",),
        "read",
        hub(),
        again=False,  # 32 tokens of context end within the question
        slow=True,
    ),
    Row(
        "*: *",
        "interpret --layer 0 --feature 3",
        ("ghosttrack interpret --layers 0 --texts store",),
        "read",
        gone("interpretations/layer_0/store/features/000.json"),
    ),
    Row(
        "*: *",
        "interpret list --layer 2",
        ("ghosttrack interpret --layers 2 --texts store",),
        "read",
        damaged("interpretations/layer_2/store/report.json"),
    ),
    Row(
        "*: unknown setting*",
        "status --config own.toml",
        ("ghosttrack config init --path example.toml",),
        prepare=write("own.toml", "[sae]\nwobble = 1\n"),
        again=False,
    ),
    Row(
        "_finished()",
        "train",
        ("ghosttrack train --layers 0 --overwrite",),
        "trained",
        both(
            damaged("checkpoints/sae_layer_0_progress.json"), gone("checkpoints/sae_layer_0_last")
        ),
    ),
    Row(
        "_history()",
        "interpret --overwrite --yes",
        ("ghosttrack train",),
        "read",
        damaged("checkpoints/sae_layer_0_history.json"),
        slow=True,
    ),
    Row(
        "_of_training()",
        "interpret --overwrite --yes",
        ("ghosttrack train",),
        "read",
        damaged("checkpoints/sae_layer_0_progress.json"),
        slow=True,
    ),
    Row("_try()", EXTRACT, ("--workspace other",), prepare=without_locks),
    Row(
        "another process is using this workspace: * (*)",
        EXTRACT,
        ("--workspace other", ""),
        prepare=at_work,
    ),
    Row(
        "activation too large for *, which the store keeps: *",
        "extract --model loud --corpus {texts} --tokens 1k --store-dtype float16",
        ("ghosttrack extract --store-dtype float32 --overwrite",),
        prepare=changed_weights("loud", louder),
        again=False,
    ),
    Row(
        "activations are not finite: *: *",
        "extract --model loud --corpus {texts} --tokens 1k --dtype float16",
        ("ghosttrack extract --dtype float32 --overwrite",),
        prepare=changed_weights("loud", louder),
        again=False,
    ),
    Row(
        "layer * is not in the store: * has *",
        "interpret --layers 2",
        ("ghosttrack extract --layer 2",),
        "trained",
        only_layer_0,
        slow=True,
    ),
    Row(
        "layer *: the loss is not finite or jumped a hundredfold at step *, with a learning_rate of"
        " *; the state after step * is kept",
        "train --layers 0 --learning-rate 1e9",
        ("ghosttrack train --layers 0 --learning-rate 0.003 --overwrite",),
        "stored",
        again=False,
    ),
    Row(
        "layer *: not finite on held-out rows: *",
        "train --layers 0 --learning-rate 0.0003",
        ("ghosttrack train --layers 0 --learning-rate 0.0001 --overwrite",),
        "stored",
        judged(recon_loss=float("nan")),
        again=False,
    ),
    Row(
        "layer *: training diverged: held-out recon_loss rose from * to *",
        "train --layers 0 --learning-rate 0.0003",
        ("ghosttrack train --layers 0 --learning-rate 0.0001 --overwrite",),
        "stored",
        judged(recon_loss=99.0, before=1.0),
        again=False,
        slow=True,
    ),
    Row(
        "layer *: collapsed: * of the features did not fire in the last * training rows, with a"
        " learning_rate of *; max_dead_fraction allows *",
        "train --layers 0 --learning-rate 0.0003",
        ("ghosttrack train --layers 0 --learning-rate 0.0001 --overwrite",),
        "stored",
        judged(dead_rows=10**6, dead_fraction=0.99),
        again=False,
        slow=True,
    ),
    Row(
        "no valid checkpoint in *",
        "train --layers 0",
        ("ghosttrack train --overwrite",),
        "trained",
        both(
            damaged("checkpoints/sae_layer_0_last/*", every=True),
            gone("checkpoints/sae_layer_0_progress.json"),
            gone("checkpoints/sae_layer_0_final"),
            gone("checkpoints/sae_layer_0_best"),
        ),
    ),
    Row(
        "no weights: * has no *",
        "extract --model bare --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=config_alone,
    ),
    Row(
        "offline: cannot reach the hub, *, for *: *",
        "extract --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=nowhere,
    ),
    Row(
        "only an adapter: * has no *",
        "extract --model adapter --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=adapter("adapter", alone=True),
    ),
    Row(
        "the adapter beside the weights is not applied: *: *",
        "extract --model adapter --corpus {texts} --tokens 1k",
        ("--model {model}",),
        prepare=adapter("adapter", alone=False),
    ),
    Row(
        "out of memory: one window does not fit in memory",
        "extract --model {model} --corpus {texts} --tokens 1k --context-length 32",
        ("--context-length 16", "--dtype bfloat16"),
        prepare=little_memory,
    ),
    Row(
        "cannot read *: *",
        "extract --model {model} --corpus some/halves --tokens 1k --context-length 32",
        ("--corpus {texts}",),
        prepare=half_characters_on_the_hub,
    ),
    Row(
        "unsupported store version: * has schema *, this version reads *",
        EXTRACT,
        ("ghosttrack extract --overwrite",),
        "stored",
        resealed("activations.zarr/commit.json", lambda one: one.update(schema=99)),
    ),
)
IMPORTS = "an import: tests/cli/test_import.py has the refusal, no scene has the SAE yet"
NOT_FOLLOWED: dict[str, str] = {
    "--site: *": IMPORTS,
    "layer * has an SAE already: *": IMPORTS,
    "neither the SAE nor its name says which layer it belongs to": IMPORTS,
    "the SAE belongs to another hook or layer": IMPORTS,
    "the SAE of layer * was imported from *": IMPORTS,
    "wrong hook or layer? On * tokens at * the FVU of the SAE is * (L0 *):"
    " its reconstruction is worse than the mean": IMPORTS,
    "feature * is not in *": "behind the checksum of the report's files",
    "not the name of a shard: *: *": "behind the same checksum",
    "no such report: *": "a report that is deleted while it is read",
    "no text: the corpus is empty": "behind 'no usable text', which says the same",
    "no text to read: * has no text of * characters": "behind the same message",
    "cannot repair: *": "its command is that of a store that cannot be read",
    "the rebuilt rows differ from the committed ones: *, chunk *": "hardware that rounds otherwise",
    "the corpus changed": "behind the checksum of the text, which is compared before",
    "the text differs from that of the store: *, row *": "behind the same checksum",
    "the store is empty: *": "a store that has SAEs and no row: the earlier one is used until then",
    "layer * is not in the store, it has *": "of Python's Trainer: the command looks before it",
    "no SAE here: *": "of Python's JumpReLUSAE.load: the commands look before it",
    "not a valid position in *: *": "nobody writes a sealed cursor that is none",
}
"""Hints without a row, each with the reason."""
