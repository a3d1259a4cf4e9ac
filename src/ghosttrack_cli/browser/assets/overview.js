"use strict";
// All layers side by side.

(() => {
  const { el, svg } = ghosttrack.dom;
  const { number, count, percent, percentTick, visible } = ghosttrack.format;
  const { card, table, empty } = ghosttrack.parts;
  const { catalogue, metrics } = ghosttrack;

  const CHARTED = ["fvu", "ce_recovered", "l0", "dead"];
  const COLUMNS = ["fvu", "ce_recovered", "kl_recovered", "l0", "cosine", "l2_ratio", "dead", "dense"];

  const open = (/** @type {Report} */ report) => () => {
    location.hash = catalogue.href(report);
  };

  /** @param {Report[]} layers */
  function charts(layers) {
    const known = CHARTED.filter((key) => layers.some((report) => metrics.value(report, key) !== null));
    return el(
      "div",
      { class: "multiples", "data-cards": known.length },
      known.map((key) =>
        card(
          metrics.name(key),
          { note: metrics.about(key), class: "small-card" },
          ghosttrack.lines.bars(
            layers.map((report) => ({
              name: `Layer ${report.layer}`,
              short: String(report.layer),
              value: metrics.value(report, key),
              pick: open(report),
            })),
            { label: `${metrics.name(key)} by layer`, text: (amount) => metrics.text(key, amount), tick: tick(key) },
          ),
        ),
      ),
    );
  }

  /** @param {string} key */
  function tick(key) {
    const sample = metrics.text(key, 0.5);
    return sample.endsWith("%") ? percentTick : undefined;
  }

  // The shape of the rates' histogram, small enough for a line of a table.
  /** @param {Histogram} histogram */
  function spark({ counts }) {
    const most = Math.max(1, ...counts);
    const wide = 110 / Math.max(1, counts.length);
    const bars = counts.map((value, index) => svg("rect", { class: "bar", x: index * wide, y: 24 - (24 * value) / most, width: Math.max(0.5, wide - 0.5), height: (24 * value) / most }));
    return svg("svg", { class: "spark", width: 110, height: 24, "aria-hidden": "true" }, bars);
  }

  /** @param {Report} report */
  function row(report) {
    const cell = (/** @type {string} */ label, /** @type {Child[]} */ ...children) => el("td", { class: "number", "data-label": label }, children);
    return el(
      "tr",
      { "data-layer": report.layer, "data-source": catalogue.sourceOf(report) },
      el("th", { scope: "row" }, el("a", { href: catalogue.href(report) }, `Layer ${report.layer}`), catalogue.sources().length > 1 ? el("bdi", { class: "about" }, visible(catalogue.textsName(report))) : null, report.outdated ? el("span", { class: "flag outdated-flag", tip: "Of an earlier SAE than the layer has now." }, "outdated") : null),
      cell("Features", el("a", { href: catalogue.href(report, { view: "features" }) }, number(report.counts.features, "count"))),
      cell("Firing rates", spark(report.density)),
      COLUMNS.map((key) => cell(metrics.name(key), metrics.shown(key, metrics.value(report, key)))),
      cell("Rows: metrics", number(metrics.rows(report, "fvu") ?? report.counts.rows, "count")),
      cell("Rows: spliced", number(report.recovered?.rows ?? null, "count")),
      cell("Rows: features", number(report.counts.rows, "count")),
    );
  }

  /** @param {Report[]} layers */
  function comparison(layers) {
    const heads = [
      ["Layer", "", "open the layer's page"],
      ["Features", "number", "size of the SAE; open the list"],
      ["Firing rates", "", "active features by rate, on a log scale; the layer's page has the axes"],
      ...COLUMNS.map((key) => [metrics.name(key), "number", metrics.about(key)]),
      ["Rows: metrics", "number", "rows behind FVU, L0, cosine and L2 ratio"],
      ["Rows: spliced", "number", "positions behind CE and KL recovered"],
      ["Rows: features", "number", "rows behind dead and dense shares"],
    ];
    return card("Layers", { note: "Each figure with the number of rows it was measured on." }, table("Metrics of every layer", heads, layers.map(row), { class: "wide" }));
  }

  /** @param {Report[]} layers */
  function totals(layers) {
    const sum = (/** @type {string} */ key) => layers.reduce((total, report) => total + report.counts[key], 0);
    const dead = sum("dead") ? percent(sum("dead") / sum("features")) : "none";
    return el(
      "p",
      { class: "lede" },
      `${count(sum("features"))} features in ${layers.length === 1 ? "one layer" : `${layers.length} layers`}, ${dead} of them dead on ${catalogue.sources().length > 1 ? `the rows of ${visible(catalogue.textsName(layers[0]))}` : "these rows"}.`,
    );
  }

  function damaged() {
    const { damaged: left } = ghosttrack.data.get("catalogue");
    if (!left.length) return null;
    const names = left.map(({ layer, source }) => `layer ${layer} over ${source}`).join(", ");
    return empty(`Not shown because it cannot be read: ${names}.`, "Run `ghosttrack interpret` for it again.", "empty notice");
  }

  // Figures over different texts are not comparable: without a choice those that most layers have a report over.
  /** @param {string | null} source */
  function compared(source) {
    const most = (/** @type {string} */ slug) => catalogue.all().filter((report) => catalogue.sourceOf(report) === slug).length;
    const [common] = catalogue.sources().sort((a, b) => most(b) - most(a));
    return catalogue.layers(source ?? common).filter((report) => catalogue.sourceOf(report) === (source ?? common));
  }

  /** @type {Ghosttrack["views"]["overview"]} */
  async function overview({ source }) {
    const reports = source === null ? catalogue.all() : catalogue.all().filter((report) => catalogue.sourceOf(report) === source);
    const layers = compared(source).filter((report) => reports.includes(report));
    const title = [...new Set(layers.map((report) => report.model.name))].join(", ") || "GhostTrack";
    const head = el("div", { class: "page-head" }, el("h1", {}, el("bdi", {}, ghosttrack.format.visible(title))));
    if (!layers.length) {
      return { title: "GhostTrack", node: el("div", { class: "page" }, head, empty("No layer has been interpreted yet.", "Run `ghosttrack interpret`, then open this page again.")) };
    }
    return {
      title: "All layers",
      node: el("div", { class: "page" }, head, ghosttrack.about(reports), damaged(), totals(layers), layers.length > 1 ? charts(layers) : null, comparison(reports)),
      key: (name) => name === "next" && (open(layers[0])(), true),
    };
  }

  ghosttrack.views = { ...ghosttrack.views, overview };
})();
