"use strict";
// Charts in SVG, drawn at the width they have and drawn again when it changes.

(() => {
  const { el, svg, onResize } = ghosttrack.dom;
  const { significant, compact, isNumber } = ghosttrack.format;
  const { Reader, along } = ghosttrack.reader;

  // `draw(width, height)` gives {drawing, marks, near, cursor}; see reader.js.
  /** @type {Ghosttrack["charts"]["figure"]} */
  function figure(label, height, draw, caption) {
    const holder = el("div", { class: "chart", style: { height: `${height}px` }, tabindex: 0, role: "group", "aria-roledescription": "chart", "aria-label": `${label}. Arrow keys read the values.` });
    const reader = new Reader(holder);
    onResize(holder, (width) => {
      const drawn = draw(width, height);
      const { drawing, marks, near = along(marks), cursor } = drawn;
      drawing.setAttribute("aria-hidden", "true");
      holder.replaceChildren(drawing);
      reader.read({ drawing, marks, near, cursor });
    });
    return el("figure", {}, holder, caption ? el("figcaption", {}, caption) : null);
  }

  /** @type {Ghosttrack["charts"]["canvas"]} */
  function canvas(width, height, ...children) {
    return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, ...children);
  }

  /** @type {Ghosttrack["charts"]["linear"]} */
  function linear(domain, range) {
    const span = domain[1] - domain[0] || 1;
    const scale = (/** @type {number} */ value) => range[0] + ((value - domain[0]) / span) * (range[1] - range[0]);
    scale.invert = (/** @type {number} */ place) => domain[0] + ((place - range[0]) / (range[1] - range[0] || 1)) * span;
    scale.ticks = (/** @type {number} */ wanted) => linearTicks(domain, wanted);
    return scale;
  }

  /** @type {Ghosttrack["charts"]["log"]} */
  function log(domain, range) {
    const [low, high] = domain.map(Math.log10);
    const inner = linear([low, high], range);
    const scale = (/** @type {number} */ value) => inner(Math.log10(value));
    scale.invert = (/** @type {number} */ place) => 10 ** inner.invert(place);
    scale.ticks = (/** @type {number} */ wanted) => logTicks(low, high, wanted);
    return scale;
  }

  /** @param {number[]} domain @param {number} wanted */
  function linearTicks([low, high], wanted) {
    const rough = (high - low || Math.abs(high) || 1) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
    const ticks = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) {
      ticks.push(Number((index * step).toPrecision(12)));
    }
    return ticks;
  }

  // Whole powers of ten where there is room for a few of them, else 1, 2, 5 in each, else evenly.
  /** @param {number} low @param {number} high @param {number} wanted */
  function logTicks(low, high, wanted) {
    const every = Math.max(1, Math.ceil((high - low) / wanted));
    const choices = [powers(low, high, every, [1]), powers(low, high, 1, [1, 3]), powers(low, high, 1, [1, 2, 5])];
    const fitting = choices.find((ticks) => ticks.length >= Math.min(3, wanted) && ticks.length <= 1.7 * wanted);
    if (fitting) return fitting;
    if (choices[0].length >= 2) return choices[0];
    return linearTicks([10 ** low, 10 ** high], wanted).filter((tick) => tick > 0);
  }

  /** @param {number} low @param {number} high @param {number} every @param {number[]} factors */
  function powers(low, high, every, factors) {
    const ticks = [];
    for (let power = Math.floor(low); power <= high; power += every) {
      for (const factor of factors) {
        const place = power + Math.log10(factor);
        if (place >= low - 1e-9 && place <= high + 1e-9) ticks.push(Number((factor * 10 ** power).toPrecision(6)));
      }
    }
    return ticks;
  }

  /** @type {Ghosttrack["charts"]["tickText"]} */
  function tickText(value) {
    if (value === 0) return "0";
    if (Math.abs(value) >= 1000) return compact(value);
    if (Math.abs(value) < 0.01) return significant(value, 1).includes("×") ? power(value) : String(Number(value.toPrecision(2)));
    return String(Number(value.toPrecision(3))).replace("-", "−");
  }

  /** @param {number} value */
  function power(value) {
    const text = significant(value, 1);
    return text.startsWith("1×") ? text.slice(2) : text;
  }

  /** @type {Ghosttrack["charts"]["axisX"]} */
  function axisX(scale, { top, bottom, wanted, text = tickText, title, right }) {
    const parts = scale.ticks(wanted).map((tick) => [
      svg("line", { class: "grid", x1: scale(tick), x2: scale(tick), y1: top, y2: bottom }),
      svg("text", { class: "tick", x: scale(tick), y: bottom + 15, "text-anchor": "middle" }, text(tick)),
    ]);
    const name = title ? svg("text", { class: "axis-title", x: right, y: bottom + 31, "text-anchor": "end" }, title) : null;
    return svg("g", {}, parts, name);
  }

  /** @type {Ghosttrack["charts"]["axisY"]} */
  function axisY(scale, { left, right, wanted, text = tickText, title, top }) {
    const parts = scale.ticks(wanted).map((tick) => [
      svg("line", { class: "grid", x1: left, x2: right, y1: scale(tick), y2: scale(tick) }),
      svg("text", { class: "tick", x: left - 7, y: scale(tick) + 3.5, "text-anchor": "end" }, text(tick)),
    ]);
    const name = title ? svg("text", { class: "axis-title", x: 0, y: (top ?? 0) - 15 }, title) : null;
    return svg("g", {}, parts, name);
  }

  /** @type {Ghosttrack["charts"]["extent"]} */
  function extent(values) {
    const known = values.filter(isNumber);
    return known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  }

  ghosttrack.charts = { figure, canvas, linear, log, axisX, axisY, extent, tickText };
})();
