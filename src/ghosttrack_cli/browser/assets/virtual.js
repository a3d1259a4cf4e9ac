"use strict";
// A long list that only ever holds the rows in view: the page scrolls, the rows follow.

(() => {
  const { el } = ghosttrack.dom;
  const { count } = ghosttrack.format;
  const SPARE = 12;
  const PRINTED = 200;

  class VirtualRows {
    // `build(item, index)` makes one row; `heightOf()` is the height of every row in pixels.
    /** @param {(item: any, index: number) => HTMLElement} build @param {() => number} heightOf */
    constructor(build, heightOf) {
      this.build = build;
      this.heightOf = heightOf;
      /** @type {any[]} */
      this.items = [];
      this.height = 0;
      this.rows = new Map();
      this.node = el("div", { class: "virtual", role: "rowgroup" });
      this.onScroll = () => this.schedule();
      window.addEventListener("scroll", this.onScroll, { passive: true });
      window.addEventListener("resize", this.onScroll, { passive: true });
      this.onPrint = () => this.showAll(PRINTED);
      this.onPrinted = () => this.show(this.items);
      window.addEventListener("beforeprint", this.onPrint);
      window.addEventListener("afterprint", this.onPrinted);
      this.cut = el("p", { class: "note print-only" });
    }

    destroy() {
      window.removeEventListener("scroll", this.onScroll);
      window.removeEventListener("resize", this.onScroll);
      window.removeEventListener("beforeprint", this.onPrint);
      window.removeEventListener("afterprint", this.onPrinted);
    }

    /** @param {any[]} items */
    show(items) {
      this.items = items;
      this.clear();
      this.draw();
    }

    // On paper nothing scrolls: the first rows one below the other, and how many there are.
    /** @param {number} most */
    showAll(most) {
      this.clear();
      this.items.slice(0, most).forEach((_, index) => this.add(index));
      const left = this.items.length - most;
      this.cut.textContent = left > 0 ? `The first ${count(most)} of ${count(this.items.length)} rows; the page in a browser holds all.` : "";
      this.node.after(this.cut);
    }

    clear() {
      for (const row of this.rows.values()) row.remove();
      this.rows.clear();
    }

    schedule() {
      if (this.pending) return;
      this.pending = true;
      requestAnimationFrame(() => {
        this.pending = false;
        if (this.node.isConnected) this.draw();
      });
    }

    draw() {
      const height = this.heightOf();
      if (height !== this.height) this.clear();
      this.height = height;
      this.node.style.setProperty("height", `${this.items.length * height}px`);
      const above = -this.node.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(above / height) - SPARE);
      const last = Math.min(this.items.length, Math.ceil((above + window.innerHeight) / height) + SPARE);
      for (const [index, row] of this.rows) {
        if (index >= first && index < last) continue;
        row.remove();
        this.rows.delete(index);
      }
      for (let index = first; index < last; index += 1) if (!this.rows.has(index)) this.add(index);
    }

    /** @param {number} index */
    add(index) {
      const row = this.build(this.items[index], index);
      row.style.setProperty("transform", `translateY(${index * this.height}px)`);
      this.rows.set(index, row);
      this.node.append(row);
    }

    /** @param {number} index @param {number} margin */
    reveal(index, margin) {
      const top = this.node.getBoundingClientRect().top + index * this.height;
      if (top < margin) window.scrollBy(0, top - margin);
      else if (top + this.height > window.innerHeight) window.scrollBy(0, top + this.height - window.innerHeight + 8);
      this.draw();
    }
  }

  ghosttrack.VirtualRows = VirtualRows;
})();
