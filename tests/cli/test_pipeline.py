"""The commands on a tiny model and a few documents, from an empty folder to features."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.files import tree
from tests.support.settings import small_settings

from ghosttrack_cli.files import exclusive_lock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence

    from tests.cli.conftest import Ended

TARGETS = {"target_recon_loss": 10, "target_sparsity_min": 1, "target_sparsity_max": 30}


def settings(**training: Any) -> str:
    return small_settings(sae_training={"epochs": 2, **TARGETS, **training})


VARYING = {".log", ".lock"}
"""Not equal after equal runs: when they ran, and who held a lock last."""
PROGRESS = Path("ghosttrack-data/checkpoints/sae_layer_0_progress.json")
GO_ON = "ghosttrack train --layers 0 --epochs 100000"
"""The settings file has other epochs than the training was begun with."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def extract(tiny_model: Path, texts: Path, environment: None) -> tuple[str, ...]:
    """The command line that extracts two layers of the tiny model."""
    Path("ghosttrack.toml").write_text(settings())
    source = ("--model", str(tiny_model), "--corpus", str(texts))
    return ("extract", *source, "--layers", "0,2", "--tokens", "4k")


@pytest.fixture
def extracted(extract: tuple[str, ...], ghosttrack: Callable[..., Ended]) -> tuple[str, ...]:
    assert ghosttrack(*extract).code == 0
    return extract


