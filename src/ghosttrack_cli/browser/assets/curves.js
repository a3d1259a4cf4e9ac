"use strict";
// What training recorded, step by step: the curves that matter first, the others when asked.

(() => {
  const { el } = ghosttrack.dom;
  const { number, count, visible } = ghosttrack.format;
  const { card } = ghosttrack.parts;

  const FIRST = {
    fvu: ["FVU", ""],
    sparsity: ["L0", "active features per token"],
    dead_fraction: ["Dead", "share of features without a firing"],
    recon_loss: ["Reconstruction loss", ""],
    val_loss: ["Validation loss", ""],
    lr: ["Learning rate", ""],
  };
  const OTHERS = {
    train_loss: ["Training loss", ""],
    train_recon_loss: ["Training reconstruction loss", ""],
    train_sparsity: ["Training L0", ""],
    sparsity_loss: ["Sparsity loss", ""],
    sparsity_weight: ["Sparsity weight", ""],
    l1: ["L1", ""],
    mse: ["MSE", "raw units"],
    threshold: ["Mean threshold", ""],
    gradient_norm: ["Gradient norm", ""],
    clipped: ["Clipped", "share of steps with a clipped gradient"],
    dead_rows: ["Rows behind dead", ""],
  };
  const BEHIND = {
    val_rows: ["fvu", "sparsity", "recon_loss", "val_loss", "sparsity_loss", "l1", "mse"],
    train_rows: ["train_loss", "train_recon_loss", "train_sparsity", "gradient_norm", "clipped"],
  };
  /** @type {Record<string, string[]>} */
  const NAMES = { ...FIRST, ...OTHERS };
  const LOGARITHMIC = ["fvu", "recon_loss", "val_loss", "train_loss", "train_recon_loss", "mse"];

  /** @param {Curve} curve @param {Curve[]} all */
  function multiple(curve, all) {
    const [name, about] = NAMES[curve.name] ?? [visible(curve.name), ""];
    const last = curve.values.findLast((value) => value !== null);
    const chart = ghosttrack.lines.lines([{ xs: curve.steps, ys: curve.values }], {
      label: `${name} over training steps`,
      logarithmic: LOGARITHMIC.includes(curve.name),
    });
    const words = [about, behind(curve.name, all)].filter(Boolean).join("; ");
    return el(
      "div",
      { class: "multiple", "data-curve": curve.name },
      el("h3", {}, el("span", {}, name, words ? el("span", { class: "soft" }, ` ${words}`) : null), el("span", { class: "last" }, number(last))),
      chart,
    );
  }

  /** @param {string} name @param {Curve[]} all */
  function behind(name, all) {
    const rows = (/** @type {string} */ column) => all.find((curve) => curve.name === column)?.values.filter((value) => value !== null) ?? [];
    if (name === "dead_fraction") return said("last N", rows("dead_rows").slice(-1), "rows");
    if (BEHIND.val_rows.includes(name)) return said("N", rows("val_rows"), "held-out rows") || "held-out rows, N not recorded";
    if (BEHIND.train_rows.includes(name)) return said("N", rows("train_rows"), "training rows per point") || "training rows, N not recorded";
    return "";
  }

  // Counts may differ from point to point: then the smallest and the largest.
  /** @param {string} what @param {number[]} counts @param {string} rows */
  function said(what, counts, rows) {
    if (!counts.length) return "";
    const [low, high] = [Math.min(...counts), Math.max(...counts)];
    return `${what}\u00a0=\u00a0${count(low)}${low < high ? ` to ${count(high)}` : ""} ${rows}`;
  }

  /** @param {Curve[]} curves */
  function inOrder(curves) {
    const order = Object.keys(NAMES);
    const place = (/** @type {string} */ name) => (order.includes(name) ? order.indexOf(name) : order.length);
    return curves.filter((curve) => curve.steps.length > 0).sort((a, b) => place(a.name) - place(b.name));
  }

  /** @type {Ghosttrack["curves"]} */
  function curves(report) {
    const all = inOrder(report.training);
    if (!all.length) return null;
    const first = all.filter((curve) => curve.name in FIRST);
    const rest = all.filter((curve) => !(curve.name in FIRST) && !(curve.name in BEHIND));
    const shown = el("div", { class: "multiples curves" }, (first.length ? first : rest).map((curve) => multiple(curve, all)));
    const note = "Recorded values by training step; the number beside each name is the last one.";
    return card("Training", { note, actions: first.length && rest.length ? moreButton(rest, all, shown) : null }, shown);
  }

  /** @param {Curve[]} rest @param {Curve[]} all @param {HTMLElement} shown */
  function moreButton(rest, all, shown) {
    const button = el("button", { type: "button", class: "quiet" }, rest.length === 1 ? "One more curve" : `${count(rest.length)} more curves`);
    button.addEventListener("click", () => {
      shown.append(...rest.map((curve) => multiple(curve, all)));
      button.remove();
    });
    return button;
  }

  ghosttrack.curves = curves;
})();
