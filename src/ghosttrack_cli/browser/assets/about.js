"use strict";
// What a page is about, on every page and every print: model, texts, rows, SAE, settings, version, date.

(() => {
  const { el } = ghosttrack.dom;
  const { count, visible } = ghosttrack.format;

  function pageWritten() {
    const written = new Date(document.lastModified);
    return Number.isNaN(written.getTime()) ? null : written.toISOString().slice(0, 10);
  }

  /** @param {Report["sae"]} sae */
  function checkpoint({ folder, checkpoint: name }) {
    return folder === name ? folder : `${name} (${folder})`;
  }

  /** @param {Report} report */
  function readFrom({ source, counts }) {
    return `${textsOf(source)}, ${count(counts.rows)} rows`;
  }

  /** @param {Report["source"]} source */
  const textsOf = ({ name, corpus }) => (corpus ? `${name} (${corpus})` : name);

  /** @param {Report["source"]} source */
  function leftOut(source) {
    const counts = [
      [source.truncated, "cut at the context length"], [source.short, "skipped as too short"], [source.blank, "skipped as blank"],
      [source.replaced, "with damaged characters"], [source.empty_files, "empty files"], [source.unanswered, "questions without both answers skipped"],
      [source.duplicates, "duplicate questions skipped"],
      ...Object.entries(source.skipped_files ?? {}).map(([reason, total]) => [total, `${reason.replaceAll("_", " ")} skipped`]),
    ];
    return counts.filter(([total]) => total).map(([total, how]) => `, ${count(total)} ${how}`).join("");
  }

  // Each distinct saying of the reports once.
  /** @param {Report[]} reports @param {(report: Report) => unknown} say */
  function distinct(reports, say) {
    return [...new Set(reports.map(say))].map((text) => visible(String(text))).join("; ");
  }

  /** @param {Report[]} reports */
  function lines(reports) {
    const { version } = ghosttrack.data.get("catalogue");
    const hash = (/** @type {string | null} */ text) => (text ? `, weights ${text.slice(0, 12)}` : "");
    return [
      ["Model", distinct(reports, ({ model }) => `${model.name}${model.revision ? `, revision ${model.revision}` : ""}${hash(model.weights_sha256)}`)],
      ["Layers", distinct(reports, ({ layer }) => layer)],
      ["SAE", distinct(reports, ({ sae }) => `${checkpoint(sae)}, ${count(sae.d_model)} inputs, ${count(sae.d_hidden)} features${hash(sae.weights_sha256)}`)],
      ["Texts", distinct(reports, ({ source }) => `${textsOf(source)}${source.texts ? `, ${count(source.texts)} texts` : ""}, ${count(source.windows)} windows of up to ${count(source.context_length)} tokens${leftOut(source)}`)],
      ["Rows", distinct(reports, ({ mask }) => `${count(mask.rows)} read, ${count(mask.kept)} kept, ${count(mask.counted)} counted`)],
      ["Settings", distinct(reports, settings)],
      ["Notes", distinct(reports, ({ notes }) => notes.join(" "))],
      ["Written", [`GhostTrack ${version}`, pageWritten()].filter(Boolean).join(", ")],
    ].filter(([, text]) => text);
  }

  /** @param {Report} report */
  function settings(report) {
    return Object.entries(report.settings ?? {}).map(([name, value]) => `${name} = ${value}`).join(", ");
  }

  /** @param {Report[]} reports */
  function summary(reports) {
    const layers = new Set(reports.map((report) => report.layer));
    const layer = layers.size === 1 ? `layer ${reports[0].layer}` : `${count(layers.size)} layers`;
    return [distinct(reports, ({ model }) => model.name), layer, distinct(reports, readFrom), `GhostTrack ${ghosttrack.data.get("catalogue").version}`, pageWritten()].filter(Boolean).join(" · ");
  }

  /** @type {Ghosttrack["about"]} */
  function about(reports) {
    if (!reports.length) return null;
    const rows = lines(reports).map(([name, text]) => [el("dt", {}, name), el("dd", {}, el("bdi", {}, text))]);
    return [el("details", { class: "about-page" }, el("summary", {}, el("bdi", {}, summary(reports))), el("dl", {}, rows)), outdated(reports)];
  }

  // As the terminal says it.
  /** @param {Report[]} reports */
  function outdated(reports) {
    const layers = [...new Set(reports.filter((report) => report.outdated).map((report) => report.layer))];
    if (!layers.length) return null;
    const [named, verb] = layers.length === 1 ? [`Layer ${layers[0]}: the report is`, "it"] : [`Layers ${layers.join(", ")}: the reports are`, "them"];
    return el("p", { class: "outdated", role: "note" }, `${named} of an earlier SAE, whose features differ. Update ${verb}: `, el("code", {}, `ghosttrack interpret --layers ${layers.join(",")}`));
  }

  ghosttrack.about = about;
})();
