"""What an interpretation reads is not replaced meanwhile, and what it writes has one writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli import files
from ghosttrack_cli.browser.prompt import PromptReport
from ghosttrack_cli.errors import LockedError
from ghosttrack_cli.interpretation import inputs
from ghosttrack_cli.interpretation.api import analyze_sae
from ghosttrack_cli.interpretation.prompt import explain_prompt, show_on_page
from ghosttrack_cli.sae.checksums import reading_folder
from ghosttrack_cli.settings.schema import InterpretationSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.workspace import Workspace

LAYER = 1
TRAIN = "train --overwrite of layer 1"


@pytest.fixture(params=["interpret prompt", "analyze_sae"])
def read(
    request: pytest.FixtureRequest, planted_workspace: Workspace, planted_model: ResidualModel
) -> Callable[[], Any]:
    """Something that reads the SAE of LAYER."""
    if request.param == "analyze_sae":
        folder = planted_workspace.sae(LAYER, "best")
        return lambda: analyze_sae(folder, planted_model, LAYER, ["the cat"])
    settings = InterpretationSettings()
    return lambda: explain_prompt("a cat", (LAYER,), settings, planted_model, planted_workspace)


def test_an_sae_is_not_replaced_while_it_is_read(
    read: Callable[[], Any], planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, refused = inputs.load_trained, []

    def load_while_another_trains(*arguments: Any) -> Any:
        with (
            pytest.raises(LockedError) as caught,
            files.exclusive_lock(planted_workspace.readers_lock(LAYER), purpose=TRAIN),
        ):
            pass
        refused.append(caught.value.what)
        return load(*arguments)

    monkeypatch.setattr(inputs, "load_trained", load_while_another_trains)
    assert read()
    assert len(refused) == 1
    assert "interpret prompt" in refused[0] or "analyze_sae" in refused[0]
    with files.exclusive_lock(planted_workspace.readers_lock(LAYER), purpose=TRAIN):
        pass  # nobody reads any more


def test_an_sae_that_is_being_replaced_is_not_read(
    read: Callable[[], Any], planted_workspace: Workspace
) -> None:
    with (
        files.exclusive_lock(planted_workspace.readers_lock(LAYER), purpose=TRAIN),
        pytest.raises(LockedError, match=TRAIN),
    ):
        read()
    assert read()


@pytest.mark.parametrize("name", ["mine", "sae_layer_1_new", "sae_layer_x_best"])
def test_a_folder_of_another_program_gets_no_lock_beside_it(tmp_path: Path, name: str) -> None:
    with reading_folder(tmp_path / name, "analyze_sae"):
        assert not list(tmp_path.iterdir())


def test_an_sae_is_found_locked_under_every_name_of_its_folder(
    planted_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative or absolute, in a workspace or in a folder of checkpoints that lies elsewhere."""
    monkeypatch.chdir(planted_workspace.checkpoints)
    folder = planted_workspace.sae(LAYER, "best")
    for path in (folder, folder.relative_to(planted_workspace.checkpoints)):
        with reading_folder(path, "analyze_sae"), pytest.raises(LockedError, match="analyze_sae"):
            files.exclusive_lock(planted_workspace.readers_lock(LAYER), purpose=TRAIN).__enter__()


def test_the_page_has_one_writer(planted_workspace: Workspace) -> None:
    report = PromptReport(model="planted", text="a", ids=[0], texts=["a"], layers=[])
    with (
        files.exclusive_lock(planted_workspace.lock("interpret"), purpose="ghosttrack interpret"),
        pytest.raises(LockedError, match="ghosttrack interpret"),
    ):
        show_on_page(planted_workspace, report)
    assert not planted_workspace.interpretations.exists()
    show_on_page(planted_workspace, report)
    assert planted_workspace.browser.is_file()
