"use strict";
// The features of a layer as columns, and the questions a list asks of them: which, in what order.

(() => {
  const SORTS = ["feature", "rate", "max", "mean", "firings"];

  // Adds what the list needs to the delivered columns, once.
  function prepare(columns) {
    if (columns.length !== undefined) return columns;
    columns.length = columns.rate.length;
    columns.feature = columns.rate.map((_, row) => row);
    columns.lowered = columns.strings.map((text) => text.toLowerCase());
    return columns;
  }

  // {sort, descending, include: flags, exclude: flags, low, high, query} -> rows in order.
  function select(columns, wanted) {
    const test = matcher(columns, wanted);
    const rows = [];
    for (let row = 0; row < columns.length; row += 1) if (test(row)) rows.push(row);
    return order(columns, rows, wanted);
  }

  function matcher(columns, { include, exclude, low, high, query }) {
    const must = mask(columns, include);
    const mustNot = mask(columns, exclude);
    const found = searcher(columns, query);
    return (row) =>
      (columns.flags[row] & must) === must &&
      (columns.flags[row] & mustNot) === 0 &&
      (low === null || columns.rate[row] >= low) &&
      (high === null || columns.rate[row] <= high) &&
      found(row);
  }

  function mask(columns, names) {
    return names.reduce((bits, name) => bits | (1 << columns.flag_names.indexOf(name)), 0);
  }

  function searcher(columns, query) {
    const text = query.toLowerCase();
    if (!text.trim()) return () => true;
    const number = /^\s*#\s*(\d+)\s*$/.exec(text);
    if (number) return (row) => columns.feature[row] === Number(number[1]);
    const hits = hitsOf(columns, query);
    const exact = /^\d+$/.test(text.trim()) ? Number(text) : null;
    return (row) =>
      columns.fires[row].some((index) => hits[index]) ||
      columns.promotes[row].some((index) => hits[index]) ||
      columns.feature[row] === exact;
  }

  // Each distinct token is looked at once; rows then only look their tokens up.
  function hitsOf(columns, query) {
    const text = query.toLowerCase();
    return columns.lowered.map((candidate) => candidate.includes(text));
  }

  function order(columns, rows, { sort, descending }) {
    const values = columns[SORTS.includes(sort) ? sort : "feature"];
    const sign = descending ? -1 : 1;
    return rows.sort((a, b) => sign * (values[a] - values[b]) || a - b);
  }

  function flagsOf(columns, row) {
    return columns.flag_names.filter((_, index) => columns.flags[row] & (1 << index));
  }

  function flagCounts(columns) {
    return columns.flag_names.map((name, index) => {
      let total = 0;
      for (const bits of columns.flags) if (bits & (1 << index)) total += 1;
      return [name, total];
    });
  }

  ghosttrack.columns = { prepare, select, hitsOf, flagsOf, flagCounts, SORTS };
})();
