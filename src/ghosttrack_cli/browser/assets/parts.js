"use strict";
// Small pieces that several pages share.

(() => {
  const { el } = ghosttrack.dom;
  const { count } = ghosttrack.format;
  const { catalogue } = ghosttrack;

  // What each flag means, in the order of their bits.
  const FLAGS = ghosttrack.data.get("catalogue").flags;

  const EFFECT = "(questions whose factual answer has the higher rate − those whose hallucinated answer has) / questions";

  /** @type {Ghosttrack["parts"]["flag"]} */
  function flag(name, reachable = false) {
    return el("span", { class: `flag flag-${name}`, [reachable ? "tip" : "data-tip"]: FLAGS[name] ?? name }, name);
  }

  // In a long list the filters explain the flags to the keyboard.
  /** @type {Ghosttrack["parts"]["flags"]} */
  function flags(names) {
    return el("span", { class: "flags" }, names.map((name) => flag(name)));
  }

  /** @type {Ghosttrack["parts"]["featureLink"]} */
  function featureLink(report, feature, properties) {
    return el("a", { class: "feature-link", href: catalogue.href(report, { feature }), ...properties }, `#${feature}`);
  }

  /** @type {Ghosttrack["parts"]["card"]} */
  function card(title, properties, ...children) {
    const { note, actions, id, ...rest } = /** @type {{ note?: Child; actions?: Child; id?: string; class?: string }} */ (properties ?? {});
    const heading = el("h2", { id }, title);
    return el(
      "section",
      { ...rest, class: `card ${rest.class ?? ""}`, "aria-label": title },
      el("header", { class: "card-head" }, el("div", {}, heading, note ? el("p", { class: "note" }, note) : null), actions),
      children,
    );
  }

  // A name with what it means behind it.
  /** @type {Ghosttrack["parts"]["term"]} */
  function term(name, tip) {
    return tip ? el("span", { class: "term", tip }, name) : name;
  }

  // A number that matters, its name, and the rows behind it.
  /** @type {Ghosttrack["parts"]["fact"]} */
  function fact(name, value, behind, tip) {
    return el(
      "div",
      { class: "fact" },
      el("dt", {}, term(name, tip)),
      el("dd", {}, value, behind ? el("span", { class: "behind" }, behind) : null),
    );
  }

  /** @type {Ghosttrack["parts"]["table"]} */
  function table(caption, heads, rows, properties) {
    const head = heads.map(([text, name, tip]) => el("th", { scope: "col", class: name, role: "columnheader" }, term(text, tip ?? undefined)));
    return el(
      "div",
      { class: "table-scroll", tabindex: "0", role: "group", "aria-label": caption },
      el("table", properties, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)),
    );
  }

  /** @type {Ghosttrack["parts"]["details"]} */
  function details(summary, ...children) {
    return el("details", {}, el("summary", {}, summary), children);
  }

  /** @type {Ghosttrack["parts"]["meter"]} */
  function meter(share, properties) {
    const held = Math.min(1, Math.max(0, share || 0));
    return el("span", { class: "meter", "aria-hidden": "true", style: { "--share": held }, ...properties });
  }

  // From one in a million (0) to always (1): rates differ by factors, not by differences.
  /** @type {Ghosttrack["parts"]["logShare"]} */
  function logShare(rate) {
    return rate > 0 ? 1 + Math.log10(rate) / 6 : 0;
  }

  /** @type {Ghosttrack["parts"]["segmented"]} */
  function segmented(label, choices, chosen, choose) {
    const buttons = choices.map(([key, text, total]) =>
      el(
        "button",
        { type: "button", "aria-pressed": String(key === chosen), "data-choice": key, onclick: () => choose(key) },
        text,
        total === undefined ? null : el("span", { class: "total" }, count(total)),
      ),
    );
    return el("div", { class: "segmented", role: "group", "aria-label": label }, buttons);
  }

  /** @type {Ghosttrack["parts"]["empty"]} */
  function empty(title, text, name = "empty") {
    return el("div", { class: name }, el("p", { class: "empty-title" }, title), text ? el("p", {}, text) : null);
  }

  /** @type {Ghosttrack["parts"]["crumbs"]} */
  function crumbs(...links) {
    const parts = links.map(([text, href]) => el("li", {}, href ? el("a", { href }, text) : el("span", { "aria-current": "page" }, text)));
    return el("nav", { class: "crumbs", "aria-label": "Breadcrumb" }, el("ol", {}, parts));
  }

  ghosttrack.parts = { FLAGS, EFFECT, flag, flags, featureLink, card, fact, term, table, details, meter, logShare, segmented, empty, crumbs };
})();
