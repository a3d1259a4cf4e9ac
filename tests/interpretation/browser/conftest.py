"""Reports made by hand, the page written from them, and a real browser that must stay offline."""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from playwright.sync_api import sync_playwright

from ghosttrack_cli.browser.prompt import PromptFeature, PromptLayer, PromptReport
from ghosttrack_cli.browser.writer import write_browser
from ghosttrack_cli.report.contrast_schema import AnswerPair, Contrast, ContrastEntry, TokenActs
from ghosttrack_cli.report.facts import (
    FileFacts,
    MaskCounts,
    Metrics,
    ModelFacts,
    Recovered,
    SAEFacts,
    SourceFacts,
)
from ghosttrack_cli.report.feature_flags import FLAGS, Flag, flag_bits
from ghosttrack_cli.report.feature_schema import (
    SHARD_FEATURES,
    Band,
    Example,
    FeatureReport,
    FiringToken,
    Histogram,
    LogitEntry,
    Neighbour,
    PositionBins,
    shard_name,
)
from ghosttrack_cli.report.report_files import NewReport, WholeReport, facts_of, write_record
from ghosttrack_cli.report.schema import (
    Curve,
    FeatureCounts,
    FeatureIndex,
    LayerReport,
    LayerSummary,
)
from ghosttrack_cli.report.search_files import SearchFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

ROWS = 10_000
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)
WORDS = (" the", " of", " river", " king", "ing", ",", " 1789", "\n", " music", " ghost")
HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror='window.pwned=2'>",
    '"><svg onload="window.pwned=3">',
    "\u202eevil\u202c",
    "\x00nul\x1b[31m",
    "line\u2028break\u2029",
    "&lt;b&gt; `${window.pwned=4}` \\u003c",
    "</TITLE><style>*{display:none}</style>",
)


def _flags(feature: int) -> list[Flag]:
    if feature % 11 == 5:
        return ["dead"]
    chosen: list[Flag] = []
    if feature % 7 == 3:
        chosen.append("single-token")
    if feature % 13 == 2:
        chosen.append("dense")
    return chosen


def _example(feature: int, rank: int, words: Sequence[str]) -> Example:
    length = 9 if rank else 90
    peak = length // 2
    act = round((feature % 17 + 3) / (1 + rank * 0.37), 5)
    acts = [0.0] * length
    acts[peak], acts[peak + 1] = act, round(act / 3, 5)
    return Example(
        ids=[(feature + place) % len(words) for place in range(length)],
        texts=[words[(feature + place) % len(words)] for place in range(length)],
        acts=acts,
        peak=peak,
        act=act,
        document=feature,
        position=peak,
        row=feature * 2**20 + peak,
    )


def make_feature(
    feature: int, features: int, words: Sequence[str] = WORDS, shown: int = 6
) -> FeatureReport:
    flags = _flags(feature)
    dead = "dead" in flags
    firings = 0 if dead else 40 + (feature * 7919) % 900
    examples = [] if dead else [_example(feature, 6 - shown + rank, words) for rank in range(shown)]
    first, second = words[feature % len(words)], words[(feature + 3) % len(words)]
    maximum = examples[0].act if examples else 0.0
    token = FiringToken(
        id=feature % len(words),
        text=first,
        count=firings // 2,
        occurrences=firings * 2,
        p_token_given_fires=0.5,
        p_fires_given_token=0.25,
        lift=12.5,
    )
    return FeatureReport(
        feature=feature,
        rows=ROWS,
        firings=firings,
        rate=firings / ROWS,
        rate_low=firings / ROWS * 0.9,
        rate_high=3 / ROWS if dead else firings / ROWS * 1.1,
        windows=firings // 2,
        windows_seen=500,
        max_act=maximum,
        mean_act=round(maximum / 3, 5),
        std_act=round(maximum / 7, 5),
        telling=0.0 if dead else round((feature * 37 % 101) / 10, 6),
        flags=flags,
        examples=examples,
        top=list(range(len(examples))),
        uniform=list(range(0, len(examples), 2)),
        weighted=list(range(1, len(examples), 2)),
        bands=[]
        if dead
        else [
            Band(low=0.5, high=maximum, examples=[0]),
            Band(low=0.1, high=0.5, examples=[-1 % shown]),
        ],
        histogram=Histogram(edges=[], counts=[])
        if dead
        else Histogram(edges=[0.25, 0.5, 1.0, 2.0], counts=[firings - 12, 10, 2]),
        positions=PositionBins(edges=[], counts=[], rows=[], rates=[])
        if dead
        else PositionBins(
            edges=[1, 2, 4, 8, 16],
            counts=[0, firings - 5, 3, 2],
            rows=[500, 1000, 2000, 4000],
            rates=[0, (firings - 5) / 1000, 0.0015, 0.0005],
        ),
        tokens=[] if dead else [token],
        tokens_error=2,
        promoted=[LogitEntry(id=1, text=second, logit=1.75), LogitEntry(id=2, text="ly", logit=1)],
        suppressed=[LogitEntry(id=3, text=" not", logit=-1.5)],
        neighbours=[Neighbour(feature=(feature + 1) % features, cosine=0.61, cofires=17)],
        encoder_decoder_cosine=0.4375,
    )


