"""Starting costs little: nothing heavy is loaded before a command needs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ghosttrack_cli

HEAVY = ("torch", "transformers", "datasets", "zarr", "numpy", "pydantic", "pyarrow", "jinja2")
PUBLIC = [
    "ActivationStore",
    "GPT2WithResidualHooks",
    "GhostTrackError",
    "HiddenStateExtractor",
    "JumpReLUSAE",
    "SAE",
    "Settings",
    "Trainer",
    "WikipediaCorpus",
    "__version__",
    "analyze_sae",
    "Site",
    "load_sae",
    "load_settings",
    "load_truthfulqa",
    "print_feature_summary",
    "train_sae_for_layer",
]


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a new interpreter holds after `code`."""
    program = f"import sys, json\n{code}\nprint('MODULES' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    names = json.loads(result.stdout.rpartition("MODULES")[2])
    return {name.partition(".")[0] for name in names}


RUN = "from ghosttrack_cli.cli.app import run_program\nrun_program({arguments!r})"


@pytest.mark.parametrize(
    "code",
    [
        "import ghosttrack_cli",
        "import ghosttrack_cli.cli.app",
        RUN.format(arguments=["--help"]),
        RUN.format(arguments=["--version"]),
        RUN.format(arguments=["--no-such-option"]),
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded_after(code) & set(HEAVY)


@pytest.mark.parametrize("arguments", [["extract", "--help"], ["interpret", "list", "--help"]])
def test_help_of_commands_loads_only_what_typer_itself_loads(arguments: list[str]) -> None:
    assert loaded_after(RUN.format(arguments=arguments)) & set(HEAVY) <= {"pydantic"}


def test_status_loads_neither_numpy_nor_torch_nor_rich_in_a_pipe() -> None:
    code = RUN.format(arguments=["status", "--workspace", "nowhere"])
    assert not loaded_after(code) & (set(HEAVY) - {"pydantic"} | {"rich", "pydantic_settings"})


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(ghosttrack_cli.__all__) == sorted(PUBLIC)
    assert dir(ghosttrack_cli) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(ghosttrack_cli, name) is not None


def test_a_name_that_is_not_public() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ghosttrack_cli.nothing
