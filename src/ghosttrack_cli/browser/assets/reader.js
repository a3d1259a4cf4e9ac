"use strict";
// Reading a chart: the mark under the pointer, or the next one by arrow key, says what it holds.

(() => {
  const { el } = ghosttrack.dom;
  const { tip } = ghosttrack;
  /** @type {Record<string, number>} */
  const KEYS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

  /** @type {Reader | null} */
  let reading = null;
  document.addEventListener("pointerdown", ({ target }) => {
    if (reading && !reading.holder.contains(/** @type {Node} */ (target))) reading.show(-1);
  });

  // Marks are {x, y, lines(), pick(), cursor()}, from left to right; `near(x, y)` is the mark meant there.
  class Reader {
    /** @param {HTMLElement} holder */
    constructor(holder) {
      this.holder = holder;
      this.at = -1;
      /** @type {number | undefined} */
      this.touched = undefined;
      /** @type {Element} */
      this.drawing = holder;
      /** @type {Mark[]} */
      this.marks = [];
      /** @type {(x: number, y: number) => number} */
      this.near = () => -1;
      /** @type {Element | undefined} */
      this.cursor = undefined;
      const { dataset } = holder;
      holder.addEventListener("pointermove", (event) => this.show(this.under(event)));
      // A finger leaves when it is lifted: what it asked for stays until it touches something else.
      holder.addEventListener("pointerleave", ({ pointerType }) => pointerType !== "touch" && this.show(-1));
      holder.addEventListener("blur", () => this.show(-1));
      holder.addEventListener("keydown", (event) => this.key(event));
      holder.addEventListener("pointerdown", (event) => {
        const mark = this.under(event);
        dataset.seen = String(event.pointerType !== "touch" || mark === this.touched);
        this.touched = mark;
        this.show(mark);
      });
      // A finger reads first and opens with the second tap.
      holder.addEventListener("click", (event) => dataset.seen === "true" && this.marks[this.under(event)]?.pick?.());
    }

    /** @param {Required<Omit<Drawn, "cursor">> & Pick<Drawn, "cursor">} drawn */
    read({ drawing, marks, near, cursor }) {
      this.drawing = drawing;
      this.marks = marks;
      this.near = near;
      this.cursor = cursor;
      this.at = -1;
    }

    /** @param {MouseEvent} event */
    under(event) {
      const box = this.drawing.getBoundingClientRect();
      return this.near(event.clientX - box.left, event.clientY - box.top);
    }

    /** @param {number} index */
    show(index) {
      this.at = index;
      const mark = this.marks?.[index];
      this.cursor?.replaceChildren(...(mark?.cursor?.() ?? []));
      this.drawing?.classList.toggle("pickable", Boolean(mark?.pick));
      reading = mark ? this : null;
      if (!mark) return tip.hide();
      const box = this.drawing.getBoundingClientRect();
      const [left, top] = [box.left + mark.x, box.top + mark.y];
      return tip.showAt(mark.lines().map((line) => el("span", {}, line)), { left: left + 8, top, bottom: top + 12 });
    }

    /** @param {KeyboardEvent} event */
    key(event) {
      if (event.key in KEYS) {
        this.show(Math.min(this.marks.length - 1, Math.max(0, this.at + KEYS[event.key])));
        event.preventDefault();
        return;
      }
      const pick = event.key === "Enter" ? this.marks[this.at]?.pick : undefined;
      if (!pick) return;
      pick();
      event.preventDefault();
    }
  }

  /** @type {Ghosttrack["reader"]["along"]} */
  const along = (marks) => (x) => {
    let best = marks.length ? 0 : -1;
    marks.forEach((mark, index) => {
      if (Math.abs(mark.x - x) < Math.abs(marks[best].x - x)) best = index;
    });
    return best;
  };

  ghosttrack.reader = { Reader, along };
})();
