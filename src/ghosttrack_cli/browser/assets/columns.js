"use strict";
// The features of a layer as columns, and the questions a list asks of them: which, in what order.

(() => {
  const { catalogue, data, search } = ghosttrack;
  const SORTS = ["telling", "feature", "rate", "max", "mean", "firings"];

  // The columns of a report with the tokens of its features, put together once.
  /** @type {Ghosttrack["columns"]["load"]} */
  async function load(report) {
    const [columns, tokens] = await Promise.all([catalogue.file(report, "index"), data.load(...catalogue.searchFile(report, "tokens"))]);
    return columns.length === undefined ? prepare(Object.assign(columns, tokens)) : columns;
  }

  /** @type {Ghosttrack["columns"]["prepare"]} */
  function prepare(columns) {
    columns.length = columns.rate.length;
    columns.feature = columns.rate.map((_, row) => row);
    columns.lowered = columns.strings.map(search.caseless);
    return columns;
  }

  // {sort, descending, include: flags, exclude: flags, low, high, query} -> rows in order, and what
  // was found of the query; without `examples` only tokens, numbers and flags are searched.
  /** @type {Ghosttrack["columns"]["select"]} */
  function select(columns, wanted, examples = null) {
    const test = matcher(columns, wanted);
    const found = search.rank(columns, wanted.query, examples);
    const rows = [];
    for (let row = 0; row < columns.length; row += 1) if (found.levels[row] < Infinity && test(row)) rows.push(row);
    return { rows: order(columns, rows, wanted, found), found };
  }

  /** @param {Columns} columns @param {Wanted} wanted */
  function matcher(columns, { include, exclude, low, high }) {
    const must = mask(columns, include);
    const mustNot = mask(columns, exclude);
    return (/** @type {number} */ row) =>
      (columns.flags[row] & must) === must &&
      (columns.flags[row] & mustNot) === 0 &&
      (low === null || columns.rate[row] >= low) &&
      (high === null || columns.rate[row] <= high);
  }

  /** @param {Columns} columns @param {string[]} names */
  function mask(columns, names) {
    return names.reduce((bits, name) => bits | (1 << columns.flag_names.indexOf(name)), 0);
  }

  // What answers a search best comes first, as long as no other order is asked for.
  /** @param {Columns} columns @param {number[]} rows @param {Wanted} wanted @param {Found} found */
  function order(columns, rows, { sort, descending, query }, found) {
    if (sort === "telling" && descending && query.trim()) return rows.sort(search.better(columns, found));
    const values = columns[/** @type {"telling"} */ (SORTS.includes(sort) ? sort : "telling")];
    const sign = descending ? -1 : 1;
    return rows.sort((a, b) => sign * (values[a] - values[b]) || a - b);
  }

  /** @type {Ghosttrack["columns"]["flagsOf"]} */
  function flagsOf(columns, row) {
    return columns.flag_names.filter((_, index) => columns.flags[row] & (1 << index));
  }

  /** @type {Ghosttrack["columns"]["flagCounts"]} */
  function flagCounts(columns) {
    return columns.flag_names.map((name, index) => {
      let total = 0;
      for (const bits of columns.flags) if (bits & (1 << index)) total += 1;
      return [name, total];
    });
  }

  ghosttrack.columns = { load, prepare, select, flagsOf, flagCounts, SORTS };
})();
