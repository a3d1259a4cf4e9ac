"use strict";
// Features that separate true from false: their rates on factual and on hallucinated answers.

(() => {
  const { el, svg } = ghosttrack.dom;
  const { number, count, chip, token } = ghosttrack.format;
  const { featureLink, crumbs, card, segmented, fact, term, EFFECT } = ghosttrack.parts;
  const { catalogue, columns, VirtualRows } = ghosttrack;

  /** @type {Record<string, [name: string, order: (a: ContrastEntry, b: ContrastEntry) => number]>} */
  const ORDERS = {
    p: ["Significant", (a, b) => a.p_corrected - b.p_corrected || Math.abs(b.effect) - Math.abs(a.effect)],
    factual: ["Factual", (a, b) => b.effect - a.effect],
    hallucinated: ["Hallucinated", (a, b) => a.effect - b.effect],
  };

  // A bar from the middle: to the right the feature fires more on factual answers, to the left on
  // hallucinated ones; its length is the size of the effect, on the same scale in every row.
  /** @param {number} effect @param {number} most */
  function balance(effect, most) {
    const share = most > 0 ? Math.min(1, Math.abs(effect) / most) : 0;
    const width = 48 * share;
    const side = effect >= 0 ? "factual" : "hallucinated";
    return svg(
      "svg",
      { class: "balance", width: "100%", height: 20, role: "img", "aria-label": `more on ${side} answers` },
      svg("line", { class: "axis", x1: "2%", x2: "98%", y1: 10, y2: 10 }),
      svg("rect", { class: side, x: `${effect >= 0 ? 50 : 50 - width}%`, y: 5, width: `${width}%`, height: 10, rx: 2 }),
      svg("line", { class: "middle", x1: "50%", x2: "50%", y1: 1, y2: 19 }),
    );
  }

  const shortened = (/** @type {string} */ text) => ([...text].length > 16 ? `${[...text].slice(0, 15).join("")}…` : text);

  class ContrastPage {
    /**
     * @param {Report} report
     * @param {ContrastFacts & { entries: ContrastEntry[] }} contrast
     * @param {Columns} all
     */
    constructor(report, contrast, all) {
      const { layer } = report;
      this.report = report;
      this.layer = layer;
      this.contrast = contrast;
      this.all = all;
      this.order = "p";
      this.most = contrast.entries.reduce((most, entry) => Math.max(most, Math.abs(entry.effect)), 0);
      this.title = `True against false · layer ${layer}`;
      this.virtual = new VirtualRows((entry, index) => this.row(entry, index), () => (window.innerWidth < 720 ? 108 : 48));
      this.holder = el("div", {});
      this.pairs = el("div", {});
      this.choice = el("select", { "aria-label": "Feature whose answers are shown" });
      this.choice.addEventListener("change", () => this.showPairs());
      this.node = this.page();
    }

    page() {
      const { layer } = this;
      return el(
        "div",
        { class: "page" },
        crumbs(["All layers", "#"], [`Layer ${layer}`, catalogue.href(this.report)], ["True against false"]),
        el("div", { class: "page-head" }, el("h1", {}, "Features that separate true from false")),
        ghosttrack.about([this.report]),
        el("p", { class: "lede" }, "The same questions, once with a factual and once with a hallucinated answer: which features fire more on one of the two?"),
        this.facts(),
        this.pairsCard(),
        card("Features", { class: "contrast-card", note: "Significance is an exact sign test over questions, corrected for the number of features (Benjamini-Hochberg).", actions: this.marks() }, this.holder, this.table()),
      );
    }

    pairsCard() {
      if (!this.contrast.entries.some((entry) => entry.pairs.length)) return null;
      const actions = el("label", { class: "pairs-choice" }, el("span", { class: "label" }, "Feature"), this.choice);
      return card("Answers side by side", { note: "Questions on whose two answers the feature fires most differently.", actions }, this.pairs);
    }

    showPairs() {
      const entry = this.contrast.entries.find((one) => String(one.feature) === this.choice.value);
      if (!entry) return;
      const link = el("p", { class: "note" }, featureLink(this.report, entry.feature), ` fires more on ${entry.effect >= 0 ? "factual" : "hallucinated"} answers: effect `, number(entry.effect, "signed"), ", p corrected ", number(entry.p_corrected, "significant", 2), ".");
      this.pairs.replaceChildren(link, ghosttrack.pairs.list(entry.pairs, this.all.max[entry.feature]));
    }

    // Features with pairs, in the order of the table.
    /** @param {ContrastEntry[]} entries */
    offerPairs(entries) {
      const options = entries.filter((entry) => entry.pairs.length).map(({ feature }) => {
        const fires = (this.all.fires[feature] ?? []).slice(0, 3).map((text) => shortened(token(this.all.strings[text]))).join("  ");
        return el("option", { value: feature }, `#${feature}  ${fires}`);
      });
      this.choice.replaceChildren(...options);
      this.showPairs();
    }

    facts() {
      const { contrast } = this;
      return el(
        "dl",
        { class: "facts" },
        fact("Separate", number(contrast.significant, "count"), `of ${count(contrast.tested)} tested, p < 0.05 corrected`),
        fact("Questions", number(contrast.questions, "count"), "with both answers"),
        fact("Factual", number(contrast.rows_factual, "count"), "rows"),
        fact("Hallucinated", number(contrast.rows_hallucinated, "count"), "rows"),
      );
    }

    marks() {
      return el("p", { class: "contrast-key" }, el("span", { class: "factual" }, "factual"), el("span", { class: "hallucinated" }, "hallucinated"));
    }

    table() {
      const head = (/** @type {string} */ name, /** @type {Child} */ text, /** @type {string | undefined} */ tip = undefined) => el("div", { role: "columnheader", class: `cell cell-${name}` }, term(text, tip));
      return el(
        "div",
        { class: "grid-table contrast-table", role: "table", "aria-label": "Features by how they separate factual from hallucinated answers", "aria-rowcount": this.contrast.entries.length + 1 },
        el(
          "div",
          { class: "grid-head", role: "rowgroup" },
          el(
            "div",
            { class: "grid-row", role: "row" },
            head("feature", "Feature"),
            head("fires-on", "Fires on"),
            head("balance", ["← hallucinated", "factual →"].map((text) => el("span", {}, text)), "on which answers it fires more; the length is the effect"),
            head("rate", "Factual", "rate on the rows of factual answers"),
            head("rate", "Hallucinated", "rate on the rows of hallucinated answers"),
            head("effect", "Effect", EFFECT),
            head("p", "p corrected", "sign test over questions, Benjamini-Hochberg"),
            head("sides", "Questions", "questions whose factual / hallucinated answer has the higher rate"),
          ),
        ),
        this.virtual.node,
      );
    }

    /** @param {ContrastEntry} entry @param {number} index */
    row(entry, index) {
      const { all, report } = this;
      const cell = (/** @type {string} */ name, /** @type {Child[]} */ ...children) => el("div", { class: `cell cell-${name}`, role: "cell" }, children);
      const name = entry.p_corrected < 0.05 ? "grid-row body-row significant" : "grid-row body-row";
      return el(
        "div",
        { class: name, role: "row", "aria-rowindex": index + 2, "data-feature": entry.feature },
        cell("feature", featureLink(report, entry.feature, { class: "row-link" })),
        cell("fires-on", (all.fires[entry.feature] ?? []).slice(0, 4).map((text) => chip(all.strings[text]))),
        cell("balance", balance(entry.effect, this.most)),
        cell("rate", number(entry.rate_factual, "percent")),
        cell("rate", number(entry.rate_hallucinated, "percent")),
        cell("effect", number(entry.effect, "signed")),
        cell("p", number(entry.p_corrected, "significant", 2)),
        cell("sides", `${count(entry.more_factual)} : ${count(entry.more_hallucinated)}`),
      );
    }

    shown() {
      this.holder.replaceChildren(segmented("Which come first", Object.entries(ORDERS).map(([key, [text]]) => /** @type {const} */ ([key, text])), this.order, (key) => {
        this.order = key;
        this.shown();
        this.holder.querySelector(`[data-choice="${key}"]`).focus();
      }));
      const entries = [...this.contrast.entries].sort(ORDERS[this.order][1]);
      this.offerPairs(entries);
      this.virtual.show(entries);
    }

    /** @param {string} name */
    key(name) {
      const step = name === "next" ? 1 : name === "previous" ? -1 : 0;
      if (step) {
        const last = this.choice.options.length - 1;
        this.choice.selectedIndex = Math.min(last, Math.max(0, this.choice.selectedIndex + step));
        this.showPairs();
        return true;
      }
      if (name !== "up") return false;
      location.hash = catalogue.href(this.report);
      return true;
    }

    destroy() {
      this.virtual.destroy();
    }
  }

  /** @type {Ghosttrack["views"]["contrast"]} */
  async function contrast({ report }) {
    if (!report.contrast) return ghosttrack.views.missing("This layer has no comparison of true and false answers.", "Run `ghosttrack interpret --texts truthfulqa` to make one.");
    const all = await columns.load(report);
    const full = await catalogue.file(report, "contrast");
    return new ContrastPage(report, full, all);
  }

  ghosttrack.views = { ...ghosttrack.views, contrast };
})();
