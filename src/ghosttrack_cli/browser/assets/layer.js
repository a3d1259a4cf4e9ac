"use strict";
// One layer: how good its SAE is, over which rows, how it was trained, what its features are like.

(() => {
  const { el } = ghosttrack.dom;
  const { number, count, percent, percentTick, significant, visible } = ghosttrack.format;
  const { card, fact, table, crumbs, flag, FLAGS } = ghosttrack.parts;
  const { catalogue, metrics } = ghosttrack;

  const HEADLINE = ["fvu", "l0", "ce_recovered", "kl_recovered", "dead"];
  const TABLED = ["fvu", "explained_variance", "l0", "l1", "recon_loss", "mse", "cosine", "l2_ratio", "bias"];

  /** @param {Report} report */
  function head(report) {
    const { layer, model, sae, contrast } = report;
    const facts = [model.name, `residual stream after block ${layer}`, `${count(sae.d_model)} → ${count(sae.d_hidden)}`, sae.folder];
    return el(
      "div",
      { class: "page-head" },
      el("div", {}, el("h1", {}, `Layer ${layer}`), el("p", { class: "lede-more" }, facts.map((text) => el("bdi", { class: "fact-part" }, visible(text))))),
      el(
        "div",
        { class: "actions" },
        contrast ? el("a", { class: "button", href: catalogue.href(report, { view: "contrast" }) }, "True against false") : null,
        el("a", { class: "button primary", href: catalogue.href(report, { view: "features" }) }, `Browse ${count(report.counts.features)} features`),
      ),
    );
  }

  /** @param {Report} report */
  function headline(report) {
    const facts = HEADLINE.map((key) => {
      const behind = metrics.rows(report, key);
      return fact(metrics.name(key), metrics.shown(key, metrics.value(report, key)), behind === null ? null : `N\u00a0=\u00a0${count(behind)} rows`, metrics.about(key));
    });
    return el("dl", { class: "facts" }, facts);
  }

  /** @param {Report} report @param {Columns} columns */
  function shape(report, columns) {
    const { density, counts } = report;
    const filtered = (/** @type {number} */ low, /** @type {number} */ high) => {
      location.hash = ghosttrack.query.href(report, { sort: "rate", descending: true, include: [], exclude: [], low, high, query: "" });
    };
    const rates = { edges: density.edges.map((edge) => 10 ** edge), counts: density.counts };
    return el(
      "div",
      { class: "halves" },
      card(
        "Rate against strength",
        { note: "Each point is a feature; flagged ones are orange. Hover or use the arrow keys to read one, click or press Enter to open it." },
        counts.active ? ghosttrack.scatter(columns, (feature) => (location.hash = catalogue.href(report, { feature }))) : el("p", { class: "note" }, "No feature fired."),
      ),
      card(
        "Firing rates",
        { note: `Active features by rate over ${count(counts.rows)} rows. Select a bar to list its features.` },
        ghosttrack.histogram(rates, {
          label: "Active features by firing rate",
          unit: "features",
          title: "firing rate",
          height: 320,
          edgeText: percent,
          tick: percentTick,
          pick: filtered,
        }),
      ),
    );
  }

  /** @param {Report} report */
  function quality(report) {
    const { metrics: kept, metrics_all_rows: all } = report;
    if (!kept && !all) return null;
    const rows = TABLED.map((key) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, metrics.name(key), el("span", { class: "about" }, metrics.about(key))),
        [kept, all].map((one) => el("td", { class: "number" }, one ? metrics.shown(key, one[key]) : "–")),
      ),
    );
    const heads = [["Metric"], [`Kept rows (${count(kept?.rows)})`, "number"], [`All rows (${count(all?.rows)})`, "number"]];
    return card("Reconstruction", { note: "With and without position 0, special tokens and outliers." }, table("Reconstruction metrics", heads, rows));
  }

  /** @param {Report} report */
  function splicing(report) {
    const { recovered: kept, recovered_all_rows: all } = report;
    if (!kept && !all) return null;
    /** @type {[name: string, about: string, ce: string, kl: string | null][]} */
    const lines = [
      ["Clean", "the model as it is", "ce_clean", null],
      ["SAE", "reconstruction in place of the residual stream", "ce_sae", "kl_sae"],
      ["Mean", "mean ablation", "ce_mean", "kl_mean"],
      ["Zero", "zero ablation", "ce_zero", "kl_zero"],
    ];
    const pair = (/** @type {Measures | null} */ one, /** @type {string} */ ce, /** @type {string | null} */ kl) => [
      el("td", { class: "number" }, number(one?.[ce])),
      el("td", { class: "number" }, kl ? number(one?.[kl]) : "–"),
    ];
    const rows = lines.map(([name, about, ce, kl]) =>
      el("tr", {}, el("th", { scope: "row" }, name, el("span", { class: "about" }, about)), pair(kept, ce, kl), all ? pair(all, ce, kl) : null),
    );
    const share = (/** @type {Measures | null} */ one) => [
      el("td", { class: "number strong" }, metrics.shown("ce_recovered", one?.ce_recovered)),
      el("td", { class: "number strong" }, metrics.shown("kl_recovered", one?.kl_recovered)),
    ];
    rows.push(el("tr", { class: "result" }, el("th", { scope: "row" }, "Recovered"), share(kept), all ? share(all) : null));
    const heads = [["Residual stream"], ["CE, kept", "number"], ["KL, kept", "number"], ...(all ? [["CE, all", "number"], ["KL, all", "number"]] : [])];
    const note = `Nats per token; ${count(kept?.rows)} positions with kept rows replaced${all ? `, ${count(all.rows)} with all` : ""}.`;
    return card("What the model loses", { note }, table("Cross-entropy and KL with the residual stream replaced", heads, rows));
  }

  /** @param {Report} report */
  function kinds(report) {
    const { counts } = report;
    const rows = Object.keys(FLAGS).map((name) => {
      const total = counts[name.replaceAll("-", "_")];
      return el(
        "tr",
        {},
        el("th", { scope: "row" }, flag(name), el("span", { class: "about" }, name === "dead" ? `${FLAGS.dead}; rate below ${percent(counts.dead_bound)} with 95\u00a0%` : FLAGS[name])),
        el("td", { class: "number" }, total ? el("a", { href: catalogue.href(report, { view: "features", flag: name }) }, number(total, "count")) : number(total, "count")),
        el("td", { class: "number" }, number(counts.features ? total / counts.features : null, "percent")),
      );
    });
    return card("Kinds of features", { note: `${count(counts.features)} features, ${count(counts.rows)} rows.` }, table("Features by flag", [["Flag"], ["Features", "number"], ["Share", "number"]], rows));
  }

  /** @param {Report} report */
  function rowsRead(report) {
    const { source, mask } = report;
    /** @type {[name: string, about: string, total: number][]} */
    const lines = [
      ["Read", `${visible(source.name)}: ${count(source.windows)} windows of up to ${count(source.context_length)} tokens`, mask.rows],
      ["Position 0", "its norm is very large for every token", mask.position_0],
      ["Special tokens", "", mask.special],
      ["Outliers", mask.outlier_limit === null ? "not looked for" : `norm above ${significant(mask.outlier_limit)}`, mask.outlier],
      ["Kept", "rows of the metrics", mask.kept],
      ["Repeated", "rows seen before", mask.repeated],
      ["Counted", "rows of the features", mask.counted],
    ];
    const rows = lines.map(([name, about, total]) =>
      el("tr", { class: ["Kept", "Counted"].includes(name) ? "result" : null }, el("th", { scope: "row" }, name, el("span", { class: "about" }, about)), el("td", { class: "number" }, number(total, "count"))),
    );
    const cut = source.truncated ? `${count(source.truncated)} texts were cut at the context length.` : null;
    return card("Rows", { note: cut }, table("Rows read, masked and kept", [["Rows"], ["Number", "number"]], rows));
  }

  /** @param {Report} report */
  function notes(report) {
    if (!report.notes.length) return null;
    return card("Notes", {}, el("ul", { class: "notes" }, report.notes.map((text) => el("li", {}, visible(text)))));
  }

  /** @type {Ghosttrack["views"]["layer"]} */
  async function layer({ report }) {
    const columns = await ghosttrack.columns.load(report);
    return {
      title: `Layer ${report.layer}`,
      node: el(
        "div",
        { class: "page" },
        crumbs(["All layers", "#"], [`Layer ${report.layer}`]),
        head(report),
        ghosttrack.about([report]),
        headline(report),
        shape(report, columns),
        ghosttrack.curves(report),
        el("div", { class: "halves" }, el("div", { class: "stack" }, quality(report), rowsRead(report)), el("div", { class: "stack" }, splicing(report), kinds(report), notes(report))),
      ),
      key: (name) => catalogue.walk(report, name),
    };
  }

  ghosttrack.views = { ...ghosttrack.views, layer };
})();
