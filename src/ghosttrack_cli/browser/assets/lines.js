"use strict";
// Line charts, and bars for a value each.

(() => {
  const { svg } = ghosttrack.dom;
  const { count, significant, isNumber } = ghosttrack.format;
  const { figure, canvas, linear, log, axisX, axisY, extent } = ghosttrack.charts;

  // Bars this far apart have room for their values above them.
  const WIDE_BAND = 48;

  /** @param {number[]} xs @param {(number | null)[]} ys @param {Scale} x @param {Scale} y */
  function path(xs, ys, x, y) {
    let pen = "M";
    let d = "";
    xs.forEach((value, index) => {
      if (!isNumber(ys[index])) {
        pen = "M";
        return;
      }
      d += `${pen}${x(value).toFixed(1)} ${y(ys[index]).toFixed(1)}`;
      pen = "L";
    });
    return d;
  }

  /** @param {(number | null)[]} ys @param {number} bottom @param {number} top @param {boolean | undefined} logarithmic */
  function scaleFor(ys, bottom, top, logarithmic) {
    const [low, high] = extent(ys);
    if (low === 0 && high === 0) return linear([0, 1], [bottom, top]);
    if (logarithmic && low > 0) return log([low / 1.1, high * 1.1], [bottom, top]);
    const room = (high - low || Math.abs(high) || 1) * 0.08;
    return linear([low >= 0 ? Math.max(0, low - room) : low - room, high + room], [bottom, top]);
  }

  // series: [{name, xs, ys, class}]; the first is the one that is read.
  /** @type {Ghosttrack["lines"]["lines"]} */
  function lines(series, { label, height = 180, logarithmic = false, text = significant, tick, title = "step" }) {
    const [main] = series;
    return figure(label, height, (width) => {
      const [left, right, top, bottom] = [48, width - 16, 14, height - 40];
      const x = linear(extent(series.flatMap((one) => one.xs)), [left, right]);
      const y = scaleFor(series.flatMap((one) => one.ys), bottom, top, logarithmic);
      const cursor = svg("g", { class: "cursor" });
      const drawing = canvas(
        width,
        height,
        axisY(y, { left, right, top, wanted: 4, text: tick }),
        axisX(x, { top: bottom, bottom, right, wanted: Math.max(2, width / 110), title }),
        [...series].reverse().map((one) => svg("path", { class: `line ${one.class ?? ""}`, d: path(one.xs, one.ys, x, y) })),
        main.xs.length === 1 ? svg("circle", { class: "dot", cx: x(main.xs[0]), cy: y(main.ys[0] ?? 0), r: 3 }) : null,
        cursor,
      );
      const known = main.xs.flatMap((step, index) => {
        const value = main.ys[index];
        return isNumber(value) ? [/** @type {const} */ ([step, value])] : [];
      });
      const marks = known.map(([step, value]) => {
        const [px, py] = [x(step), y(value)];
        const cross = () => [svg("line", { class: "crosshair", x1: px, x2: px, y1: top, y2: bottom }), svg("circle", { class: "dot", cx: px, cy: py, r: 3.5 })];
        return { x: px, y: py, lines: () => [`${text(value)} at ${title} ${count(step)}`], cursor: cross };
      });
      return { drawing, marks, cursor };
    });
  }

  // entries: [{name, value, said, pick}]; `said` is what stands behind the value.
  /** @type {Ghosttrack["lines"]["bars"]} */
  function bars(entries, { label, height = 150, text = significant, tick, title }) {
    return figure(label, height, (width) => {
      const [left, right, top, bottom] = [48, width - 8, 20, height - (title ? 40 : 24)];
      const values = entries.map((entry) => entry.value);
      const [low, high] = extent(values);
      const y = linear([Math.min(0, low), Math.max(high, 0) * 1.05 || 1], [bottom, top]);
      const band = (right - left) / Math.max(entries.length, 1);
      const thick = Math.min(44, band * 0.62);
      const longest = Math.max(...entries.map((entry) => (entry.short ?? entry.name).length));
      const every = Math.ceil(Math.max(26, 7 * longest) / band);
      /** @type {Mark[]} */
      const marks = [];
      const drawing = canvas(
        width,
        height,
        axisY(y, { left, right, top, wanted: 4, text: tick }),
        entries.map((entry, index) => {
          const middle = left + band * (index + 0.5);
          const place = isNumber(entry.value) ? y(entry.value) : y(0);
          const box = { x: middle - thick / 2, y: Math.min(place, y(0)), width: thick, height: Math.abs(y(0) - place) };
          const lines = () => [`${entry.name}: ${text(entry.value)}`, entry.said].flatMap((line) => line || []);
          marks.push({ x: middle, y: Math.min(place, y(0)), lines, pick: entry.pick });
          return svg(
            "g",
            { class: "bar-group" },
            svg("rect", { class: "bar", ...box, rx: 2 }),
            band >= WIDE_BAND ? svg("text", { class: "tick", x: middle, y: Math.min(place, y(0)) - 5, "text-anchor": "middle" }, text(entry.value)) : null,
            index % every === 0 ? svg("text", { class: "tick", x: middle, y: bottom + 16, "text-anchor": "middle" }, entry.short ?? entry.name) : null,
            svg("rect", { class: "bar-target", x: middle - band / 2, y: 0, width: band, height }),
          );
        }),
        svg("line", { class: "axis", x1: left, x2: right, y1: y(0), y2: y(0) }),
        title ? svg("text", { class: "axis-title", x: right, y: bottom + 33, "text-anchor": "end" }, title) : null,
      );
      return { drawing, marks };
    });
  }

  ghosttrack.lines = { lines, bars };
})();
