"use strict";
// The metrics by name: what each says, how it is written, and where it stands in a layer's report.

(() => {
  const { significant, percent, number } = ghosttrack.format;

  const FORMS = { significant, percent };

  /** @type {Record<string, [name: string, about: string, form: "significant" | "percent"]>} */
  const METRICS = {
    fvu: ["FVU", "fraction of variance unexplained: E‖x − x̂‖² / (E‖x‖² − ‖E x‖²)", "significant"],
    explained_variance: ["Explained variance", "1 − FVU", "percent"],
    l0: ["L0", "active features per row", "significant"],
    l1: ["L1", "sum of activations per row", "significant"],
    recon_loss: ["Reconstruction loss", "E‖x − x̂‖² / E‖x‖²", "significant"],
    mse: ["MSE", "mean squared error per element, raw units", "significant"],
    cosine: ["Cosine", "E cos(x, x̂)", "significant"],
    l2_ratio: ["L2 ratio", "E ‖x̂‖ / ‖x‖", "significant"],
    bias: ["Reconstruction bias", "E‖x̂‖² / E[x · x̂]; 1 is unbiased", "significant"],
    ce_recovered: ["CE recovered", "(CE zero − CE SAE) / (CE zero − CE clean)", "percent"],
    kl_recovered: ["KL recovered", "1 − KL(clean‖SAE) / KL(clean‖zero)", "percent"],
    dead: ["Dead", "share of features that never fired on these rows", "percent"],
    dense: ["Above 10 %", "share of features that fire on more than 10 % of rows", "percent"],
  };

  /** @type {Record<string, "recovered">} */
  const SOURCES = {
    ce_recovered: "recovered",
    kl_recovered: "recovered",
  };

  /** @type {Ghosttrack["metrics"]["value"]} */
  function value(report, key) {
    const { counts } = report;
    if (key === "dead") return counts.features ? counts.dead / counts.features : null;
    if (key === "dense") return counts.above_10_percent;
    return report[SOURCES[key] ?? "metrics"]?.[key] ?? null;
  }

  /** @type {Ghosttrack["metrics"]["rows"]} */
  function rows(report, key) {
    if (key === "dead" || key === "dense") return report.counts.rows;
    return report[SOURCES[key] ?? "metrics"]?.rows ?? null;
  }

  /** @type {Ghosttrack["metrics"]["name"]} */
  const name = (key) => METRICS[key]?.[0] ?? key;
  /** @type {Ghosttrack["metrics"]["about"]} */
  const about = (key) => METRICS[key]?.[1] ?? "";
  const form = (/** @type {string} */ key) => METRICS[key]?.[2] ?? "significant";

  /** @type {Ghosttrack["metrics"]["text"]} */
  function text(key, amount) {
    return FORMS[form(key)](amount);
  }

  /** @type {Ghosttrack["metrics"]["shown"]} */
  function shown(key, amount) {
    return number(amount, form(key));
  }

  ghosttrack.metrics = { value, rows, name, about, text, shown };
})();
