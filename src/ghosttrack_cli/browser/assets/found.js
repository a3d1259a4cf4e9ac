"use strict";
// One search over all layers and all texts: the best answers first, wherever they are.

(() => {
  const { el, icon, debounce } = ghosttrack.dom;
  const { number, count, chip, visible } = ghosttrack.format;
  const { crumbs, empty, flags } = ghosttrack.parts;
  const { catalogue, columns, search, VirtualRows } = ghosttrack;

  class SearchPage {
    /** @param {{ report: Report, all: Columns }[]} indices @param {string} query */
    constructor(indices, query) {
      this.indices = indices;
      this.query = query;
      this.title = "Search";
      this.turn = 0;
      /** @type {Answer[]} */
      this.answers = [];
      this.virtual = new VirtualRows((answer, index) => this.row(answer, index), () => (window.innerWidth < 720 ? 84 : 44));
      this.total = el("p", { class: "total-line", role: "status" });
      this.none = empty("No feature matches.", "Every word must be found. Quotes keep a phrase together.");
      const change = debounce(() => this.change(), 80);
      this.field = el("input", { type: "search", id: "search", value: query, placeholder: 'Words, "a phrase"', "aria-label": "Search all layers and texts", autocomplete: "off", spellcheck: "false", oninput: change });
      this.node = this.page();
    }

    page() {
      const heads = ["Feature", "Layer", "Texts", "Fires on", "Promotes", "Rate", "Flags"];
      const name = (/** @type {string} */ text) => text.toLowerCase().replace(" ", "-");
      return el(
        "div",
        { class: "page list-page" },
        crumbs(["All layers", "#"], ["Search"]),
        el("div", { class: "page-head" }, el("h1", {}, "Search"), this.total),
        ghosttrack.about(catalogue.all()),
        el("div", { class: "filters", role: "search" }, el("div", { class: "search-field" }, icon("search"), this.field)),
        el(
          "div",
          { class: "grid-table search-table", role: "table", "aria-label": "Features found" },
          el("div", { class: "grid-head", role: "rowgroup" }, el("div", { class: "grid-row", role: "row", "aria-rowindex": 1 }, heads.map((text) => el("div", { role: "columnheader", class: `cell cell-${name(text)}` }, text)))),
          this.virtual.node,
        ),
        this.none,
      );
    }

    /** @param {Answer} answer @param {number} index */
    row({ report, all, found, row }, index) {
      const cell = (/** @type {string} */ name, /** @type {Child[]} */ ...children) => el("div", { class: `cell cell-${name}`, role: "cell", "data-label": name }, children);
      const hit = (/** @type {number} */ at) => Number(found.hits?.[at] ?? false);
      const chips = (/** @type {number[]} */ indices, /** @type {number} */ limit) => [...indices].sort((a, b) => hit(b) - hit(a)).slice(0, limit).map((at) => chip(all.strings[at], { class: hit(at) ? "chip hit" : "chip" }));
      return el(
        "div",
        { class: "grid-row body-row", role: "row", "aria-rowindex": index + 2, "data-feature": row, "data-layer": report.layer, "data-source": catalogue.sourceOf(report) },
        cell("feature", el("a", { class: "row-link", href: catalogue.href(report, { feature: row }) }, `#${row}`)),
        cell("layer", `layer ${report.layer}`),
        cell("texts", el("bdi", {}, visible(catalogue.textsName(report)))),
        cell("fires-on", all.firings[row] ? chips(all.fires[row], 6) : el("span", { class: "missing" }, "no firings")),
        cell("promotes", chips(all.promotes[row], 5)),
        cell("rate", number(all.rate[row], "percent")),
        cell("flags", flags(columns.flagsOf(all, row))),
      );
    }

    change() {
      this.query = this.field.value;
      history.replaceState(null, "", `#${new URLSearchParams({ view: "search", q: this.query })}`);
      document.documentElement.dataset.shown = location.hash;
      this.shown();
    }

    // Tokens of all reports at once, then the words of the examples, a report after the other.
    async shown() {
      const mine = (this.turn += 1);
      const asked = search.terms(this.query).length > 0;
      const answers = new Map();
      const answer = (/** @type {Report} */ report, /** @type {Columns} */ all) => {
        const found = search.rank(all, this.query, search.known(report));
        /** @type {Answer[]} */
        const rows = [];
        found.levels.forEach((level, row) => level < Infinity && rows.push({ report, all, found, row }));
        answers.set(report, rows);
      };
      this.indices.forEach(({ report, all }) => asked && answer(report, all));
      this.draw(answers, asked);
      for (const { report, all } of asked ? this.indices : []) {
        if (mine !== this.turn) return;
        if (search.known(report)) continue;
        await search.read(report, all);
        if (mine !== this.turn) return;
        answer(report, all);
        this.draw(answers, report !== this.indices.at(-1)?.report);
      }
      this.draw(answers, false);
    }

    /** @param {Map<Report, Answer[]>} answers @param {boolean} reading */
    draw(answers, reading) {
      this.answers = [...answers.values()].flat().sort(best);
      this.total.textContent = `${count(this.answers.length)} features${reading ? ", reading the words of the examples …" : ""}`;
      this.none.hidden = this.answers.length > 0 || reading;
      this.virtual.show(this.answers);
    }

    /** @param {string} name */
    key(name) {
      if (name === "search") this.field.focus();
      else if (name === "up") location.hash = "#";
      else return false;
      return true;
    }

    destroy() {
      this.turn += 1;
      this.virtual.destroy();
    }
  }

  /** @param {Answer} a @param {Answer} b */
  function best(a, b) {
    return (
      a.found.levels[a.row] - b.found.levels[b.row] ||
      b.found.strength[b.row] - a.found.strength[a.row] ||
      b.all.telling[b.row] - a.all.telling[a.row] ||
      catalogue.order(a.report.layer) - catalogue.order(b.report.layer) ||
      a.row - b.row
    );
  }

  /** @type {Ghosttrack["views"]["search"]} */
  async function found({ parameters }) {
    const indices = await Promise.all(catalogue.all().map(async (report) => ({ report, all: await columns.load(report) })));
    return new SearchPage(indices, parameters.get("q") ?? "");
  }

  ghosttrack.views = { ...ghosttrack.views, search: found };
})();
