"use strict";
// Both answers to one question side by side, coloured by one feature.

(() => {
  const { el } = ghosttrack.dom;
  const { number, count } = ghosttrack.format;
  const { tokens } = ghosttrack;

  /** @type {Ghosttrack["pairs"]["strongest"]} */
  const strongest = (pairs) => Math.max(0, ...pairs.flatMap((one) => [...one.opening.acts, ...one.factual.acts, ...one.hallucinated.acts]));

  /** @param {TokenActs} part @param {number} most */
  function said(part, most) {
    const peak = part.acts.indexOf(Math.max(...part.acts));
    const example = { t: part.texts, i: part.ids, a: part.acts, peak: part.acts[peak] > 0 ? peak : -1 };
    const cut = part.left_out ? el("p", { class: "note" }, `${count(part.left_out)} more tokens`) : null;
    return [tokens.text(example, most, true), cut];
  }

  /** @param {string} name @param {TokenActs} part @param {number} rate @param {number} most */
  function answer(name, part, rate, most) {
    return el(
      "div",
      { class: `answer ${name}` },
      el("h3", {}, name === "factual" ? "Factual answer" : "Hallucinated answer", el("span", { class: "soft" }, " fires on ", number(rate, "percent"), " of its rows")),
      said(part, most),
    );
  }

  /** @param {AnswerPair} one @param {number} most */
  function pair(one, most) {
    return el(
      "li",
      { class: "pair", "data-question": one.question },
      el("div", { class: "question" }, said(one.opening, most)),
      el("div", { class: "answers" }, answer("factual", one.factual, one.rate_factual, most), answer("hallucinated", one.hallucinated, one.rate_hallucinated, most)),
    );
  }

  /** @type {Ghosttrack["pairs"]["list"]} */
  function list(pairs, maximum) {
    const most = maximum || strongest(pairs);
    return el("ol", { class: "pairs" }, pairs.map((one) => pair(one, most)));
  }

  ghosttrack.pairs = { list, strongest };
})();
