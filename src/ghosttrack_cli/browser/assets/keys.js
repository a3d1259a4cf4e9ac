"use strict";
// Keys that work on every page; a page says what next, previous, search and up mean to it.

(() => {
  /** @type {Record<string, string>} */
  const NAMES = {
    j: "next",
    ArrowRight: "next",
    k: "previous",
    ArrowLeft: "previous",
    "/": "search",
    Escape: "up",
  };

  /** @type {Ghosttrack["keys"]["start"]} */
  function start(currentPage, goSearch) {
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector("dialog[open]")) return;
      if (/** @type {Element} */ (event.target).closest("input, select, textarea")) return;
      if (act(event.key, currentPage(), goSearch)) event.preventDefault();
    });
  }

  /** @param {string} key @param {Page | null} page @param {() => boolean} goSearch */
  function act(key, page, goSearch) {
    if (key === "?") {
      document.getElementById("help").showModal();
      return true;
    }
    if (key === "e") {
      ghosttrack.format.setExact(!ghosttrack.format.exact.on);
      return true;
    }
    if (key === "t") {
      ghosttrack.theme.toggle();
      return true;
    }
    const name = NAMES[key];
    if (!name) return false;
    if (page?.key?.(name)) return true;
    return name === "search" ? goSearch() : false;
  }

  ghosttrack.keys = { start };
})();
