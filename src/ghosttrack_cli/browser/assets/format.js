"use strict";
// Numbers and token text as people read them. Every number keeps its exact value in a <data> element.

(() => {
  const { el } = ghosttrack.dom;
  const MISSING = "–";
  /** @type {[size: number, suffix: string][]} */
  const SUFFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

  /** @returns {value is number} */
  const isNumber = (/** @type {unknown} */ value) => typeof value === "number" && Number.isFinite(value);

  function significant(/** @type {any} */ value, digits = 3) {
    if (!isNumber(value)) return MISSING;
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 10 ** digits - 0.5) return whole.format(value).replace("-", "−");
    if (size < 1e-4) return exponent(value, digits - 1);
    return value.toPrecision(digits).replace("-", "−");
  }

  /** @param {number} value @param {number} digits */
  function exponent(value, digits) {
    const [mantissa, power] = value.toExponential(digits).split("e");
    const raised = [...String(Number(power))].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)] ?? "⁻").join("");
    return `${mantissa.replace("-", "−")}×10${raised}`;
  }

  /** @type {Ghosttrack["format"]["count"]} */
  function count(value) {
    return isNumber(value) ? whole.format(value) : MISSING;
  }

  /** @type {Ghosttrack["format"]["compact"]} */
  function compact(value) {
    if (!isNumber(value)) return MISSING;
    for (const [size, suffix] of SUFFIXES) {
      if (value >= size) return `${(value / size).toPrecision(3).replace(/\.?0+$/, "")}${suffix}`;
    }
    return significant(value);
  }

  /** @type {Ghosttrack["format"]["percent"]} */
  function percent(value, digits = 3) {
    if (!isNumber(value)) return MISSING;
    const hundredths = value * 100;
    if (hundredths === 0) return "0\u00a0%";
    if (Math.abs(hundredths) < 1e-3) return `${exponent(hundredths, Math.min(digits - 1, 1))}\u00a0%`;
    return `${significant(hundredths, Math.abs(hundredths) >= 99.95 ? 4 : digits)}\u00a0%`;
  }

  // For axes, whose ticks are round numbers already.
  /** @type {Ghosttrack["format"]["percentTick"]} */
  function percentTick(value) {
    const hundredths = Number((value * 100).toPrecision(3));
    return hundredths && Math.abs(hundredths) < 1e-3 ? percent(value, 1) : `${String(hundredths).replace("-", "−")}\u00a0%`;
  }

  /** @type {Ghosttrack["format"]["signed"]} */
  function signed(value, digits = 2) {
    if (!isNumber(value)) return MISSING;
    return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
  }

  const FORMS = { significant, count, compact, percent, signed };

  /** @type {Ghosttrack["format"]["number"]} */
  function number(/** @type {any} */ value, /** @type {Form} */ form = "significant", digits = undefined) {
    const text = FORMS[form](value, digits);
    if (!isNumber(value)) return el("span", { class: "missing" }, text);
    return el("data", { value: String(value), "data-rounded": text }, exact.on ? String(value) : text);
  }

  // Every figure as it stands in the report, for those who want to quote one.
  const exact = { on: false };

  /** @type {Ghosttrack["format"]["setExact"]} */
  function setExact(on) {
    exact.on = on;
    document.documentElement.toggleAttribute("data-exact", on);
    for (const node of document.querySelectorAll("data")) node.textContent = on ? node.value : (node.dataset.rounded ?? null);
  }

  // Characters that would be unseen, reorder the line or end it: shown by name instead.
  const UNSEEN = new RegExp(
    // eslint-disable-next-line no-misleading-character-class -- each is meant alone, as an escape
    "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f" +
      "\\u200b-\\u200f\\u2028-\\u202f\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffc]" +
      "|[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]",
    "g",
  );

  /** @param {string} character */
  function nameOf(character) {
    const code = character.charCodeAt(0);
    if (character === "\n") return "⏎";
    if (character === "\t") return "⇥";
    if (character === "\r") return "␍";
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  }

  /** @type {Ghosttrack["format"]["visible"]} */
  function visible(text) {
    return text.replace(UNSEEN, nameOf);
  }

  // A token on its own: spaces are marked, because " the" and "the" are two tokens.
  /** @type {Ghosttrack["format"]["token"]} */
  function token(text) {
    return text === "" ? "∅" : visible(text).replaceAll(" ", "·").replaceAll("\u00a0", "⍽");
  }

  /** @type {Ghosttrack["format"]["chip"]} */
  function chip(text, properties) {
    return el("bdi", { class: "chip", ...properties }, token(text));
  }

  ghosttrack.format = { significant, count, compact, percent, percentTick, signed, number, exact, setExact, visible, token, chip, isNumber };
})();
