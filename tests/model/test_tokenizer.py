"""Tokenizers that cannot be had: what is there, and what helps."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.source import find_source
from ghosttrack_cli.model.tokenizer import open_tokenizer
from ghosttrack_cli.settings.schema import ModelSettings


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A model without its tokenizer."""
    copied = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    for path in copied.glob("*token*"):
        path.unlink()
    return copied


def test_no_tokenizer_at_all(folder: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"no tokenizer: .* has no tokenizer\.json") as caught:
        open_tokenizer(find_source(ModelSettings(name=str(folder))))
    assert "save_pretrained" in str(caught.value.hint)


@pytest.mark.skipif(
    importlib.util.find_spec("sentencepiece") is not None, reason="SentencePiece can be read here"
)
@pytest.mark.parametrize("name", ["tokenizer.model", "spiece.model"])
def test_a_sentencepiece_model_alone_says_what_to_install(folder: Path, name: str) -> None:
    for other in ("vocab.json", "merges.txt"):
        (folder / other).unlink(missing_ok=True)
    (folder / name).write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02" * 3)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    with pytest.raises(ModelError, match=rf"{name}, which SentencePiece has to read") as caught:
        open_tokenizer(find_source(ModelSettings(name=str(folder))))
    assert str(caught.value.hint).startswith("pip install sentencepiece")
