from __future__ import annotations

import importlib.util
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

TOOL = Path(__file__).parents[2] / "tools" / "train_demo_model.py"


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    return Path(str(files("ghosttrack_cli"))) / "demo"


@pytest.fixture(scope="session")
def tool() -> Iterator[ModuleType]:
    """The training tool, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("train_demo_model", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="session")
def demo_model(demo_folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(demo_folder)


@pytest.fixture(scope="session")
def demo_tokenizer(demo_folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(demo_folder)