def _index(features: Sequence[FeatureReport]) -> FeatureIndex:
    return FeatureIndex(
        firings=[one.firings for one in features],
        rate=[one.rate for one in features],
        max_act=[one.max_act for one in features],
        mean_act=[one.mean_act for one in features],
        windows=[one.windows for one in features],
        telling=[one.telling for one in features],
        flags=[flag_bits(one.flags) for one in features],
        tokens=[[token.text for token in one.tokens] for one in features],
    )


def _counts(features: Sequence[FeatureReport]) -> FeatureCounts:
    having = {flag: sum(flag in one.flags for one in features) for flag in FLAGS}
    return FeatureCounts(
        rows=ROWS,
        features=len(features),
        active=len(features) - having["dead"],
        dead=having["dead"],
        dead_bound=3 / ROWS,
        rare=having["rare"],
        dense=having["dense"],
        single_token=having["single-token"],
        position_bound=having["position-bound"],
        duplicate=having["duplicate"],
        above_1_percent=0.5,
        above_10_percent=0.0,
    )


def _pair(feature: int, question: int) -> AnswerPair:
    def said(text: str, act: float) -> TokenActs:
        texts = [" The", text, "."]
        return TokenActs(ids=[1, 2, 3], texts=texts, acts=[0, act, 0], left_out=0)

    return AnswerPair(
        question=feature * 10 + question,
        opening=said(f" question {question}", 0),
        factual=said(f" right {question}", 2.5 - question),
        hallucinated=said(f" wrong {question}", 0),
        rate_factual=0.5,
        rate_hallucinated=0.0,
    )


def _contrast(features: Sequence[FeatureReport]) -> Contrast:
    tested = [one for one in features if one.firings][:9]
    entries = [
        ContrastEntry(
            feature=one.feature,
            rate_factual=one.rate,
            rate_hallucinated=one.rate / 2 if order else 0.0,
            answers_factual=12,
            answers_hallucinated=7,
            more_factual=9,
            more_hallucinated=3,
            effect=0.5 - order * 0.11,
            p_value=0.001 * (order + 1),
            p_corrected=0.009 * (order + 1),
            pairs=[_pair(one.feature, question) for question in range(3 if order < 5 else 0)],
        )
        for order, one in enumerate(tested)
    ]
    return Contrast(
        questions=20,
        rows_factual=400,
        rows_hallucinated=420,
        tested=len(tested),
        significant=sum(entry.p_corrected < 0.05 for entry in entries),
        entries=entries,
    )


def _density(features: Sequence[FeatureReport]) -> Histogram:
    rates = [math.log10(one.rate) for one in features if one.rate]
    edges = [-3.0, -2.0, -1.0]
    inside = [sum(low <= rate < high for rate in rates) for low, high in pairwise(edges)]
    return Histogram(edges=edges, counts=inside)


