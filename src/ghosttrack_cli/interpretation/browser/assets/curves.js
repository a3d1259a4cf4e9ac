"use strict";
// What training recorded, step by step: the curves that matter first, the others when asked.

(() => {
  const { el } = ghosttrack.dom;
  const { number, count, visible } = ghosttrack.format;
  const { card } = ghosttrack.parts;

  const FIRST = {
    fvu: ["FVU", "held out"],
    sparsity: ["L0", "held out, active features a token"],
    dead_fraction: ["Dead", "share of features without a firing"],
    recon_loss: ["Reconstruction loss", "held out"],
    val_loss: ["Validation loss", "held out"],
    lr: ["Learning rate", ""],
  };
  const OTHERS = {
    train_loss: ["Training loss", ""],
    train_recon_loss: ["Training reconstruction loss", ""],
    train_sparsity: ["Training L0", ""],
    sparsity_loss: ["Sparsity loss", ""],
    sparsity_weight: ["Sparsity weight", ""],
    l1: ["L1", "held out"],
    mse: ["MSE", "held out, raw units"],
    threshold: ["Mean threshold", ""],
    gradient_norm: ["Gradient norm", ""],
    clipped: ["Clipped", "share of steps with a clipped gradient"],
    dead_rows: ["Rows behind dead", ""],
  };
  const NAMES = { ...FIRST, ...OTHERS };
  const LOGARITHMIC = ["fvu", "recon_loss", "val_loss", "train_loss", "train_recon_loss", "mse"];

  function multiple(curve, all) {
    const [name, about] = NAMES[curve.name] ?? [visible(curve.name), ""];
    const last = curve.values.findLast((value) => value !== null);
    const chart = ghosttrack.lines.lines([{ xs: curve.steps, ys: curve.values }], {
      label: `${name} over training steps`,
      logarithmic: LOGARITHMIC.includes(curve.name),
    });
    const said = [about, behind(curve.name, all)].filter(Boolean).join("; ");
    return el(
      "div",
      { class: "multiple", "data-curve": curve.name },
      el("h3", {}, el("span", {}, name, said ? el("span", { class: "soft" }, ` ${said}`) : null), el("span", { class: "last" }, number(last))),
      chart,
    );
  }

  function behind(name, all) {
    if (name !== "dead_fraction") return "";
    const rows = all.find((curve) => curve.name === "dead_rows")?.values.findLast((value) => value !== null);
    return rows ? `last N\u00a0=\u00a0${count(rows)} rows` : "";
  }

  function inOrder(curves) {
    const order = Object.keys(NAMES);
    const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
    return curves.filter((curve) => curve.steps.length > 0).sort((a, b) => place(a.name) - place(b.name));
  }

  function curves(report) {
    const all = inOrder(report.training);
    if (!all.length) return null;
    const first = all.filter((curve) => curve.name in FIRST);
    const rest = all.filter((curve) => !(curve.name in FIRST));
    const shown = el("div", { class: "multiples curves" }, (first.length ? first : all).map((curve) => multiple(curve, all)));
    const note = "Values as they were recorded, by step; the figure beside each name is the last one.";
    return card("Training", { note, actions: first.length && rest.length ? moreButton(rest, all, shown) : null }, shown);
  }

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
