"""The real libraries, in a process of their own, against the stand-in of the hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.hub.repositories import CONTEXT, LAYERS, WIDTH, articles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub.server import Hub

LIBRARIES = """
import json
import os
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.disable_progress_bar()
tokenizer = AutoTokenizer.from_pretrained("gpt2")
model, loading = AutoModelForCausalLM.from_pretrained("gpt2", output_loading_info=True)
wikipedia = load_dataset("wikimedia/wikipedia", "20231101.en", split="train", streaming=True)
questions = load_dataset("truthfulqa/truthful_qa", "generation", split="validation")
text = next(iter(wikipedia))["text"]
ids = tokenizer(text)["input_ids"]
print(json.dumps({
    "layers": model.config.n_layer,
    "width": model.config.n_embd,
    "missing": sorted(loading["missing_keys"]),
    "unexpected": sorted(loading["unexpected_keys"]),
    "end": [tokenizer.bos_token, tokenizer.eos_token, tokenizer.eos_token_id],
    "vocabulary": [len(tokenizer), model.config.vocab_size, tokenizer.model_max_length],
    "round_trip": tokenizer.decode(ids) == text,
    "text": text,
    "question": questions[0],
}), flush=True)
# Arrow's threads abort an interpreter that ends while they read ahead (apache/arrow#45214).
os._exit(0)
"""


def run(code: str, environment: dict[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_real_libraries_load_everything(hub: Hub, tmp_path: Path) -> None:
    found = run(LIBRARIES, hub.environment(tmp_path))
    vocabulary = found["vocabulary"][0]
    assert (found["layers"], found["width"]) == (LAYERS, WIDTH)
    assert found["missing"] in ([], ["lm_head.weight"])
    assert found["unexpected"] == []
    assert found["end"] == ["<|endoftext|>", "<|endoftext|>", vocabulary - 1]
    assert found["vocabulary"] == [vocabulary, vocabulary, CONTEXT]
    assert found["round_trip"]
    assert found["text"] == next(iter(articles(1, seed=0)))
    assert found["question"]["best_answer"] == "Thing 0 is blue"
    assert any("openai-community/gpt2/resolve" in request for request in hub.requests)


def test_there_is_enough_text_for_a_million_tokens(hub_root: Path) -> None:
    from tokenizers import Tokenizer

    from ghosttrack_cli.text.local import LocalCorpus

    corpus = LocalCorpus(hub_root / "datasets" / "wikimedia" / "wikipedia" / "20231101.en")
    folder = hub_root / "models" / "openai-community" / "gpt2"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [document.text for document in corpus.documents()]
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts[:50]))
    assert tokens / 50 * len(texts) > 1_050_000
