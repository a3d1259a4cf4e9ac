"use strict";
// Every feature as a point: one path a group, because tens of thousands of elements would be slow.

(() => {
  const { svg } = ghosttrack.dom;
  const { percent, percentTick, significant } = ghosttrack.format;
  const { figure, canvas, log, axisX, axisY } = ghosttrack.charts;
  const CELL = 16;

  /** @param {Columns} columns @param {Scale} x @param {Scale} y */
  function placed(columns, x, y) {
    const points = [];
    for (let row = 0; row < columns.length; row += 1) {
      const [rate, max] = [columns.rate[row], columns.max[row]];
      if (rate > 0 && max > 0) points.push({ row, px: x(rate), py: y(max), plain: columns.flags[row] === 0 });
    }
    return points;
  }

  /** @param {Point[]} points @param {string} name */
  function cloud(points, name) {
    const d = points.map(({ px, py }) => `M${px.toFixed(1)} ${py.toFixed(1)}h0`).join("");
    return svg("path", { class: `points ${name}`, d });
  }

  /** @param {Point[]} points */
  function lookup(points) {
    const cells = new Map();
    for (const point of points) {
      const key = `${Math.floor(point.px / CELL)},${Math.floor(point.py / CELL)}`;
      if (!cells.has(key)) cells.set(key, []);
      cells.get(key).push(point);
    }
    return (/** @type {number} */ px, /** @type {number} */ py) => nearest(cells, px, py);
  }

  /** @param {Map<string, Point[]>} cells @param {number} px @param {number} py */
  function nearest(cells, px, py) {
    const [column, line] = [Math.floor(px / CELL), Math.floor(py / CELL)];
    /** @type {any} */
    let best = null;
    let distance = CELL;
    for (let c = column - 1; c <= column + 1; c += 1) {
      for (let r = line - 1; r <= line + 1; r += 1) {
        for (const point of cells.get(`${c},${r}`) ?? []) {
          const away = Math.hypot(point.px - px, point.py - py);
          if (away < distance) [best, distance] = [point, away];
        }
      }
    }
    return best;
  }

  /** @param {number[]} values */
  function range(values) {
    let [low, high] = [Infinity, 0];
    for (const value of values) {
      if (value > 0) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    return high > 0 ? [low / 1.3, high * 1.3] : [0.1, 1];
  }

  /** @param {Point} point @param {Columns} columns @param {(feature: number) => void} pick */
  function mark(point, columns, pick) {
    const feature = columns.feature[point.row];
    return {
      x: point.px,
      y: point.py,
      lines: () => [`#${feature}`, `rate ${percent(columns.rate[point.row])}`, `strongest ${significant(columns.max[point.row])}`],
      pick: () => pick(feature),
      cursor: () => [svg("circle", { class: "point-ring", cx: point.px, cy: point.py, r: 6 })],
    };
  }

  /** @type {Ghosttrack["scatter"]} */
  function scatter(columns, pick) {
    const label = "Firing rate against strongest activation of each active feature; the feature list holds the same figures";
    return figure(label, 320, (width, height) => {
      const [left, right, top, bottom] = [48, width - 22, 28, height - 40];
      const x = log(range(columns.rate), [left, right]);
      const y = log(range(columns.max), [bottom, top]);
      const points = placed(columns, x, y);
      points.sort((a, b) => a.px - b.px).forEach((point, order) => Object.assign(point, { order }));
      const find = lookup(points);
      const over = svg("g", { class: "cursor" });
      const drawing = canvas(
        width,
        height,
        axisY(y, { left, right, top, wanted: 4, title: "strongest activation" }),
        axisX(x, { top, bottom, right, wanted: Math.max(2, width / 100), text: percentTick, title: "firing rate" }),
        cloud(points.filter((point) => point.plain), "plain"),
        cloud(points.filter((point) => !point.plain), "flagged"),
        over,
      );
      const marks = points.map((point) => mark(point, columns, pick));
      return { drawing, marks, near: (px, py) => (find(px, py)?.order ?? -1), cursor: over };
    });
  }

  ghosttrack.scatter = scatter;
})();
