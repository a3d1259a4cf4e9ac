"use strict";
// Elements from descriptions. Text only ever becomes a text node: nothing here parses markup.

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, properties, children) {
    for (const [name, value] of Object.entries(properties ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") setStyles(node, value);
      else if (name === "tip") setTip(node, value);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }

  function setStyles(node, styles) {
    for (const [name, value] of Object.entries(styles)) node.style.setProperty(name, String(value));
  }

  // What the tip says of a node, which the keyboard must reach too.
  function setTip(node, text) {
    node.dataset.tip = text;
    if (node.tabIndex < 0) node.tabIndex = 0;
  }

  function el(tag, properties, ...children) {
    return fill(document.createElement(tag), properties, children);
  }

  function svg(tag, properties, ...children) {
    return fill(document.createElementNS(SVG, tag), properties, children);
  }

  function icon(name, label) {
    const use = svg("use", { href: `#icon-${name}` });
    const named = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
    return svg("svg", { class: "icon", viewBox: "0 0 20 20", ...named }, use);
  }

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

  function debounce(action, milliseconds) {
    let timer = 0;
    return (...values) => {
      clearTimeout(timer);
      timer = setTimeout(() => action(...values), milliseconds);
    };
  }

  ghosttrack.dom = { el, svg, icon, onResize, debounce };
})();
