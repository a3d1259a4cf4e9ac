"use strict";
// The address decides what is shown: #layer=6&feature=123.

(() => {
  const { el } = ghosttrack.dom;
  const { empty } = ghosttrack.parts;
  const { catalogue, views } = ghosttrack;

  let page = null;
  let turn = 0;
  let searchNext = false;
  const scrolled = new Map();

  views.missing = (title, text) => ({ title, node: el("div", { class: "page" }, empty(title, text)), key: up });

  function up(name) {
    if (name !== "up") return false;
    location.hash = "#";
    return true;
  }

  function route() {
    const parameters = new URLSearchParams(location.hash.slice(1));
    const number = (name) => (/^\d{1,9}$/.test(parameters.get(name) ?? "") ? Number(parameters.get(name)) : null);
    const [layer, feature, view] = [number("layer"), number("feature"), parameters.get("view")];
    return { layer, feature, parameters, view: viewFor(layer, feature, view) };
  }

  function viewFor(layer, feature, view) {
    if (view === "prompt") return "prompt";
    if (layer === null) return "overview";
    if (feature !== null) return "feature";
    return view === "features" || view === "contrast" ? view : "layer";
  }

  async function build(wanted) {
    if (wanted.layer !== null && !catalogue.layer(wanted.layer)) {
      const known = catalogue.all().map((report) => report.layer).join(", ");
      return views.missing(`Layer ${wanted.layer} has not been interpreted.`, `Interpreted layers: ${known || "none"}.`);
    }
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
    document.getElementById("main").replaceChildren(page.node);
    document.title = `${page.title} · GhostTrack`;
    mark(wanted);
    page.shown?.();
    window.scrollTo(0, wanted.view === "features" ? (scrolled.get(location.hash) ?? 0) : 0);
    if (searchNext) page.key?.("search");
    searchNext = false;
    document.documentElement.dataset.shown = location.hash || "#";
  }

  // The layer menu and the tabs above every page.
  function mark(wanted) {
    const layer = wanted.layer ?? catalogue.all()[0]?.layer ?? null;
    const menu = document.getElementById("layer-menu");
    menu.value = wanted.layer === null ? "" : String(wanted.layer);
    const targets = {
      layer: `#layer=${layer}`,
      features: `#layer=${layer}&view=features`,
      contrast: `#layer=${layer}&view=contrast`,
      prompt: "#view=prompt",
      overview: "#",
    };
    for (const tab of document.querySelectorAll("[data-tab]")) {
      const name = tab.dataset.tab;
      tab.href = targets[name];
      tab.hidden = !available(name, layer);
      const here = name === (wanted.view === "feature" ? "features" : wanted.view);
      if (here) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
  }

  function available(name, layer) {
    if (name === "overview") return true;
    if (name === "prompt") return ghosttrack.data.get("catalogue").prompt;
    if (layer === null) return false;
    return name !== "contrast" || Boolean(catalogue.layer(layer)?.contrast);
  }

  function goSearch() {
    const layer = route().layer ?? catalogue.all()[0]?.layer;
    if (layer === undefined) return false;
    searchNext = true;
    location.hash = `#layer=${layer}&view=features`;
    return true;
  }

  function fillMenu() {
    const menu = document.getElementById("layer-menu");
    const options = catalogue.all().map(({ layer }) => el("option", { value: layer }, `Layer ${layer}`));
    menu.append(el("option", { value: "" }, "All layers"), ...options);
    menu.addEventListener("change", () => {
      const { view } = route();
      const kept = view === "features" || (view === "feature" && menu.value) ? "&view=features" : "";
      location.hash = menu.value === "" ? "#" : `#layer=${menu.value}${kept}`;
    });
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
