"""Small repositories with the real ones' file names: gpt2, Wikipedia and TruthfulQA."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LAYERS, WIDTH, CONTEXT, VOCABULARY = 12, 32, 256, 1000
ARTICLES = 1300
TOPICS = 12
CONFIGS = {"20231101.en": (ARTICLES, 3), "20231101.simple": (40, 1), "20231101.nds": (36, 3)}
END_OF_TEXT = "<|endoftext|>"


def build_hub(root: Path) -> Path:
    """All repositories under `root`."""
    build_wikipedia(root / "datasets" / "wikimedia" / "wikipedia")
    build_truthfulqa(root / "datasets" / "truthfulqa" / "truthful_qa")
    build_gpt2(root / "models" / "openai-community" / "gpt2")
    return root


def articles(count: int, seed: int = 0) -> list[str]:
    """Made-up articles of some 550 words in twelve topics; every fortieth is a stub."""
    generator = random.Random(seed)
    common = [_word(generator, 2) for _ in range(60)]
    topics = [[_word(generator, 3) for _ in range(30)] for _ in range(TOPICS)]
    return [
        _article(generator, common + topics[number % TOPICS] * 2)
        if number % 40
        else f"{generator.choice(common).title()} may refer to nothing."
        for number in range(count)
    ]


def _word(generator: random.Random, syllables: int) -> str:
    parts = (
        generator.choice("bdfgklmnprstv") + generator.choice("aeiou") for _ in range(syllables)
    )
    return "".join(parts) + generator.choice(["", "n", "s", "r"])


def _article(generator: random.Random, words: list[str]) -> str:
    paragraphs = [
        " ".join(_sentence(generator, words) for _ in range(generator.randint(4, 9)))
        for _ in range(generator.randint(5, 9))
    ]
    return "\n\n".join(paragraphs)


def _sentence(generator: random.Random, words: list[str]) -> str:
    chosen = generator.choices(words, k=generator.randint(6, 18))
    return f"{' '.join(chosen).capitalize()}."


def build_wikipedia(folder: Path) -> None:
    """`wikimedia/wikipedia`: a folder of Parquet files for each date and language."""
    for seed, (config, (count, files)) in enumerate(CONFIGS.items()):
        texts = articles(count, seed)
        share = -(-count // files)
        for number in range(files):
            rows = [
                {
                    "id": str(row),
                    "url": f"https://en.wikipedia.org/wiki/{row}",
                    "title": texts[row].split(" ", 1)[0],
                    "text": texts[row],
                }
                for row in range(number * share, min(count, (number + 1) * share))
            ]
            _parquet(folder / config / f"train-{number:05}-of-{files:05}.parquet", rows)
    features = {"id": "string", "url": "string", "title": "string", "text": "string"}
    _card(folder, {config: {"train": f"{config}/*"} for config in CONFIGS}, features)


def build_truthfulqa(folder: Path) -> None:
    """`truthfulqa/truthful_qa`, configuration `generation`: 60 questions in three categories."""
    rows = [
        {
            "type": "Adversarial",
            "category": ("Misconceptions", "Law", "Health")[number % 3],
            "question": f"What is the colour of thing number {number}?",
            "best_answer": f"Thing {number} is blue",
            "correct_answers": [f"Thing {number} is blue", "It is blue"],
            "incorrect_answers": [f"Thing {number} is green", "Nobody knows"],
            "source": "https://example.org",
        }
        for number in range(60)
    ]
    _parquet(folder / "generation" / "validation-00000-of-00001.parquet", rows)
    _card(folder, {"generation": {"validation": "generation/validation-*"}}, None)


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=200)


def _card(
    folder: Path, configs: dict[str, dict[str, str]], features: dict[str, str] | None
) -> None:
    lines = ["---", "license: cc-by-sa-3.0"]
    if features is not None:
        lines += ["dataset_info:"]
        for config in configs:
            lines += [f"- config_name: {config}", "  features:"]
            lines += [f"  - name: {name}\n    dtype: {kind}" for name, kind in features.items()]
            lines += ["  splits:", "  - name: train", "    num_bytes: 1", "    num_examples: 1"]
            lines += ["  download_size: 1", "  dataset_size: 1"]
    lines += ["configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        lines += [f"  - split: {name}\n    path: {path}" for name, path in splits.items()]
    (folder / "README.md").write_text("\n".join([*lines, "---", "", "# Made up"]))


def build_gpt2(folder: Path) -> None:
    """`openai-community/gpt2` with twelve layers of width 32 and random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(folder)
    _write_weights(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Not GPT-2\n")


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(articles(200), trainer)
    tokenizer.add_special_tokens([END_OF_TEXT])
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": CONTEXT}))


def _write_weights(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    vocabulary = len(json.loads((folder / "vocab.json").read_text()))
    generator = np.random.default_rng(0)
    # The real file names its tensors like this too, without the prefix "transformer.".
    save_file(
        {
            name: np.ones(shape, np.float32)
            if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))
            else generator.normal(0, 0.1, shape).astype(np.float32)
            for name, shape in _shapes(vocabulary).items()
        },
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    ends = {"bos_token_id": vocabulary - 1, "eos_token_id": vocabulary - 1}
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": CONTEXT,
        "n_embd": WIDTH,
        "n_head": 2,
        "n_layer": LAYERS,
        "n_positions": CONTEXT,
        "resid_pdrop": 0.1,
        "vocab_size": vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(config | ends, indent=2))
    (folder / "generation_config.json").write_text(json.dumps(ends))


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (vocabulary, WIDTH),
        "wpe.weight": (CONTEXT, WIDTH),
        "ln_f.weight": (WIDTH,),
        "ln_f.bias": (WIDTH,),
    }
    block: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (WIDTH,),
        "ln_1.bias": (WIDTH,),
        "attn.c_attn.weight": (WIDTH, 3 * WIDTH),
        "attn.c_attn.bias": (3 * WIDTH,),
        "attn.c_proj.weight": (WIDTH, WIDTH),
        "attn.c_proj.bias": (WIDTH,),
        "ln_2.weight": (WIDTH,),
        "ln_2.bias": (WIDTH,),
        "mlp.c_fc.weight": (WIDTH, 4 * WIDTH),
        "mlp.c_fc.bias": (4 * WIDTH,),
        "mlp.c_proj.weight": (4 * WIDTH, WIDTH),
        "mlp.c_proj.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        shapes |= {f"h.{layer}.{name}": shape for name, shape in block.items()}
    return shapes
