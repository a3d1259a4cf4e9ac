"""No file, whatever stands in it, ends a reader with a traceback, a hang or a huge allocation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.fault_table import fault
from tests.faults.bounded import run_cases
from tests.faults.readers import Reader, sealed, unsealed
from tests.store.synthetic import IDENTITY, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.report.record import Record
    from ghosttrack_cli.workspace import Workspace

FEW = 25


def store(folder: Path) -> Path:
    """A store with segments."""
    path = folder / "a.zarr"
    Plan((0, 3), 333, identity=replace(IDENTITY, compress="lz4")).run(path)
    return path


def commit(_: Workspace, folder: Path) -> Reader:
    from ghosttrack_cli.store.format.commit_record import read_commit

    path = store(folder)
    return Reader(path / "commit.json", lambda: read_commit(path), sealed)


def segments(_: Workspace, folder: Path) -> Reader:
    from ghosttrack_cli.store.format.layout import TOKEN_IDS, segment_path
    from ghosttrack_cli.store.read.reader import ActivationStore

    path = store(folder)
    return Reader(
        segment_path(path, TOKEN_IDS, 2), lambda: ActivationStore.open(path).token_ids(), sealed
    )


def chunks(_: Workspace, folder: Path) -> Reader:
    from ghosttrack_cli.store.format.layout import chunk_path, layer_array
    from ghosttrack_cli.store.read.reader import ActivationStore

    path = store(folder)
    opened = ActivationStore.open(path)
    return Reader(chunk_path(path, layer_array(3), 4), lambda: opened.read(3, 60, 90))


def zarr_metadata(_: Workspace, folder: Path) -> Reader:
    from ghosttrack_cli.store.format.layout import layer_array
    from ghosttrack_cli.store.read.reader import ActivationStore

    path = store(folder)
    return Reader(
        path / layer_array(3) / "zarr.json",
        lambda: ActivationStore.open(path).read(3, 0, 9),
        unsealed,
    )


def checkpoint_record(workspace: Workspace, _: Path) -> Reader:
    return _checkpoint(workspace, "json", sealed)


def checkpoint_tensors(workspace: Workspace, _: Path) -> Reader:
    return _checkpoint(workspace, "safetensors", None)


def _checkpoint(workspace: Workspace, suffix: str, seal: Callable[[Any], bytes] | None) -> Reader:
    from ghosttrack_cli.training.records.checkpoint import load_checkpoint

    folder = workspace.sae(0, "last")
    newest = max(folder.glob(f"*.{suffix}"))
    return Reader(newest, lambda: load_checkpoint(folder, lambda _: None, limit=2**24), seal)


def tensors(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.tensorfiles import read_tensors

    path = workspace.sae(0, "best") / "sae_weights.safetensors"
    return Reader(path, lambda: read_tensors(path, limit=2**24))


def sae_config(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

    folder = workspace.sae(2, "final")
    (folder / "checksums.json").unlink(missing_ok=True)
    return Reader(folder / "cfg.json", lambda: JumpReLUSAE.load(folder), unsealed)


def topk_config(_: Workspace, folder: Path) -> Reader:
    """Its k is a number that decides how much is computed."""
    import torch

    from ghosttrack_cli.sae.jumprelu import random_weights
    from ghosttrack_cli.sae.registry import load_sae
    from ghosttrack_cli.sae.topk import TopKSAE

    TopKSAE.from_weights(random_weights(8, 32, 0.0, seed=0), k=4).save(folder / "topk")
    (folder / "topk" / "checksums.json").unlink()
    return Reader(
        folder / "topk" / "cfg.json",
        lambda: load_sae(folder / "topk").encode(torch.ones(2, 8)),
        unsealed,
    )


def sae_checksums(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

    folder = workspace.sae(0, "final")
    return Reader(folder / "checksums.json", lambda: JumpReLUSAE.load(folder), unsealed)


def progress(workspace: Workspace, _: Path) -> Reader:
    return Reader(workspace.training_progress(0), _look(workspace), sealed)


def history(workspace: Workspace, _: Path) -> Reader:
    return Reader(workspace.history(0), _look(workspace), sealed)


def _look(workspace: Workspace) -> Callable[[], Any]:
    from ghosttrack_cli.errors import CorruptionError
    from ghosttrack_cli.status.gather import gather

    def look() -> None:
        problems = gather(workspace).problems
        if problems:
            raise CorruptionError(problems[0])

    return look


def report(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.report.report_files import REPORT
    from ghosttrack_cli.report.schema import LayerReport

    return _record(report_folder(workspace) / REPORT, LayerReport)


def summary(workspace: Workspace, _: Path) -> Reader:
    return Reader(report_folder(workspace) / "summary.json", _look(workspace), sealed)


def shard(workspace: Workspace, folder: Path) -> Reader:
    """With its first two features."""
    from ghosttrack_cli import files
    from ghosttrack_cli.report.feature_schema import FeatureShard, shard_name

    document = files.read_sealed(report_folder(workspace) / shard_name(0))
    document["features"] = document["features"][:2]
    files.write_sealed(folder / "shard.json", document)
    return _record(folder / "shard.json", FeatureShard)


def search_tokens(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.report.report_files import WholeReport
    from ghosttrack_cli.report.search_files import TOKENS, read_tokens

    folder = report_folder(workspace)
    return Reader(folder / f"{TOKENS}.js", lambda: read_tokens(WholeReport(folder)))


def search_words(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.report.report_files import WholeReport
    from ghosttrack_cli.report.search_files import read_words

    folder = report_folder(workspace)
    path = folder / "search" / "words-000.js"
    return Reader(path, lambda: list(read_words(WholeReport(folder), 1)))


def prompt(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.browser.prompt import PROMPT_FILE, PromptReport
    from ghosttrack_cli.report.report_files import write_record

    report = PromptReport(model="tiny", text="a", ids=[0, 1], texts=["<s>", "a"], layers=[])
    write_record(workspace.interpretations / PROMPT_FILE, report)
    return _record(workspace.interpretations / PROMPT_FILE, PromptReport)


def report_folder(workspace: Workspace) -> Path:
    from ghosttrack_cli.report.stored import layer_reports

    return layer_reports(workspace.interpretations, 0)[0].folder


def _record(path: Path, kind: type[Record]) -> Reader:
    from ghosttrack_cli.report.report_files import read_record

    return Reader(path, lambda: read_record(path, kind), sealed)


def unfinished_state(workspace: Workspace, folder: Path) -> Reader:
    return _unfinished(workspace, folder, "state.json", sealed)


def unfinished_tensors(workspace: Workspace, folder: Path) -> Reader:
    return _unfinished(workspace, folder, "layer_0.*.safetensors", None)


def _unfinished(
    workspace: Workspace, folder: Path, name: str, seal: Callable[[Any], bytes] | None
) -> Reader:
    """A damaged state of a pass is no state: the pass begins anew, which is said by None."""
    from tests.faults.unfinished import save_pass

    from ghosttrack_cli.errors import CorruptionError

    state, passes = save_pass(workspace, folder)

    def load() -> None:
        if state.load(passes()) is None:
            raise CorruptionError("begun anew")

    (path,) = folder.rglob(name)
    return Reader(path, load, seal)


def remembered_settings(workspace: Workspace, _: Path) -> Reader:
    from ghosttrack_cli.errors import CorruptionError
    from ghosttrack_cli.settings.remembered import recall

    def read() -> None:
        problems = recall(workspace.root)[1]
        if problems:
            raise CorruptionError(problems[0])

    return Reader(workspace.root / "settings" / "extract.json", read, sealed)


def jsonl(_: Workspace, folder: Path) -> Reader:
    lines = [f'{{"text": "{f"Text {number} is here. " * 9}"}}' for number in range(9)]
    return _corpus(folder / "texts.jsonl", "\n".join(lines).encode())


def csv(_: Workspace, folder: Path) -> Reader:
    lines = ["id,text", *(f'{number},"{f"Text {number}, is here. " * 9}"' for number in range(9))]
    return _corpus(folder / "texts.csv", "\n".join(lines).encode())


def txt(_: Workspace, folder: Path) -> Reader:
    return _corpus(folder / "text.txt", ("A line that is long enough. " * 9 + "\n\n").encode() * 9)


def parquet(_: Workspace, folder: Path) -> Reader:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "texts.parquet"
    pq.write_table(
        pa.table({"text": [f"Text {number} is here. " * 9 for number in range(9)]}), path
    )
    return _corpus(path, path.read_bytes())


def _corpus(path: Path, data: bytes) -> Reader:
    from ghosttrack_cli.settings.schema import CorpusSettings
    from ghosttrack_cli.text.corpus import open_corpus

    path.write_bytes(data)
    settings = CorpusSettings(source=str(path))
    return Reader(path, lambda: list(open_corpus(settings).documents()))


def truthfulqa(_: Workspace, folder: Path) -> Reader:
    from ghosttrack_cli.text.truthfulqa import read_truthfulqa

    names = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source"
    rows = [f"A,B,Is {number} odd?,No,No; Never,Yes; It is,-" for number in range(9)]
    path = folder / "TruthfulQA.csv"
    path.write_text("\n".join([names, *rows]))
    return Reader(path, lambda: read_truthfulqa(path))


def settings_file(_: Workspace, folder: Path) -> Reader:
    from ghosttrack_cli.settings.resolve import resolve

    path = folder / "ghosttrack.toml"
    path.write_text((Path(__file__).parents[2] / "ghosttrack.toml").read_text())
    return Reader(path, lambda: resolve(path, {}, {}))


def model_config(_: Workspace, folder: Path) -> Reader:
    return _model(folder, "config.json")


def tokenizer_config(_: Workspace, folder: Path) -> Reader:
    return _model(folder, "tokenizer_config.json")


def _model(folder: Path, name: str) -> Reader:
    import shutil

    from ghosttrack_cli.model.found import find_model
    from ghosttrack_cli.settings.schema import ModelSettings

    path = folder / "model"
    shutil.copytree(Path(__file__).parents[2] / "src/ghosttrack_cli/demo", path)
    settings = ModelSettings(name=str(path))
    return Reader(path / name, lambda: find_model(settings).description, unsealed)


READERS: dict[Callable[[Workspace, Path], Reader], int] = {
    commit: 16_000,
    segments: 12_000,
    chunks: 12_000,
    zarr_metadata: 6_000,
    checkpoint_record: 8_000,
    checkpoint_tensors: 8_000,
    tensors: 12_000,
    sae_config: 6_000,
    topk_config: 3_000,
    sae_checksums: 6_000,
    progress: 6_000,
    history: 6_000,
    report: 4_000,
    summary: 4_000,
    shard: 4_000,
    search_tokens: 2_000,
    search_words: 2_000,
    prompt: 4_000,
    unfinished_state: 4_000,
    unfinished_tensors: 2_000,
    remembered_settings: 4_000,
    jsonl: 4_000,
    csv: 4_000,
    txt: 2_000,
    parquet: 2_000,
    truthfulqa: 4_000,
    settings_file: 6_000,
    model_config: 2_000,
    tokenizer_config: 1_000,
}
"""Each reader, and the cases that `make test-faults` tries."""


@pytest.mark.usefixtures("no_fsync", "small_segments")
@pytest.mark.parametrize("make", READERS)
@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.faults)])
def test_a_reader_reads_or_refuses(
    everything: Workspace,
    tmp_path: Path,
    make: Callable[[Workspace, Path], Reader],
    long: bool,
    record_property: Callable[[str, object], None],
) -> None:
    reader = make(everything, tmp_path)
    reader.read()
    cases = READERS[make] if long else FEW
    outcome = run_cases(cases, reader.fuzz)
    assert outcome.failure is None, outcome.failure
    assert outcome.read + outcome.refused == cases
    assert outcome.refused or reader.seal is unsealed
    record_property("fault", fault(f"fuzz: {make.__name__.replace('_', ' ')}", cases))
