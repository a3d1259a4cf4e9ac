"use strict";
// Text with every token coloured by its activation.

(() => {
  const { el } = ghosttrack.dom;
  const { visible, token, significant, number, count } = ghosttrack.format;
  const AROUND_PEAK = 24;

  // An example is {t: tokens' texts, i: ids, a: activations, peak, act, doc, pos, weight}.
  /** @param {Shown} example @param {number} index @param {number} maximum */
  function tokenSpan(example, index, maximum) {
    const text = example.t[index];
    const span = el("span", { class: "t" });
    span.firing = example.a[index] > 0;
    appendMarked(span, text);
    if (text.startsWith(" ")) span.classList.add("spaced");
    if (index === example.peak) span.classList.add("peak");
    const activation = example.a[index];
    if (activation > 0) {
      ghosttrack.colour.paint(span, activation, maximum);
      span.classList.add("on");
    }
    span.tokenFacts = { text, id: example.i[index], activation };
    return span;
  }

  /** @param {Element} span @param {string} text */
  function appendMarked(span, text) {
    // Further bytes of the character before: shown only where something fires on them.
    if (text === "" && span.firing) span.append(el("span", { class: "mark" }, token("")));
    const lines = text.split("\n");
    lines.forEach((line, index) => {
      if (index) span.append(el("span", { class: "mark" }, "⏎"), "\u200b");
      span.append(visible(line));
    });
  }

  /** @param {Shown} example @param {boolean} whole */
  function around(example, whole) {
    const last = example.t.length;
    if (whole || last <= 2 * AROUND_PEAK + 8) return [0, last];
    return [Math.max(0, example.peak - AROUND_PEAK), Math.min(last, example.peak + AROUND_PEAK + 1)];
  }

  /** @type {Ghosttrack["tokens"]["text"]} */
  function text(example, maximum, whole = false) {
    const [start, stop] = around(example, whole);
    const spans = [];
    for (let index = start; index < stop; index += 1) spans.push(tokenSpan(example, index, maximum));
    const before = start > 0 ? el("span", { class: "cut" }, "… ") : null;
    const after = stop < example.t.length ? el("span", { class: "cut" }, " …") : null;
    return el("p", { class: "tokens", dir: "auto", tabindex: 0, role: "group", "aria-label": "Text. Arrow keys read its tokens." }, before, spans, after);
  }

  /** @param {Shown} example @param {number} maximum */
  function row(example, maximum) {
    const holder = el("div", { class: "example-text" }, text(example, maximum));
    const cut = around(example, false)[1] - around(example, false)[0] < example.t.length;
    return el(
      "li",
      { class: "example" },
      el("div", { class: "example-act" }, number(example.act), strength(example.act ?? 0, maximum)),
      holder,
      el(
        "div",
        { class: "example-where" },
        el("span", {}, `document ${count(example.doc)} · token ${count(example.pos)}`),
        example.answer ? el("span", {}, `${example.answer} answer`) : null,
        cut ? wholeToggle(example, maximum, holder) : null,
      ),
    );
  }

  /** @param {Shown} example @param {number} maximum @param {HTMLElement} holder */
  function wholeToggle(example, maximum, holder) {
    let whole = false;
    const button = el("button", { type: "button", class: "quiet", "aria-expanded": "false" }, "Whole window");
    button.addEventListener("click", () => {
      whole = !whole;
      holder.replaceChildren(text(example, maximum, whole));
      button.setAttribute("aria-expanded", String(whole));
      button.textContent = whole ? "Around the peak" : "Whole window";
    });
    return button;
  }

  /** @param {number} value @param {number} maximum */
  function strength(value, maximum) {
    const share = maximum > 0 ? Math.min(1, Math.max(0, value / maximum)) : 0;
    return el("span", { class: "strength", "aria-hidden": "true", style: { "--share": share } });
  }

  /** @type {Ghosttrack["tokens"]["list"]} */
  function list(examples, maximum, label) {
    return el("ol", { class: "examples", "aria-label": label }, examples.map((example) => row(example, maximum)));
  }

  /** @type {Ghosttrack["tokens"]["legend"]} */
  function legend(maximum) {
    const steps = [1, 8, 16, 24, 32, 40].map((index) =>
      el("span", { style: { "background-color": `var(--heat-${index})` } }),
    );
    return el(
      "div",
      { class: "legend", role: "img", "aria-label": `Colour: activation from 0 to ${significant(maximum)}` },
      el("span", { class: "legend-end" }, "0"),
      el("span", { class: "legend-ramp" }, steps),
      el("span", { class: "legend-end" }, significant(maximum)),
    );
  }

  ghosttrack.tokens = { list, legend, text };
})();
