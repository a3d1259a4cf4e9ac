"use strict";
// Light, dark, or as the system says; remembered where the page may remember things.

(() => {
  const KEY = "ghosttrack-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function remembered() {
    try {
      const theme = window.localStorage.getItem(KEY);
      return theme === "light" || theme === "dark" ? theme : null;
    } catch {
      return null;
    }
  }

  /** @param {string} theme */
  function remember(theme) {
    try {
      window.localStorage.setItem(KEY, theme);
    } catch {
      // Some browsers refuse storage on file://; the choice then lasts as long as the page.
    }
  }

  /** @type {Ghosttrack["theme"]["current"]} */
  function current() {
    return document.documentElement.dataset.theme;
  }

  /** @param {"light" | "dark"} theme */
  function set(theme) {
    document.documentElement.dataset.theme = theme;
    ghosttrack.colour.apply(theme);
    const toggle = document.getElementById("theme-toggle");
    toggle?.setAttribute("aria-label", theme === "dark" ? "Use the light theme" : "Use the dark theme");
  }

  /** @type {Ghosttrack["theme"]["toggle"]} */
  function toggle() {
    const theme = current() === "dark" ? "light" : "dark";
    remember(theme);
    set(theme);
  }

  /** @type {Ghosttrack["theme"]["start"]} */
  function start() {
    set(remembered() ?? (system.matches ? "dark" : "light"));
    // Paper is white: the ramp is made for it while it prints.
    window.addEventListener("beforeprint", () => ghosttrack.colour.apply("light"));
    window.addEventListener("afterprint", () => ghosttrack.colour.apply(current()));
    system.addEventListener("change", () => {
      if (!remembered()) set(system.matches ? "dark" : "light");
    });
  }

  ghosttrack.theme = { start, toggle, current };
})();
