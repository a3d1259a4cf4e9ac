"use strict";
// The address decides what is shown: #layer=6&feature=123.

(() => {
  const { el } = ghosttrack.dom;
  const { empty } = ghosttrack.parts;
  const { catalogue, views } = ghosttrack;

  /** @type {Page | null} */
  let page = null;
  let turn = 0;
  let searchNext = false;
  const scrolled = new Map();

  views.missing = (title, text) => ({ title, node: el("div", { class: "page" }, empty(title, text)), key: up });

  /** @param {string} name */
  function up(name) {
    if (name !== "up") return false;
    location.hash = "#";
    return true;
  }

  function route() {
    const parameters = new URLSearchParams(location.hash.slice(1));
    const number = (/** @type {string} */ name) => (/^\d{1,9}$/.test(parameters.get(name) ?? "") ? Number(parameters.get(name)) : null);
    const [layer, feature, view] = [catalogue.layerOf(parameters.get("layer")), number("feature"), parameters.get("view")];
    const source = parameters.get("source");
    const report = layer === null ? undefined : catalogue.find(layer, source);
    return /** @type {Route} */ ({ layer, source, report, feature, parameters, view: viewFor(layer, feature, view) });
  }

  /** @param {Layer | null} layer @param {number | null} feature @param {string | null} view @returns {View} */
  function viewFor(layer, feature, view) {
    if (view === "prompt" || view === "search") return view;
    if (layer === null) return "overview";
    if (feature !== null) return "feature";
    return view === "features" || view === "contrast" ? view : "layer";
  }

  /** @param {Route} wanted */
  function absent({ layer, source }) {
    const others = catalogue.ofLayer(layer).map(catalogue.sourceOf).join(", ");
    if (others) return views.missing(`Layer ${layer} has no report over ${source}.`, `It has reports over: ${others}.`);
    const known = catalogue.layers().map((report) => report.layer).join(", ");
    return views.missing(`Layer ${layer} has not been interpreted.`, `Interpreted layers: ${known || "none"}.`);
  }

  /** @param {Route} wanted @returns {Promise<Page>} */
  async function build(wanted) {
    if (wanted.layer !== null && !wanted.report) return absent(wanted);
    try {
      return await views[wanted.view](wanted);
    } catch (error) {
      return views.missing("This page cannot be shown.", error.message);
    }
  }

  async function show() {
    const mine = (turn += 1);
    const wanted = route();
    const next = await build(wanted);
    if (mine !== turn) return;
    page?.destroy?.();
    page = next;
    document.getElementById("main").replaceChildren(next.node);
    document.title = `${next.title} · GhostTrack`;
    mark(wanted);
    next.shown?.();
    window.scrollTo(0, wanted.view === "features" ? (scrolled.get(location.hash) ?? 0) : 0);
    if (searchNext) next.key?.("search");
    searchNext = false;
    document.documentElement.dataset.shown = location.hash || "#";
  }

  // The layer menu and the tabs above every page.
  /** @param {Route} wanted */
  function mark(wanted) {
    const report = wanted.report ?? catalogue.all()[0];
    document.getElementById("layer-menu").value = wanted.layer === null ? "" : String(wanted.layer);
    markSources(wanted);
    const compared = report?.contrast ? report : catalogue.ofLayer(report?.layer).find((one) => one.contrast);
    /** @type {Record<string, string | null | undefined>} */
    const targets = {
      layer: report && catalogue.href(report),
      features: report && catalogue.href(report, { view: "features" }),
      contrast: compared && catalogue.href(compared, { view: "contrast" }),
      prompt: report && promptOf(wanted),
      overview: "#",
    };
    for (const tab of document.querySelectorAll("[data-tab]")) {
      const name = tab.dataset.tab ?? "";
      tab.href = targets[name] || "#";
      tab.hidden = !targets[name];
      const here = name === (wanted.view === "feature" ? "features" : wanted.view);
      if (here) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
  }

  // The prompt, with the layer and texts that are looked at.
  /** @param {Route} wanted */
  function promptOf({ report, source }) {
    if (report) return catalogue.href(report, { view: "prompt" });
    return `#${new URLSearchParams({ view: "prompt", ...(source ? { source } : {}) })}`;
  }

  function goSearch() {
    const report = route().report ?? catalogue.all()[0];
    if (!report) return false;
    searchNext = true;
    location.hash = catalogue.href(report, { view: "features" });
    return true;
  }

  function fillMenu() {
    const menu = document.getElementById("layer-menu");
    const options = catalogue.layers().map(({ layer }) => el("option", { value: layer }, `Layer ${layer}`));
    menu.append(el("option", { value: "" }, "All layers"), ...options);
    menu.addEventListener("change", () => {
      const { view, source } = route();
      const layer = catalogue.layerOf(menu.value);
      const target = layer === null ? null : catalogue.find(layer, source) ?? catalogue.find(layer);
      location.hash = target ? catalogue.href(target, ["features", "feature"].includes(view) ? { view: "features" } : {}) : "#";
    });
    document.getElementById("source-menu").addEventListener("change", changeSource);
  }

  // The switch between a layer's reports; on the page of all layers it leaves one source over.
  /** @param {Route} wanted */
  function markSources({ report, layer, source }) {
    const menu = document.getElementById("source-menu");
    const reports = layer === null ? catalogue.sources().flatMap((slug) => catalogue.all().find((one) => catalogue.sourceOf(one) === slug) ?? []) : catalogue.ofLayer(layer);
    const options = reports.map((one) => el("option", { value: catalogue.sourceOf(one) }, ghosttrack.format.visible(catalogue.textsName(one))));
    menu.replaceChildren(...(layer === null ? [el("option", { value: "" }, "All texts")] : []), ...options);
    menu.value = report ? catalogue.sourceOf(report) : (source ?? "");
    menu.hidden = reports.length < 2;
  }

  // Of the menus, which offer reports that exist.
  /** @param {Layer | null} layer @param {string | null} source */
  function reportOf(layer, source) {
    return /** @type {Report} */ (catalogue.find(/** @type {Layer} */ (layer), source));
  }

  /** @param {Event} event */
  function changeSource(event) {
    const { layer, feature, view, parameters } = route();
    const source = /** @type {HTMLSelectElement} */ (event.target).value;
    if (layer === null) location.hash = `#${new URLSearchParams({ ...(view === "prompt" ? { view } : {}), ...(source ? { source } : {}) })}`;
    else if (feature !== null) location.hash = catalogue.href(reportOf(layer, source), { feature });
    else {
      const kept = [...parameters].filter(([name]) => !["layer", "source", "view"].includes(name));
      const target = reportOf(layer, source);
      const same = view === "contrast" && !target.contrast ? {} : view === "layer" ? {} : { view };
      location.hash = catalogue.href(target, { ...same, ...Object.fromEntries(kept) });
    }
  }

  function start() {
    ghosttrack.theme.start();
    ghosttrack.tip.start();
    fillMenu();
    document.getElementById("theme-toggle").addEventListener("click", ghosttrack.theme.toggle);
    document.getElementById("help-open").addEventListener("click", () => document.getElementById("help").showModal());
    ghosttrack.keys.start(() => page, goSearch);
    // A list is built anew on the way back, so the place in it is kept here.
    history.scrollRestoration = "manual";
    window.addEventListener("scroll", () => scrolled.set(document.documentElement.dataset.shown, window.scrollY), { passive: true });
    window.addEventListener("hashchange", show);
    show();
  }

  start();
})();
