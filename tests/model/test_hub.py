"""Models from the hub: the real client against the stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.errors import HubError
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.settings.schema import ModelSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub.server import Hub

GPT2 = ModelSettings(name="gpt2", device="cpu")


def test_gpt2_by_its_short_name(hub_here: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    described = find_model(GPT2, cache).description
    assert (described.n_layers, described.d_model, described.max_context) == (12, 32, 256)
    assert described.download_bytes == described.weight_bytes > 0
    assert not list(cache.rglob("*.safetensors"))
    model = ResidualModel.load(GPT2, cache_dir=cache)
    assert model.identity.name == "gpt2"
    assert model.identity.revision == described.revision
    again = find_model(GPT2, cache).description
    assert (again.weight_bytes, again.download_bytes) == (described.weight_bytes, 0)


def test_the_cache_serves_while_the_hub_is_away(hub_here: Hub, tmp_path: Path) -> None:
    first = ResidualModel.load(GPT2, cache_dir=tmp_path).identity
    hub_here.fail(503)
    assert ResidualModel.load(GPT2, cache_dir=tmp_path).identity == first


@pytest.mark.parametrize(
    ("name", "message"), [("nobody/nothing", "404|401"), ("openai-community/gpt3", "404|401")]
)
def test_a_name_that_the_hub_does_not_have(
    name: str, message: str, hub_here: Hub, tmp_path: Path
) -> None:
    with pytest.raises(HubError, match=message):
        ResidualModel.load(ModelSettings(name=name, device="cpu"), cache_dir=tmp_path)


def test_a_hub_that_does_not_work(hub_here: Hub, tmp_path: Path) -> None:
    hub_here.fail(503)
    with pytest.raises(HubError, match="503") as caught:
        ResidualModel.load(GPT2, cache_dir=tmp_path)
    assert "--model DIR" in str(caught.value.hint)