def make_layer(
    layer: int,
    features: Sequence[FeatureReport],
    *,
    contrast: bool,
    name: str = "tiny",
    source: str = "store",
) -> LayerReport:
    metrics = Metrics(
        rows=ROWS,
        l0=31.25 + layer,
        l1=100.5,
        fvu=0.125,
        explained_variance=0.875,
        recon_loss=0.09375,
        mse=0.0078125,
        cosine=0.9375,
        l2_ratio=0.96875,
        bias=1.03125,
    )
    recovered = Recovered(
        rows=ROWS - 500,
        spliced="kept",
        ce_clean=3.25,
        ce_sae=3.5,
        ce_zero=9.5,
        ce_mean=8.25,
        ce_recovered=0.96,
        kl_sae=0.25,
        kl_zero=6.5,
        kl_mean=5.5,
        kl_recovered=0.9615,
    )
    return LayerReport(
        layer=layer,
        model=ModelFacts(name=name),
        sae=SAEFacts(
            folder=f"sae_layer_{layer}_best",
            checkpoint="best",
            weights_sha256="0" * 64,
            d_model=64,
            d_hidden=len(features),
        ),
        source=SourceFacts(
            slug=source,
            kind="store",
            name=source,
            corpus="old books" if source == "store" else None,
            texts=40,
            windows=500,
            rows=ROWS,
            context_length=20,
            truncated=0,
        ),
        mask=MaskCounts(
            rows=11_000,
            position_0=500,
            special=300,
            outlier=200,
            outlier_limit=81.5,
            repeated=0,
            kept=ROWS,
            counted=ROWS,
        ),
        metrics=metrics,
        metrics_all_rows=metrics,
        recovered=recovered,
        recovered_all_rows=None,
        counts=_counts(features),
        density=_density(features),
        training=[
            Curve(name="dead_rows", steps=[0, 100], values=[0, 4096]),
            Curve(name="dead_fraction", steps=[0, 100], values=[0, 0.25]),
            Curve(name="fvu", steps=[0, 100, 200], values=[1.0, None, 0.125]),
            Curve(name="val_rows", steps=[0, 100, 200], values=[2048, 2048, 2048]),
            Curve(name="train_loss", steps=[0, 100, 200], values=[2.0, 1.5, 1.0]),
            Curve(name="train_rows", steps=[0, 100, 200], values=[256, 25_600, 25_600]),
        ],
        contrast=_contrast(features) if contrast else None,
        shards=[shard_name(first) for first in range(0, len(features), SHARD_FEATURES)],
        index=_index(features),
        notes=["Made by hand."],
        settings={"interpretation.top_examples": 10, "sae.target_l0": 24.0},
    )


