"""The quick start of the original document, with our imports, paths and fewer tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hub.server import Hub

QUICK_START = """
# 1. Extract states for layer 6 (middle layer)
from ghosttrack_cli import GPT2WithResidualHooks, HiddenStateExtractor, WikipediaCorpus

model = GPT2WithResidualHooks('gpt2', device='cpu')
corpus = WikipediaCorpus().load()
extractor = HiddenStateExtractor(model, corpus)

state_path = extractor.extract_for_layer(layer_idx=6, num_tokens=20_000, batch_size=4)

# 2. Train SAE
from ghosttrack_cli import train_sae_for_layer

history = train_sae_for_layer(
    layer_idx=6,
    hidden_states_path=state_path,
    save_dir='./models/checkpoints',
    device='cpu',
)

# 3. Check results
print(f"Best recon loss: {min(history['recon_loss']):.6f}")
print(f"Final sparsity: {history['sparsity'][-1]:.4f}")

# 4. Interpret features
from ghosttrack_cli import analyze_sae, load_truthfulqa

train_data, _, _ = load_truthfulqa()
texts = [ex.prompt for ex in train_data[:500]]

interpretations = analyze_sae(
    sae_checkpoint_path='./models/checkpoints/sae_layer_6_best',
    model_wrapper=model,
    layer_idx=6,
    texts=texts,
)

# 5. Print summary
from ghosttrack_cli import print_feature_summary

for feat_id in range(10):
    print_feature_summary(interpretations[feat_id])
"""


@pytest.mark.slow
def test_the_quick_start_of_the_seed_runs(hub: Hub, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUICK_START],
        cwd=tmp_path,
        env={**os.environ, **hub.environment(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 0 < float(lines[0].removeprefix("Best recon loss: ")) < 1
    assert lines[1].startswith("Final sparsity: ")
    assert sum("feature" in line.lower() for line in lines) >= 10
    for name in ("sae_layer_6_best", "sae_layer_6_final", "sae_layer_6_history.json"):
        assert (tmp_path / "models" / "checkpoints" / name).exists()
