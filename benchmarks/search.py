"""A search over a report as wide as GPT-2's: `python benchmarks/search.py [--features 24576]`.

The features are made up: each has the tokens and examples that `interpret` keeps, of words drawn as
text draws them, a few often and most seldom. Processor seconds from opening the report to the
ordered answers, for a frequent word, a rare one, a phrase and one that nothing has; the size of the
files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ghosttrack_cli.report.facts import SAEFacts, SourceFacts
from ghosttrack_cli.report.feature_schema import Example, FeatureReport, FiringToken, LogitEntry
from ghosttrack_cli.report.report_files import NewReport, WholeReport, facts_of, write_record
from ghosttrack_cli.report.schema import FeatureCounts, LayerSummary
from ghosttrack_cli.report.search_files import SearchFiles, read_tokens, read_words
from ghosttrack_cli.report.search_index import Searched, search
from ghosttrack_cli.site import Site
from record import add_option, figure, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

VOCABULARY, EXAMPLES, TOP, SIDE, TOKENS = 30_000, 40, 20, 15, 15
REPEATS = 3
QUERIES = ("w1", "w29000", '"w3 w1"', "nowhere")


def made_up(features: int, seed: int = 0) -> Iterator[FeatureReport]:
    """Features whose tokens follow Zipf's law."""
    rng = np.random.default_rng(seed)
    words = [f" w{number}" for number in range(VOCABULARY)]
    length = 2 * SIDE + 1
    for feature in range(features):
        drawn = np.minimum(rng.zipf(1.3, (EXAMPLES, length)), VOCABULARY - 1).tolist()
        own = rng.integers(0, VOCABULARY, 3 * TOKENS).tolist()
        examples = [bare(Example, texts=[words[number] for number in row]) for row in drawn]
        yield bare(
            FeatureReport,
            feature=feature,
            flags=[],
            telling=float(rng.random()),
            examples=examples,
            top=list(range(TOP)),
            tokens=[
                bare(FiringToken, text=words[number], p_token_given_fires=0.1, lift=9.0)
                for number in own[:TOKENS]
            ],
            promoted=[bare(LogitEntry, text=words[n]) for n in own[TOKENS : 2 * TOKENS]],
            suppressed=[bare(LogitEntry, text=words[n]) for n in own[2 * TOKENS :]],
        )


def bare(kind: Any, **fields: Any) -> Any:
    """A record with some of its fields."""
    return kind.model_construct(**fields)


def write_report(folder: Path, features: int) -> None:
    """The search files of made-up features, and a summary that lists them."""
    new = NewReport(folder)
    files = SearchFiles(new, 6, "store")
    for feature in made_up(features):
        files.add(feature)
    files.finish()
    sae = SAEFacts(folder="s", checkpoint="best", weights_sha256="", d_model=1, d_hidden=features)
    counted = dict.fromkeys(FeatureCounts.model_fields, 0) | {"features": features}
    summary = LayerSummary(
        layer=6,
        fingerprint="",
        sae=sae,
        source=SourceFacts(
            kind="store",
            slug="store",
            name="store",
            texts=None,
            windows=0,
            rows=0,
            context_length=0,
            truncated=0,
        ),
        counts=FeatureCounts.model_validate(counted),
        metrics=None,
        recovered=None,
        significant=None,
        files=new.files,
        records=facts_of(b""),
    )
    write_record(folder / "summary.json", summary)


def seconds_of(folder: Path, features: int, query: str) -> tuple[float, int]:
    """The best of a few searches, and how many features it finds."""
    best, found = float("inf"), 0
    for _ in range(REPEATS):
        start = time.process_time()
        report = WholeReport(folder)
        tokens = read_tokens(report)
        words = read_words(report, tokens["files"])
        asked = Searched(Site(6), [()] * features, [0.0] * features, tokens, words)
        found = len(sorted(search(query, asked), key=lambda hit: hit.order))
        best = min(best, time.process_time() - start)
    return best, found


def tables(options: argparse.Namespace) -> None:
    """Write, search, print and record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "layer_6" / "store"
        write_report(folder, options.features)
        megabytes = sum(path.stat().st_size for path in (folder / "search").iterdir()) / 1e6
        figure("files", features=options.features, megabytes=megabytes)
        print(f"{options.features:,} features, {megabytes:.1f} MB\n")
        print(f"{'query':<12}{'found':>8}{'CPU s':>8}")
        for query in QUERIES:
            seconds, found = seconds_of(folder, options.features, query)
            figure("search", query=query, found=found, cpu_seconds=seconds)
            print(f"{query:<12}{found:>8,}{seconds:>8.3f}")


def main() -> None:
    """Print one line for each query."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=24_576)
    add_option(parser)
    options = parser.parse_args()
    with recording("search", options):
        tables(options)


if __name__ == "__main__":
    main()
