"use strict";
// Histograms over a log axis: bars that can be pointed at, named and clicked.

(() => {
  const { svg } = ghosttrack.dom;
  const { count, significant } = ghosttrack.format;
  const { figure, canvas, linear, log, axisX, axisY } = ghosttrack.charts;

  // Only the bins that hold something, so that an empty tail takes no room.
  /** @param {Histogram} histogram */
  function occupied({ edges, counts }) {
    let first = counts.findIndex((value) => value > 0);
    let last = counts.findLastIndex((value) => value > 0);
    if (first < 0) return { edges: [], counts: [] };
    first = Math.max(0, first - 1);
    last = Math.min(counts.length - 1, last + 1);
    while (edges[first] <= 0 && first < last) first += 1;
    return { edges: edges.slice(first, last + 2), counts: counts.slice(first, last + 1) };
  }

  /** @param {Histogram} histogram @param {Scale} x @param {Scale} y @param {number} base @param {{ edgeText(value: number): string; unit: string; pick?: (low: number, high: number) => void }} options @param {Mark[]} marks */
  function bars({ edges, counts }, x, y, base, options, marks) {
    return counts.map((value, index) => {
      const left = x(edges[index]);
      const width = Math.max(1, x(edges[index + 1]) - left - 1);
      const top = value > 0 ? Math.min(y(value), base - 1.5) : base;
      const range = `${options.edgeText(edges[index])} to ${options.edgeText(edges[index + 1])}: ${count(value)} ${options.unit}`;
      const { pick } = options;
      marks.push({ x: left + width / 2, y: top, lines: () => [range], pick: pick && value > 0 ? () => pick(edges[index], edges[index + 1]) : undefined });
      const bar = svg("rect", { class: "bar", x: left, y: top, width, height: base - top, rx: Math.min(2, width / 3) });
      const target = svg("rect", { class: `bar-target${pick && value > 0 ? " pickable" : ""}`, x: left, y: 0, width: width + 1, height: base });
      return svg("g", { class: "bar-group" }, bar, target);
    });
  }

  /** @type {Ghosttrack["histogram"]} */
  function histogram(data, options) {
    const shown = occupied(data);
    const settings = { edgeText: significant, unit: "", height: 190, ...options };
    if (!shown.counts.length) return null;
    const label = `${settings.label}: ${count(shown.counts.reduce((sum, value) => sum + value, 0))} ${settings.unit}`;
    return figure(label, settings.height, (width, height) => {
      const [left, right, top, bottom] = [44, width - 22, 12, height - 40];
      const x = log([shown.edges[0], shown.edges[shown.edges.length - 1]], [left, right]);
      const most = Math.max(...shown.counts);
      const y = settings.logCounts ? log([0.7, most], [bottom, top]) : linear([0, most], [bottom, top]);
      /** @type {Mark[]} */
      const marks = [];
      const drawing = canvas(
        width,
        height,
        axisY(y, { left, right, top, wanted: 4 }),
        axisX(x, { top, bottom, right, wanted: Math.max(2, width / 90), text: settings.tick, title: settings.title }),
        bars(shown, x, y, bottom, settings, marks),
        svg("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
      );
      return { drawing, marks };
    }, settings.caption);
  }

  ghosttrack.histogram = histogram;
})();
