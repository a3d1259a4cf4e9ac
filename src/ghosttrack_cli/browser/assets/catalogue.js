"use strict";
// Which reports there are, by layer and source of texts, their addresses, and stepping from one to the next.

(() => {
  /** @type {Ghosttrack["catalogue"]["all"]} */
  const all = () => ghosttrack.data.get("catalogue").layers;
  /** @param {Report} report */
  const sourceOf = (report) => report.source.slug;

  // A layer's number stands for the stream after its block; another hook point is written "6.mlp_out".
  /** @param {string | null} text @returns {Layer | null} */
  function layerOf(text) {
    if (text === null || !/^\d{1,9}(\.\w+)?$/.test(text)) return null;
    return text.includes(".") ? text : Number(text);
  }

  // Layers in their order, which that of the reports is.
  /** @param {Layer} layer */
  const order = (layer) => all().findIndex((report) => report.layer === layer);

  // The reports of a layer, the newest first.
  /** @type {Ghosttrack["catalogue"]["ofLayer"]} */
  const ofLayer = (layer) => all().filter((report) => report.layer === layer);

  // One for each layer: over `source` where there is one, else the newest.
  /** @param {string | null} source */
  function layers(source = null) {
    const numbers = [...new Set(all().map((report) => report.layer))];
    return numbers.flatMap((layer) => find(layer, source) ?? find(layer) ?? []);
  }

  /** @param {Layer} layer @param {string | null} source */
  function find(layer, source = null) {
    return ofLayer(layer).find((report) => source === null || sourceOf(report) === source);
  }

  /** @type {Ghosttrack["catalogue"]["sources"]} */
  const sources = () => [...new Set(all().map(sourceOf))];

  // What people call the texts; two that are called the same are told apart by their folder's name.
  /** @type {Ghosttrack["catalogue"]["textsName"]} */
  function textsName(report) {
    const { name } = report.source;
    const same = all().filter((other) => other.source.name === name).map(sourceOf);
    return new Set(same).size > 1 ? sourceOf(report) : name;
  }

  // A link says the source wherever there is a choice.
  /** @type {Ghosttrack["catalogue"]["href"]} */
  function href(report, parameters = {}) {
    /** @type {Record<string, string>} */
    const source = ofLayer(report.layer).length > 1 ? { source: sourceOf(report) } : {};
    return `#${new URLSearchParams({ layer: String(report.layer), ...source, ...parameters })}`;
  }

  /** @type {Ghosttrack["catalogue"]["file"]} */
  const file = (report, name) => ghosttrack.data.load(`${report.folder}/${name}`);

  // What a search looks into is a file of the report itself: its name, and where it lies.
  /** @type {Ghosttrack["catalogue"]["searchFile"]} */
  const searchFile = (report, name) => [`${report.folder}/search/${name}`, `${report.files}/search/${name}.js`];

  /** @type {Ghosttrack["catalogue"]["walk"]} */
  function walk(report, name) {
    if (name === "up") {
      location.hash = "#";
      return true;
    }
    const known = layers(sourceOf(report));
    const step = { next: 1, previous: -1 }[name];
    const target = step && known[known.findIndex((one) => one.layer === report.layer) + step];
    if (target) location.hash = href(target);
    return Boolean(target);
  }

  ghosttrack.catalogue = { all, layers, layerOf, order, ofLayer, find, sources, sourceOf, textsName, href, file, searchFile, walk };
})();