@dataclass
class Reports:
    """Report folders on disk, and what was written in them."""

    folder: Path
    layers: dict[int, LayerReport] = field(default_factory=dict)
    features: dict[int, list[FeatureReport]] = field(default_factory=dict)
    clock: int = 1_700_000_000

    def add(
        self,
        layer: int,
        count: int,
        *,
        words: Sequence[str] = WORDS,
        contrast: bool = False,
        name: str = "tiny",
        shown: int = 6,
        source: str = "store",
    ) -> Reports:
        features = [make_feature(feature, count, words, shown) for feature in range(count)]
        report = make_layer(layer, features, contrast=contrast, name=name, source=source)
        folder = self.folder / f"layer_{layer}" / source
        new = NewReport(folder)
        search = SearchFiles(new, layer, source)
        for feature in new.write_features(layer, features):
            search.add(feature)
        search.finish()
        new.write_record("report.json", report)
        self.list_files(folder, report, new.files)
        self.layers[layer], self.features[layer] = report, features
        # The newest comes first: here the one added last, whatever the file system's clock does.
        self.clock += 1
        os.utime(folder / "summary.json", (self.clock, self.clock))
        return self

    def list_files(self, folder: Path, report: LayerReport, listed: dict[str, FileFacts]) -> None:
        """Write the summary of a report with the files `listed`."""
        summary = LayerSummary(
            layer=report.layer,
            fingerprint="f",
            sae=report.sae,
            source=report.source,
            counts=report.counts,
            metrics=report.metrics,
            recovered=report.recovered,
            significant=None,
            files=listed,
            records=facts_of(b""),
        )
        write_record(folder / "summary.json", summary)

    def change(self, layer: int, name: str, data: bytes) -> Path:
        """Other bytes in a file of a report, as if they had been written so."""
        folder = self.folder / f"layer_{layer}" / "store"
        (folder / name).write_bytes(data)
        known = WholeReport(folder).summary.files
        self.list_files(folder, self.layers[layer], known | {name: facts_of(data)})
        return folder / name

    def prompt(self, layers: Sequence[int], texts: Sequence[str] = WORDS) -> Reports:
        acts = [0.0] * len(texts)
        acts[2], acts[3] = 2.5, 1.25
        other = [0.0] * len(texts)
        other[3] = 4.0
        found = [PromptFeature(feature=1, acts=acts), PromptFeature(feature=4, acts=other)]
        report = PromptReport(
            model="tiny",
            text="".join(texts),
            ids=list(range(len(texts))),
            texts=list(texts),
            layers=[PromptLayer(layer=layer, features=found) for layer in layers],
        )
        write_record(self.folder / "prompt.json", report)
        return self

    def write(self) -> Path:
        return write_browser(self.folder)

    def data(self, name: str) -> Any:
        """What a data file hands to the page."""
        text = (self.folder / "browser" / "data" / f"{name}.js").read_text("utf-8")
        head = f"ghosttrack.deliver({json.dumps(name)}, "
        assert text.startswith(head)
        assert text.endswith(");\n")
        return json.loads(text[len(head) : -3])


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    """An empty folder of reports."""
    folder = tmp_path / "interpretations"
    folder.mkdir()
    return Reports(folder)


@pytest.fixture
def hostile() -> tuple[str, ...]:
    """Texts that try to become markup, script, or another reading direction."""
    return HOSTILE


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Three layers, one with TruthfulQA, and a prompt; nobody changes it."""
    made = Reports(tmp_path_factory.mktemp("site"))
    made.add(0, 60).add(6, 300, contrast=True).add(11, 40).prompt([6, 11])
    made.write()
    return made


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """A Chromium on this machine."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on the path, looked for {', '.join(BROWSERS)}")
    return found


@pytest.fixture(scope="session")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """One headless browser for all tests of a process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path, args=list(CHROMIUM_FLAGS)
        )
        yield browser
        browser.close()


class Visit(Protocol):
    """Opens a page of reports at a place: `visit(reports, "#layer=6")`."""

    def __call__(
        self, reports: Reports, place: str = "#", *, width: int = 1600, theme: str = "light"
    ) -> Page: ...


@dataclass
class Watch:
    """Everything a page must not do."""

    folder: str = ""
    faults: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console {message.type}: {message.text}")

    def request(self, request: Request) -> None:
        if not request.url.startswith((self.folder, "data:", "about:")):
            self.faults.append(f"request: {request.url}")

    def attach(self, page: Page, folder: Path) -> None:
        self.folder = folder.as_uri()
        page.on("console", self.console)
        page.on("request", self.request)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("requestfailed", lambda one: self.faults.append(f"failed: {one.url}"))


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens pages offline; fails the test on a console error or a request outside the folder."""
    watch = Watch()
    contexts: list[BrowserContext] = []

    def open_page(
        reports: Reports, place: str = "#", *, width: int = 1600, theme: str = "light"
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
            offline=True,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        watch.attach(page, reports.folder)
        page.goto((reports.folder / "index.html").as_uri() + place)
        page.wait_for_function("() => document.documentElement.dataset.shown")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert watch.faults == []
