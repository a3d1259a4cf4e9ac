"use strict";
// Elements from descriptions. Text only ever becomes a text node: nothing here parses markup.

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /**
   * @template {HTMLElement | SVGElement} Filled
   * @param {Filled} node
   * @param {Properties} properties
   * @param {Child[]} children
   * @returns {Filled}
   */
  function fill(node, properties, children) {
    for (const [name, value] of Object.entries(properties ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
      else if (name === "style") setStyles(node, /** @type {Record<string, unknown>} */ (value));
      else if (name === "tip") setTip(node, String(value));
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    const shown = children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);
    node.append(.../** @type {(string | Node)[]} */ (shown));
    return node;
  }

  /** @param {ElementCSSInlineStyle} node @param {Record<string, unknown>} styles */
  function setStyles(node, styles) {
    for (const [name, value] of Object.entries(styles)) node.style.setProperty(name, String(value));
  }

  // What the tip says of a node, which the keyboard must reach too.
  /** @param {HTMLElement | SVGElement} node @param {string} text */
  function setTip(node, text) {
    node.dataset.tip = text;
    if (node.tabIndex < 0) node.tabIndex = 0;
  }

  /** @type {Ghosttrack["dom"]["el"]} */
  function el(tag, properties, ...children) {
    return fill(document.createElement(tag), properties, children);
  }

  /** @type {Ghosttrack["dom"]["svg"]} */
  function svg(tag, properties, ...children) {
    return fill(document.createElementNS(SVG, tag), properties, children);
  }

  /** @type {Ghosttrack["dom"]["icon"]} */
  function icon(name, label) {
    const use = svg("use", { href: `#icon-${name}` });
    const named = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
    return svg("svg", { class: "icon", viewBox: "0 0 20 20", ...named }, use);
  }

  /** @type {Ghosttrack["dom"]["onResize"]} */
  function onResize(node, draw) {
    let width = 0;
    const observer = new ResizeObserver((entries) => {
      const next = Math.floor(entries[0].contentRect.width);
      if (!next || next === width) return;
      width = next;
      // Drawing inside the observer's own turn would report a resize loop as an error.
      requestAnimationFrame(() => draw(width));
    });
    observer.observe(node);
  }

  /** @type {Ghosttrack["dom"]["debounce"]} */
  function debounce(action, milliseconds) {
    let timer = 0;
    return (...values) => {
      clearTimeout(timer);
      timer = setTimeout(() => action(...values), milliseconds);
    };
  }

  ghosttrack.dom = { el, svg, icon, onResize, debounce };
})();
