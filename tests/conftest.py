"""Fixtures that every area shares."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from tests import fault_table

from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerFast

pytest.register_assert_rewrite("tests.store.kills", "tests.training.outcomes")
pytest_plugins = [
    "tests.hub.fixtures",
    "tests.store.fixtures",
    "tests.support.threads",
    "tests.support.disks",
]

# How fast examples come says how busy the machine is, and nothing about the code.
settings.register_profile("ghosttrack", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ghosttrack")

FAMILY_DEFAULTS = {
    "num_hidden_layers": 3,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 257,
    "max_position_embeddings": 32,
    "bos_token_id": 256,
    "eos_token_id": 256,
    "pad_token_id": None,
}
FAMILY_EXTRAS: dict[str, dict[str, Any]] = {
    "gpt2": {"intermediate_size": None},
    "gpt_neox": {"rotary_pct": 0.5},
    "llama": {"num_key_value_heads": 1},
    "mistral": {"num_key_value_heads": 1},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "gemma": {"num_key_value_heads": 1, "head_dim": 8},
    "gemma2": {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 8},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16, "pad_token_id": 1},
}


def pytest_configure(config: pytest.Config) -> None:
    """A run that is cut off says what it came to, as after Ctrl-C."""
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(fault_table.FaultTable())
    if config.getoption("numprocesses", None):  # the tests are in other processes
        signal.signal(signal.SIGTERM, signal.default_int_handler)


class Clock:
    """Time passes only in sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        monkeypatch.setattr("ghosttrack_cli.machine.clock.monotonic", lambda: self.now)
        monkeypatch.setattr("ghosttrack_cli.machine.clock.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of `ghosttrack_cli.machine.devices`, at 0 and under the test's control."""
    return Clock(monkeypatch)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace(tmp_path / "ghosttrack-data")


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte and <|endoftext|> = 256: needs no training and no file."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    end = "<|endoftext|>"
    make: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = make(tokenizer_object=bpe, bos_token=end, eos_token=end)
    return tokenizer


def random_model(family: str = "gpt2", **config: Any) -> PreTrainedModel:
    """A causal language model of `family` with seeded random weights, tiny by default."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    measures = FAMILY_DEFAULTS | FAMILY_EXTRAS.get(family, {}) | config
    measures = {name: value for name, value in measures.items() if value is not None}
    if "pad_token_id" not in measures:
        measures["pad_token_id"] = None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make: Any = AutoModelForCausalLM.from_config
        model: PreTrainedModel = make(AutoConfig.for_model(family, **measures))
        # Initial weights are so small that a wrong block would hardly show.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.train(mode=False)
    return model


@pytest.fixture(scope="session")
def make_random_model() -> Callable[..., PreTrainedModel]:
    """`make_random_model(family, **config)`: an untrained model in memory."""
    return random_model


@pytest.fixture(scope="session")
def make_model_folder(
    tmp_path_factory: pytest.TempPathFactory, byte_tokenizer: PreTrainedTokenizerFast
) -> Callable[..., Path]:
    """`make_model_folder(family, **config)`: an untrained model with its tokenizer, saved."""
    from transformers.utils import logging

    def make(family: str = "gpt2", **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("models") / family
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        random_model(family, **config).save_pretrained(folder)
        byte_tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model_folder: Callable[..., Path]) -> Path:
    """A GPT-2 with 3 layers, D = 16, 32 tokens of context, and a token a byte. Read only."""
    return make_model_folder("gpt2")