def test_a_topk_goes_through_all_commands(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    """Trained, resumed, judged, interpreted, shown, prompted and exported like any other."""
    given = ("--layers", "0", "--sparsity", "topk", "--target-l0", "6")
    plan = ghosttrack("train", *given, "--dry-run", "--json")
    assert plan.code == 0, plan.err
    trained = ghosttrack("train", *given, "--json")
    assert trained.code == 0, trained.err
    assert 0 < json.loads(PROGRESS.read_text())["metrics"]["l0"] <= 6
    config = json.loads(Path("ghosttrack-data/checkpoints/sae_layer_0_best/cfg.json").read_text())
    assert (config["architecture"], config["k"]) == ("topk", 6)
    assert "already trained" in ghosttrack("train", "--layers", "0").err
    assert ghosttrack("interpret", "--layers", "0", "--json").code == 0
    report = json.loads(next(Path("ghosttrack-data").rglob("report.json")).read_text())
    assert 0 < report["metrics"]["l0"] <= 6
    status = ghosttrack("status", "--json").document
    assert status["layers"][0]["training"]["state"] == "finished"
    said = ghosttrack("interpret", "prompt", "Document 3 tells of number 5", "--json").document
    for token in range(1, len(said["ids"])):
        fired = [one for one in said["layers"][0]["features"] if one["acts"][token] > 0]
        assert len(fired) <= 6
    assert ghosttrack("export", "--layer", "0").code == 0
    config = json.loads(Path("ghosttrack-data/exports/layer_0/config.json").read_text())
    assert (config["trainer"]["dict_class"], config["trainer"]["k"]) == ("AutoEncoderTopK", 6)
    wrong = ghosttrack("train", "--layers", "2", "--sparsity", "topk", "--target-l0", "2.5")
    assert (wrong.code, wrong.error[1]) == (2, "--target-l0 2")


def test_from_an_empty_folder_to_features(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    first = ghosttrack(*extract)
    assert first.code == 0
    assert re.match(r"4,000 tokens of \d+ documents, layers 0,2 \(", first.out)
    assert first.err.splitlines()[-2:] == ["next:", "  ghosttrack train"]
    assert ghosttrack("status", "--json").document["next"] == "ghosttrack train"

    trained = ghosttrack("train", "--json")
    assert trained.code == 0
    assert set(trained.document["layers"]) == {"0", "2"}
    assert trained.document["layers"]["2"]["state"] == "finished"
    about = json.loads(Path("ghosttrack-data/checkpoints/sae_layer_2_final/cfg.json").read_text())
    assert about["metadata"]["dataset_path"] == "texts.jsonl"

    plan = ghosttrack("interpret", "--dry-run", "--json").document["plan"]
    assert plan["todo"] == [0, 2]
    assert plan["rows"] == {"number": 4000, "known": "exactly"}
    assert plan["total_seconds"] > 0
    shown = ghosttrack("interpret", "--dry-run").out.splitlines()
    assert shown[0] == "interpret layers 0,2 over store: 4,000 rows"
    assert shown[-2].startswith("memory: ")
    assert shown[-1].startswith("time: about ")
    assert not Path("ghosttrack-data/interpretations").exists()
    read = ghosttrack("interpret", "--layers", "2")
    told = re.search(r"fire on (3,\d+) of 4,000 rows of the store; left out: (.+)", read.out)
    assert told is not None, read.out
    left_out = sum(int(number) for number in re.findall(r"\d+", told[2]))
    assert int(told[1].replace(",", "")) + left_out == 4000
    assert ghosttrack("status", "--json").document["next"] == "ghosttrack interpret --layers 0"
    assert ghosttrack("interpret").code == 0

    history = json.loads(Path("ghosttrack-data/checkpoints/sae_layer_0_history.json").read_bytes())
    behind = f"loss, L0 and FVU by step on {history['val_rows'][-1]} held-out rows"
    assert behind in ghosttrack("status").out
    status = ghosttrack("status", "--json").document
    assert [layer["layer"] for layer in status["layers"]] == [0, 2]
    assert status["browser"] == "ghosttrack-data/interpretations/index.html"
    assert Path(status["browser"]).is_file()
    assert status["next"] is None
    assert status["met"]
    assert ghosttrack("status", "--check").code == 0
    assert_missed_target_is_named(ghosttrack)
    look_at_features(ghosttrack)
    assert "nothing to do" in ghosttrack("interpret", "--dry-run").out
    before = tree(Path("ghosttrack-data"), without=VARYING)
    for line in (extract, ("train",), ("interpret",)):
        again = ghosttrack(*line)
        assert again.code == 0
        assert "nothing to do" in again.err
    assert tree(Path("ghosttrack-data"), without=VARYING) == before


def assert_missed_target_is_named(ghosttrack: Callable[..., Ended]) -> None:
    """A loss that no SAE reaches: exit code 3, and the line of the checklist by name."""
    file = Path("ghosttrack.toml")
    file.write_text(settings(target_recon_loss=1e-9))
    missed = ghosttrack("status", "--check")
    file.write_text(settings())
    assert missed.code == 3
    assert missed.err == "error: the checklist failed: reconstruction loss\n"


def look_at_features(ghosttrack: Callable[..., Ended]) -> None:
    listed = ghosttrack("interpret", "list", "--layer", "2", "--sort", "max", "--json").document
    assert listed["found"] == 32
    best = listed["features"][0]
    one = ghosttrack("interpret", "--layer", "2", "--feature", best["feature"], "--json").document
    assert one["firings"] == best["firings"]
    shown = ghosttrack("interpret", "--layer", "2", "--feature", best["feature"])
    assert f"layer 2  feature {best['feature']}" in shown.out
    assert f"fires on {best['firings']:,} of" in shown.out
    assert shown.out.count("«") >= 1
    few = ghosttrack("interpret", "list", "--layer", "2", "--limit", "3")
    assert len(few.out.splitlines()) == 4
    assert "3 of 32 features" in few.err
    assert ghosttrack("interpret", "list").error[0] == "which layer? available: 0, 2"
    assert ghosttrack("interpret", "--feature", "32", "--layer", "2").error == (
        "--feature: 32 is not valid, layer 2 has features 0 to 31",
        "ghosttrack interpret list --layer 2",
    )
    prompt = ghosttrack("interpret", "prompt", "Document 7", "--layer", "2", "--json").document
    assert "".join(prompt["texts"]).endswith("Document 7")
    assert [layer["layer"] for layer in prompt["layers"]] == [2]


def test_dry_runs_change_nothing(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(Path.cwd(), without=VARYING)
    plan = ghosttrack(*extract, "--dry-run", "--json").document["plan"]
    assert (plan["action"], plan["layers"], plan["rows"]) == ("start", [0, 2], 4000)
    assert plan["bytes_needed"] > 0
    shown = ghosttrack(*extract, "--dry-run")
    assert "4,000 per layer, 0 of them already stored" in shown.out
    run = ghosttrack("run", *extract[1:], "--dry-run")
    for words in ("1 of 3  extract", "action      start", "2 of 3  train", "3 of 3  interpret"):
        assert words in run.out
    assert "on this machine, from a few steps on made-up rows" in run.out
    assert tree(Path.cwd(), without=VARYING) == before
    assert ghosttrack(*extract).code == 0
    before = tree(Path.cwd(), without=VARYING)
    one = ghosttrack("train", "--dry-run", "--json").document
    steps = one["plan"]
    assert [one["layer"] for one in steps] == [0, 2]
    assert steps[0]["total_steps"] > 0
    assert "at once" not in ghosttrack("train", "--dry-run").out
    monkeypatch.setenv("GHOSTTRACK_SAE_TRAINING__LAYERS_AT_ONCE", "2")
    two = ghosttrack("train", "--dry-run", "--json").document
    assert (one["layers_at_once"], two["layers_at_once"]) == (1, 2)
    assert two["memory_bytes"] == pytest.approx(
        one["memory_bytes"] + steps[0]["memory_needed"], rel=0.1
    )
    assert "2 layers at once, in " in ghosttrack("train", "--dry-run").out
    assert tree(Path.cwd(), without=VARYING) == before


def test_run_does_everything_and_skips_what_is_done(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    whole = ("run", *extract[1:], "--epochs", "1")
    document = ghosttrack(*whole, "--json").document
    assert set(document) == {"schema", "command", "extract", "train", "interpret"}
    again = ghosttrack(*whole)
    assert again.code == 0
    assert again.err.count("nothing to do") >= 5


def test_features_that_separate_are_listed_by_certainty(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    assert ghosttrack("train", "--layers", "2", "--epochs", "1").code == 0
    lines = ["Category,Question,Best Answer,Incorrect Answers"]
    lines += [f"Misc,Is number {i} a prime number?,No it is not,Yes {i} it is" for i in range(9)]
    questions = tmp_path / "TruthfulQA.csv"
    questions.write_text("\n".join(lines) + "\n")
    separation = ("interpret", "list", "--sort", "separation")
    assert ghosttrack("interpret").code == 0
    assert ghosttrack(*separation).error == (
        "--sort separation: layer 2 was not read over true and false answers",
        "ghosttrack interpret --texts truthfulqa",
    )
    assert ghosttrack("interpret", "--texts", str(questions)).code == 0
    document = ghosttrack(*separation, "--json").document
    found = [one["contrast"] for one in document["features"]]
    assert found == sorted(found, key=lambda one: (one["p_corrected"], -abs(one["effect"])))
    shown = ghosttrack(*separation, "--limit", "2")
    assert "effect  p corrected  tokens" in shown.out.splitlines()[0]
    assert len(shown.out.splitlines()) == 3
    assert "hallucinated answers to 9 questions" in shown.err
    assert (
        f"over {document['rows']:,} rows of TruthfulQA.csv" in ghosttrack("interpret", "list").err
    )
    best = found[0]["feature"]
    assert "of 9 questions, p" in ghosttrack("interpret", "--feature", best).out


def test_a_report_of_an_sae_that_was_replaced_says_so(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    assert ghosttrack("train", "--layers", "2", "--epochs", "1").code == 0
    book = tmp_path / "book.txt"
    book.write_text("It was the best of times, it was the worst of times. " * 40)
    read = ghosttrack("interpret", "--texts", str(book))
    assert "note: cut: " not in read.err
    facts = ghosttrack("interpret", "--texts", str(book), "--json").document["layers"][0]["source"]
    assert (facts["texts"], facts["truncated"]) == (1, 0)
    assert facts["windows"] > 1
    assert facts["rows"] > 32 * (facts["windows"] - 1)
    assert not ghosttrack("interpret", "--feature", "0", "--json").document["outdated"]
    catalogue = Path("ghosttrack-data/interpretations/browser/data/catalogue.js")
    assert '"outdated":false' in catalogue.read_text()
    retrained = ghosttrack("train", "--layers", "2", "--seed", "7", "--overwrite", "--yes")
    assert retrained.code == 0
    assert '"outdated":true' in catalogue.read_text()
    slug = ghosttrack("interpret", "list", "--json").document["source"]
    asked = ghosttrack("interpret", "prompt", "the worst", "--source", slug[:12], "--json")
    (of_layer,) = asked.document["layers"]
    assert of_layer["source"] == slug
    assert len(of_layer["strongest"]) == len(asked.document["ids"])
    assert of_layer["strongest"][0] == []
    nowhere = ghosttrack("interpret", "prompt", "the worst", "--source", "nowhere")
    assert (nowhere.code, nowhere.error[1]) == (2, f"--source {slug}")
    status = ghosttrack("status", "--json").document
    assert status["layers"][1]["interpretation"]["outdated"]
    assert status["next"] == "ghosttrack train --layers 0"
    looks = (("--feature", "0"), ("list",), ("list", "--search", "times"), ("prompt", "times"))
    for look in looks:
        said = ghosttrack("interpret", *look).err
        assert "note: layer 2: the report is of an earlier SAE" in said
        assert "ghosttrack interpret --layers 2" in said
    assert ghosttrack("interpret", "list", "--json").document["outdated"]
    assert ghosttrack("interpret", "--layers", "2").code == 0
    assert "earlier SAE" not in ghosttrack("interpret", "list").err


def test_what_was_asked_for_is_remembered(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert "nothing to do" in ghosttrack("extract").err
    more = ghosttrack("extract", "--tokens", "5k", "--json").document
    assert (more["rows"], more["layers"]) == (5000, [0, 2])
    assert ghosttrack("extract", "--layers", "1", "--json").document["layers"] == [0, 1, 2]
    conflict = ghosttrack("extract", "--context-length", "16")
    assert conflict.code == 3
    assert "context_length: 32 on disk, 16 requested" in conflict.err


def test_layers_that_are_not_there(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("train", "--layers", "0,7").error == (
        "--layers: layer 7 has no rows in the store, available: 0,2",
        "ghosttrack status shows the layers",
    )
    assert ghosttrack("train", "--layers", "x").code == 2
    assert ghosttrack("extract", "--layers", "9").error[0] == (
        "layer out of range: 9, must be 0 to 2"
    )


def test_overwrite_needs_a_yes(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    before = tree(Path("ghosttrack-data"), without=VARYING)
    refused = ghosttrack(*extracted, "--overwrite")
    assert (refused.code, *refused.error) == (
        2,
        (
            "--overwrite would delete ghosttrack-data/activations.zarr"
            " (4,000 rows of layers 0,2, 1.2 MB)"
        ),
        "add --yes to do so",
    )
    assert tree(Path("ghosttrack-data"), without=VARYING) == before
    replaced = ghosttrack(*extracted[:-1], "2k", "--overwrite", "--yes", "--json")
    assert replaced.document["rows"] == 2000


def test_overwrite_follows_no_link(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    assert ghosttrack("train", "--layers", "0", "--epochs", "1").code == 0
    report = Path("ghosttrack-data/interpretations/layer_0/store")
    report.parent.mkdir(parents=True)
    report.symlink_to(outside)
    assert ghosttrack("interpret", "--layers", "0", "--overwrite", "--yes").code == 0
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert not report.is_symlink()


def test_overwrite_deletes_no_report_under_another_process(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("train", "--layers", "0", "--epochs", "1").code == 0
    assert ghosttrack("interpret").code == 0
    before = tree(Path("ghosttrack-data/interpretations"), without=VARYING)
    with exclusive_lock(Path("ghosttrack-data/.interpret.lock"), purpose="another interpret"):
        refused = ghosttrack("interpret", "--overwrite", "--yes")
    assert refused.code == 3
    assert "another interpret" in refused.error[0]
    assert tree(Path("ghosttrack-data/interpretations"), without=VARYING) == before


def test_verify_names_the_chunk_and_repair_mends_it(
    extracted: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack("status", "--verify", "--json").document["bad_chunks"] == []
    before = tree(Path("ghosttrack-data/activations.zarr"), without=VARYING)
    chunk = next(Path("ghosttrack-data/activations.zarr/layers/02").rglob("c/0/0"))
    data = bytearray(chunk.read_bytes())
    data[100] ^= 1
    chunk.write_bytes(data)
    bad = ghosttrack("status", "--verify")
    assert bad.code == 3
    assert "layer 2, chunk 0" in bad.out
    assert bad.error[1] == "ghosttrack extract --repair"
    assert ghosttrack("extract", "--repair").code == 0
    assert tree(Path("ghosttrack-data/activations.zarr"), without=VARYING) == before


def test_the_log_says_what_was_run_and_how_it_ended(
    extract: tuple[str, ...], ghosttrack: Callable[..., Ended]
) -> None:
    assert ghosttrack(*extract, "--yes").code == 0
    assert ghosttrack("train", "--layers", "7").code == 2
    lines = Path("ghosttrack-data/ghosttrack.log").read_text().splitlines()
    events = [line.split(": ", 1)[1] for line in lines]
    assert events[0].startswith("started: ghosttrack extract --layers 0,2 --tokens 4k --model ")
    assert "--yes" not in events[0]
    assert events[1].startswith("with ghosttrack ")
    told = [one for one in events[2:] if not one.startswith(("with ", "note: "))]
    assert told[0].startswith("ended with 0 after ")
    assert told[1] == "started: ghosttrack train --layers 7"
    assert told[2].startswith("error: --layers: layer 7 ")
    assert told[3].startswith("ended with 2 after ")
    assert len(told) == 4


@contextmanager
def endless_training(
    process: Callable[..., subprocess.Popen[str]], layers: str, manifests: Sequence[Path]
) -> Iterator[subprocess.Popen[str]]:
    """A training without end that has begun."""
    training = process("train", "--layers", layers, "--epochs", "100000")
    while not all(one.exists() for one in manifests) and training.poll() is None:
        time.sleep(0.05)
    yield training
    training.kill()
    training.communicate()


@pytest.fixture
def training(
    extracted: tuple[str, ...],
    process: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[subprocess.Popen[str]]:
    """A training of one layer."""
    monkeypatch.setenv("GHOSTTRACK_SAE_TRAINING__EVALUATIONS", "100000")
    with endless_training(process, "0", [PROGRESS]) as training:
        yield training


def test_a_signal_stops_layers_that_train_at_once(
    extracted: tuple[str, ...],
    process: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GHOSTTRACK_SAE_TRAINING__EVALUATIONS", "100000")
    monkeypatch.setenv("GHOSTTRACK_SAE_TRAINING__LAYERS_AT_ONCE", "2")
    manifests = [PROGRESS, PROGRESS.with_name("sae_layer_2_progress.json")]
    with endless_training(process, "0,2", manifests) as training:
        training.send_signal(signal.SIGINT)
        _, err = training.communicate(timeout=120)
    assert training.returncode == 130, err
    assert err.count("note: stopping after this step") == 1
    assert err.endswith("Stopped. Progress is saved; run the same command to resume.\n")
    assert [json.loads(one.read_text())["state"] for one in manifests] == ["stopped"] * 2


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)]
)
def test_a_signal_stops_after_a_commit_and_the_next_run_goes_on(
    training: subprocess.Popen[str],
    ghosttrack: Callable[..., Ended],
    number: signal.Signals,
    code: int,
) -> None:
    training.send_signal(number)
    out, err = training.communicate(timeout=120)
    assert training.returncode == code, err
    assert out == ""
    assert err.endswith("Stopped. Progress is saved; run the same command to resume.\n")
    assert "Traceback" not in err
    found: dict[str, Any] = json.loads(PROGRESS.read_text())
    assert found["state"] == "stopped"
    newest = max(Path("ghosttrack-data/checkpoints/sae_layer_0_last").glob("*.safetensors"))
    assert newest.stem == f"step-{found['step']:09d}"
    assert ghosttrack("status", "--json").document["next"] == GO_ON
    log = Path("ghosttrack-data/ghosttrack.log").read_text()
    assert f"ended with {code}" in log


def test_a_second_signal_quits_at_once_and_the_next_run_goes_on(
    training: subprocess.Popen[str], ghosttrack: Callable[..., Ended]
) -> None:
    training.send_signal(signal.SIGSTOP)  # so that both come within one step
    training.send_signal(signal.SIGINT)
    training.send_signal(signal.SIGTERM)
    training.send_signal(signal.SIGCONT)
    _, err = training.communicate(timeout=120)
    assert training.returncode in {130, 143}  # of whichever came second to Python
    assert "Progress is saved" not in err
    assert json.loads(PROGRESS.read_text())["state"] == "running"
    assert ghosttrack("status", "--json").document["next"] == GO_ON


def test_a_second_trainer_is_refused_until_the_first_one_is_killed(
    training: subprocess.Popen[str], ghosttrack: Callable[..., Ended]
) -> None:
    training.send_signal(signal.SIGSTOP)
    again = ("train", "--layers", "0", "--epochs", "1", "--overwrite", "--yes")
    before = tree(Path("ghosttrack-data/checkpoints"), without=VARYING)
    refused = ghosttrack(*again)
    assert refused.code == 3
    assert f"process {training.pid}, training layer 0" in refused.error[0]
    assert tree(Path("ghosttrack-data/checkpoints"), without=VARYING) == before
    training.kill()
    training.wait()
    assert ghosttrack(*again).code == 0


def test_print_feature_summary(capsys: pytest.CaptureFixture[str]) -> None:
    from ghosttrack_cli import print_feature_summary

    example = {"text": "a [b]\x1b c", "token": "[b]", "activation": 2.5, "position": 3}
    record = {
        "feature_id": 7,
        "active": True,
        "num_activations": 1234,
        "top_activation": 2.5,
        "mean_activation": 1.25,
        "common_tokens": [("[b]", 9)],
        "top_examples": [example],
    }
    print_feature_summary(record)
    print_feature_summary({"feature_id": 8, "active": False})
    assert capsys.readouterr().out == (
        "Feature 7\n"
        "  activations  1,234\n"
        "  top 2.50, mean 1.25\n"
        "  common tokens  '[b]' (9)\n"
        "  top examples\n"
        "        2.50  a [b]\\x1b c\n"
        "Feature 8\n"
        "  dead: it never fired\n"
    )


def test_python_minus_m_is_the_program() -> None:
    import subprocess

    command = [sys.executable, "-m", "ghosttrack_cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ghosttrack ")
