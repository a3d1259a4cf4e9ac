"use strict";
// The list of all features of a layer: sort, filter, search, walk with the keys.

(() => {
  const { el, icon, debounce } = ghosttrack.dom;
  const { number, count, chip } = ghosttrack.format;
  const { flags, term, meter, logShare, crumbs, empty, FLAGS } = ghosttrack.parts;
  const { catalogue, columns, query, search, VirtualRows } = ghosttrack;

  /** @type {[key: string | null, text: string, tip: string][]} */
  const HEADS = [
    ["feature", "Feature", "the number of the feature; again: most telling first"],
    [null, "Fires on", "tokens on which it fires most"],
    [null, "Promotes", "tokens that its decoder direction makes more likely"],
    ["rate", "Rate", "share of tokens on which it fires; the bar is logarithmic"],
    ["firings", "Firings", "rows on which it fires"],
    ["max", "Max", "strongest activation"],
    ["mean", "Mean", "mean activation where it fires"],
    [null, "Flags", "what to know before relying on it"],
  ];

  class FeatureList {
    /** @param {Report} report @param {Columns} all @param {Wanted} wanted */
    constructor(report, all, wanted) {
      this.report = report;
      this.layer = report.layer;
      this.all = all;
      this.wanted = wanted;
      this.chosen = -1;
      /** @type {number[]} */
      this.rows = [];
      /** @type {boolean[] | null} */
      this.hits = null;
      this.waiting = false;
      /** @type {HTMLButtonElement[]} */
      this.flagButtons = [];
      this.sortChoice = this.sortField();
      this.virtual = new VirtualRows((row, index) => this.row(row, index), () => (window.innerWidth < 720 ? 84 : 44));
      this.total = el("p", { class: "total-line", role: "status" });
      this.searching = el("p", { class: "note", role: "status", hidden: true }, "Reading the words of the examples …");
      this.none = empty("No feature matches.", "Remove a filter, or press Escape in the search field to clear it.");
      this.heads = HEADS.map((head) => this.head(head));
      this.others = el("p", { class: "note" });
      this.search = this.searchField();
      this.node = this.page();
      this.title = `Features · layer ${this.layer}`;
    }

    page() {
      return el(
        "div",
        { class: "page list-page" },
        crumbs(["All layers", "#"], [`Layer ${this.layer}`, catalogue.href(this.report)], ["Features"]),
        el("div", { class: "page-head" }, el("div", {}, el("h1", {}, "Features"), this.behind()), this.total),
        ghosttrack.about([this.report]),
        this.filters(),
        this.searching,
        this.others,
        el(
          "div",
          { class: "grid-table", role: "table", "aria-label": `Features of layer ${this.layer}`, "aria-rowcount": this.all.length + 1 },
          el("div", { class: "grid-head", role: "rowgroup" }, el("div", { class: "grid-row", role: "row", "aria-rowindex": 1 }, this.heads)),
          this.virtual.node,
        ),
        this.none,
      );
    }

    behind() {
      const { counts } = this.report;
      return el("p", { class: "lede-more" }, `Rates over ${count(counts.rows)} rows; max and mean over firings.`);
    }

    /** @param {[key: string | null, text: string, tip: string]} column */
    head([key, text, title]) {
      if (!key) return el("div", { role: "columnheader", class: `cell cell-${text.toLowerCase().replace(" ", "-")}` }, term(text, title));
      const button = el("button", { type: "button", tip: `${title}; sorts`, "data-sort": key, onclick: () => this.sortBy(key) }, text, icon("sort"));
      return el("div", { role: "columnheader", class: `cell cell-${key}` }, button);
    }

    searchField() {
      const later = debounce(() => this.change({ query: this.search.value }), 60);
      return el("input", {
        type: "search",
        id: "search",
        placeholder: "Words or #123",
        "aria-label": "Search tokens, words of examples, flags, or a feature number",
        autocomplete: "off",
        spellcheck: "false",
        value: this.wanted.query,
        oninput: later,
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.searchKey(event),
      });
    }

    /** @param {KeyboardEvent} event */
    searchKey(event) {
      if (event.key === "Escape") {
        event.stopPropagation();
        if (this.search.value) this.change({ query: (this.search.value = "") });
        else this.search.blur();
      } else if (event.key === "Enter" || event.key === "ArrowDown") {
        event.preventDefault();
        this.search.blur();
        this.choose(0);
      }
    }

    filters() {
      this.flagButtons = columns.flagCounts(this.all).map(([name, total]) => this.flagButton(name, total));
      this.low = this.rateField("at least", "low");
      this.high = this.rateField("at most", "high");
      const more = el(
        "div",
        { class: "filter-more" },
        el("div", { class: "flag-filters", role: "group", "aria-label": "Flags" }, this.flagButtons),
        el("div", { class: "rate-filters", role: "group", "aria-label": "Firing rate in percent" }, el("span", { class: "label" }, "Rate, %"), this.low, el("span", { "aria-hidden": "true" }, "–"), this.high),
        this.sortChoice,
      );
      const toggle = el("button", { type: "button", class: "filter-toggle", "aria-expanded": "false" }, icon("filter"), "Filters");
      toggle.addEventListener("click", () => toggle.setAttribute("aria-expanded", String(more.classList.toggle("open"))));
      const field = el("div", { class: "search-field" }, icon("search"), this.search, el("kbd", { "aria-hidden": "true" }, "/"));
      return el("div", { class: "filters", role: "search" }, field, toggle, more);
    }

    /** @param {string} name @param {number} total */
    flagButton(name, total) {
      const button = el(
        "button",
        { type: "button", class: "flag-filter", "data-flag": name, "data-total": total, tip: `${FLAGS[name] ?? name}. Click: only these, again: without these, again: all` },
        el("span", { class: "sign", "aria-hidden": "true" }),
        name,
        el("span", { class: "total" }, count(total)),
      );
      button.addEventListener("click", () => this.turnFlag(name));
      return button;
    }

    /** @param {string} text @param {"low" | "high"} key */
    rateField(text, key) {
      const change = debounce((/** @type {any} */ event) => {
        const value = Number.parseFloat(event.target.value.replace(",", "."));
        this.change({ [key]: Number.isFinite(value) ? Number((value / 100).toPrecision(12)) : null });
      }, 150);
      const value = this.wanted[key];
      return el("input", { type: "text", inputmode: "decimal", class: "rate-field", placeholder: text, "aria-label": `Rate ${text}, in percent`, value: value === null ? "" : Number((value * 100).toPrecision(10)), oninput: change });
    }

    sortField() {
      const options = columns.SORTS.flatMap((key) =>
        key === "telling" ? [["-telling", "most telling first"], ["telling", "least telling first"]] : [[key, `${key}, low first`], [`-${key}`, `${key}, high first`]],
      );
      const select = el(
        "select",
        { "aria-label": "Order" },
        options.map(([value, text]) => el("option", { value }, text)),
      );
      select.addEventListener("change", () => {
        this.change({ sort: select.value.replace(/^-/, ""), descending: select.value.startsWith("-") });
      });
      return el("label", { class: "sort-field" }, el("span", { class: "label" }, "Order"), select);
    }

    /** @param {string} key */
    sortBy(key) {
      const { sort, descending } = this.wanted;
      const first = key !== "feature";
      if (sort !== key) this.change({ sort: key, descending: first });
      else if (descending === first) this.change({ descending: !first });
      else this.change({ sort: "telling", descending: true });
    }

    /** @param {string} name */
    turnFlag(name) {
      const without = (/** @type {string[]} */ names) => names.filter((one) => one !== name);
      const { include, exclude } = this.wanted;
      if (include.includes(name)) this.change({ include: without(include), exclude: [...exclude, name] });
      else if (exclude.includes(name)) this.change({ exclude: without(exclude) });
      else this.change({ include: [...include, name] });
    }

    /** @param {Partial<Wanted>} part */
    change(part) {
      this.wanted = { ...this.wanted, ...part };
      history.replaceState(null, "", query.href(this.report, this.wanted));
      document.documentElement.dataset.shown = location.hash;
      this.chosen = -1;
      this.show();
      const top = this.node.querySelector(".filters").offsetTop - 70;
      if (window.scrollY > top) window.scrollTo(0, Math.max(0, top));
    }

    show() {
      const { rows, found } = columns.select(this.all, this.wanted, search.known(this.report));
      this.rows = rows;
      this.hits = found.hits;
      this.readExamples();
      const more = catalogue.all().length > 1 && this.wanted.query.trim();
      this.others.replaceChildren(more ? el("a", { href: `#${new URLSearchParams({ view: "search", q: this.wanted.query })}` }, "Search all layers and texts") : "");
      this.others.hidden = !more;
      query.remember(this.report, this.wanted, this.rows);
      this.total.textContent = this.rows.length === this.all.length ? `${count(this.all.length)} features` : `${count(this.rows.length)} of ${count(this.all.length)} features`;
      this.none.hidden = this.rows.length > 0;
      this.marks();
      this.virtual.show(this.rows);
    }

    // Words of examples are in files of their own: what the columns know is shown while they are read.
    async readExamples() {
      const reading = Boolean(this.wanted.query.trim()) && !search.known(this.report);
      this.searching.hidden = !reading;
      if (!reading || this.waiting) return;
      this.waiting = true;
      await search.read(this.report, this.all);
      this.waiting = false;
      if (this.node.isConnected) this.show();
    }

    // The column that the order goes by is the one that a narrow screen shows.
    marks() {
      this.node.querySelector(".grid-table").dataset.sorted = this.wanted.sort;
      const { sort, descending, include, exclude } = this.wanted;
      for (const head of this.heads) {
        const key = head.querySelector("button")?.dataset.sort;
        if (key === sort) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
      for (const button of this.flagButtons) {
        const name = button.dataset.flag ?? "";
        button.dataset.state = include.includes(name) ? "only" : exclude.includes(name) ? "without" : "any";
        // A filter that came in by a link can be switched off even where nothing fits it.
        button.disabled = button.dataset.total === "0" && button.dataset.state === "any";
        button.setAttribute("aria-pressed", include.includes(name) ? "true" : exclude.includes(name) ? "mixed" : "false");
      }
      this.sortChoice.querySelector("select").value = `${descending ? "-" : ""}${sort}`;
    }

    /** @param {number} row @param {number} index */
    row(row, index) {
      const { all, report } = this;
      const feature = all.feature[row];
      const cell = (/** @type {string} */ name, /** @type {Child[]} */ ...children) => el("div", { class: `cell cell-${name}`, role: "cell", "data-label": name }, children);
      const link = el("a", { class: "row-link", href: catalogue.href(report, { feature }) }, `#${feature}`);
      return el(
        "div",
        { class: `grid-row body-row${index === this.chosen ? " chosen" : ""}`, role: "row", "aria-rowindex": index + 2, "data-feature": feature },
        cell("feature", link),
        cell("fires-on", all.firings[row] ? this.chips(all.fires[row], 6) : el("span", { class: "missing" }, "no firings")),
        cell("promotes", this.chips(all.promotes[row], 5)),
        cell("rate", number(all.rate[row], "percent"), meter(logShare(all.rate[row]))),
        cell("firings", number(all.firings[row], "count")),
        cell("max", number(all.max[row])),
        cell("mean", number(all.mean[row])),
        cell("flags", flags(columns.flagsOf(all, row))),
      );
    }

    // What was searched for comes first and is marked.
    /** @param {number[]} indices @param {number} limit */
    chips(indices, limit) {
      const { hits, all } = this;
      const first = hits ? [...indices].sort((a, b) => Number(hits[b]) - Number(hits[a])) : indices;
      return first.slice(0, limit).map((index) => chip(all.strings[index], { class: hits?.[index] ? "chip hit" : "chip" }));
    }

    /** @param {number} index */
    choose(index) {
      if (!this.rows.length) return;
      this.virtual.rows.get(this.chosen)?.classList.remove("chosen");
      this.chosen = Math.min(this.rows.length - 1, Math.max(0, index));
      this.virtual.reveal(this.chosen, 150);
      const row = /** @type {HTMLElement} */ (this.virtual.rows.get(this.chosen));
      row.classList.add("chosen");
      row.querySelector("a").focus({ preventScroll: true });
    }

    /** @param {string} name */
    key(name) {
      if (name === "next") this.choose(this.chosen + 1);
      else if (name === "previous") this.choose(this.chosen - 1);
      else if (name === "search") this.search.focus();
      else if (name === "up") location.hash = catalogue.href(this.report);
      else return false;
      return true;
    }

    shown() {
      this.show();
    }

    destroy() {
      this.virtual.destroy();
    }
  }

  /** @type {Ghosttrack["views"]["features"]} */
  async function features({ report, parameters }) {
    const all = await columns.load(report);
    return new FeatureList(report, all, query.parse(parameters));
  }

  ghosttrack.views = { ...ghosttrack.views, features };
})();
