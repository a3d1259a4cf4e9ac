"use strict";
// What stands behind a mark, a flag, a name or a token, for pointer, touch and keyboard alike: one box
// for the whole page, which is a status, so that it is also read out.

(() => {
  const { el } = ghosttrack.dom;
  const { token, significant } = ghosttrack.format;
  const TIPPED = "[data-tip], .t";
  const box = el("div", { class: "tip", role: "status", hidden: true });

  /** @param {TokenFacts} facts */
  function ofToken({ text, id, activation }) {
    return [
      el("bdi", { class: "tip-token" }, text === "" ? "rest of the character before" : token(text)),
      el("span", {}, activation > 0 ? `activation ${significant(activation, 4)}` : "not active"),
      id === null ? "" : el("span", { class: "tip-id" }, `id ${id}`),
    ];
  }

  /** @type {Ghosttrack["tip"]["show"]} */
  function show(node) {
    if (!node) return hide();
    const said = node.tokenFacts ? ofToken(node.tokenFacts) : [el("span", {}, node.getAttribute("data-tip"))];
    return showAt(said, node.getClientRects()[0] ?? node.getBoundingClientRect());
  }

  /** @type {Ghosttrack["tip"]["showAt"]} */
  function showAt(said, { left, top, bottom }) {
    box.hidden = false;
    box.replaceChildren(...said);
    const furthest = document.documentElement.clientWidth - box.offsetWidth - 8;
    const above = top - box.offsetHeight - 6;
    box.style.setProperty("left", `${Math.max(8, Math.min(left, furthest))}px`);
    box.style.setProperty("top", `${above > 60 ? above : bottom + 6}px`);
  }

  /** @type {Ghosttrack["tip"]["hide"]} */
  function hide() {
    box.hidden = true;
  }

  // Tokens of an example are read one by one: a stop for each would be hundreds.
  /** @param {KeyboardEvent} event */
  function walk(event) {
    const text = /** @type {Element} */ (event.target).closest?.(".tokens[tabindex]");
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!text || !step) return;
    event.preventDefault();
    const all = [...text.querySelectorAll(".t")];
    const from = all.findIndex((one) => one.matches(".reading"));
    const start = from < 0 ? all.findIndex((one) => one.matches(".peak")) - step : from;
    read(text, all[Math.min(all.length - 1, Math.max(0, start + step))]);
  }

  /** @param {Element} text @param {Element | null} chosen */
  function read(text, chosen) {
    text.querySelector(".reading")?.classList.remove("reading");
    chosen?.classList.add("reading");
    show(chosen);
  }

  /** @type {Ghosttrack["tip"]["start"]} */
  function start() {
    document.body.append(box);
    document.addEventListener("pointerover", ({ target }) => {
      const over = /** @type {Element} */ (target);
      if (!over.closest?.(".chart")) show(over.closest?.(TIPPED));
    });
    document.addEventListener("focusin", ({ target }) => {
      const focused = /** @type {Element} */ (target);
      if (focused.matches(":focus-visible")) show(focused.closest(TIPPED));
    });
    document.addEventListener("focusout", ({ target }) => {
      const left = /** @type {Element} */ (target);
      hide();
      if (left.matches(".tokens[tabindex]")) read(left, null);
    });
    document.addEventListener("keydown", walk);
    window.addEventListener("scroll", hide, { passive: true });
    window.addEventListener("hashchange", hide);
  }

  ghosttrack.tip = { start, show, showAt, hide };
})();
