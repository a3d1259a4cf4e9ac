"use strict";
// What a list was asked, kept in the address, so that a link or the back button brings it back.

(() => {
  const { catalogue, columns } = ghosttrack;

  // The most telling features come first unless another order is asked for.
  const FIRST = "-telling";
  const lists = new Map();

  /** @type {Ghosttrack["query"]["parse"]} */
  function parse(parameters) {
    const sort = parameters.get("sort") ?? FIRST;
    const flags = (parameters.get("flag") ?? "").split(",").filter(Boolean);
    return {
      sort: sort.replace(/^-/, ""),
      descending: sort.startsWith("-"),
      include: flags.filter((name) => !name.startsWith("-")),
      exclude: flags.filter((name) => name.startsWith("-")).map((name) => name.slice(1)),
      low: bound(parameters.get("low")),
      high: bound(parameters.get("high")),
      query: parameters.get("q") ?? "",
    };
  }

  /** @param {string | null} text */
  function bound(text) {
    const value = Number.parseFloat(text ?? "");
    return Number.isFinite(value) ? value : null;
  }

  /** @type {Ghosttrack["query"]["href"]} */
  function href(report, wanted) {
    /** @type {[name: string, value: string | number][]} */
    const parts = [["view", "features"]];
    const sort = `${wanted.descending ? "-" : ""}${wanted.sort}`;
    if (sort !== FIRST) parts.push(["sort", sort]);
    const flags = [...wanted.include, ...wanted.exclude.map((name) => `-${name}`)];
    if (flags.length) parts.push(["flag", flags.join(",")]);
    if (wanted.low !== null) parts.push(["low", wanted.low]);
    if (wanted.high !== null) parts.push(["high", wanted.high]);
    if (wanted.query) parts.push(["q", wanted.query]);
    return catalogue.href(report, Object.fromEntries(parts));
  }

  // The list a reader came from; next and previous on a feature's page follow it.
  /** @type {Ghosttrack["query"]["remember"]} */
  function remember(report, wanted, rows) {
    lists.set(report, { wanted, rows });
  }

  /** @type {Ghosttrack["query"]["remembered"]} */
  function remembered(report, all) {
    const known = lists.get(report);
    if (known) return known;
    const wanted = parse(new URLSearchParams());
    return { wanted, rows: columns.select(all, wanted).rows };
  }

  ghosttrack.query = { parse, href, remember, remembered };
})();
