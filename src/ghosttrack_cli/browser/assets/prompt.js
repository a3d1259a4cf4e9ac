"use strict";
// Which features fire on one text: by feature, or by token.

(() => {
  const { el } = ghosttrack.dom;
  const { number, count, visible, token, chip, percent } = ghosttrack.format;
  const { card, crumbs, featureLink, segmented, empty } = ghosttrack.parts;
  const { catalogue, columns, tokens, colour } = ghosttrack;
  const MOST = 60;
  /** @type {[key: string, text: string][]} */
  const ORDERS = [["strength", "Strongest"], ["share", "Of its own strongest"], ["rarity", "Rarest"]];

  // As a shell reads it; a long text is left to the reader.
  /** @param {string} text */
  function command(text) {
    const said = text.length > 60 || /[\n\r]/.test(text) ? "your text" : visible(text);
    return `ghosttrack interpret prompt '${said.replaceAll("'", "'\\''")}'`;
  }

  // Over the texts that were chosen, where the layer has such a report; a prompt is shown for interpreted layers only.
  const reportOf = (/** @type {Layer} */ layer, /** @type {string | null} */ source) => /** @type {Report} */ (catalogue.find(layer, source) ?? catalogue.find(layer));

  class PromptPage {
    /** @param {Prompt} prompt @param {Map<Layer, Columns>} columnsOf @param {Layer | null} wanted @param {string | null} source */
    constructor(prompt, columnsOf, wanted, source) {
      this.prompt = prompt;
      this.columnsOf = columnsOf;
      /** @type {number | null} */
      this.chosenToken = null;
      /** @type {number | null} */
      this.shownFeature = null;
      this.order = "strength";
      this.wanted = wanted;
      this.source = source;
      const known = prompt.layers.find((one) => one.layer === wanted) ?? prompt.layers[0];
      this.layer = known.layer;
      this.title = "Prompt";
      this.text = el("p", { class: "tokens prompt-text", dir: "auto" });
      this.body = el("div", {});
      this.holder = el("div", {});
      this.node = el(
        "div",
        { class: "page" },
        crumbs(["All layers", "#"], ["Prompt"]),
        el("div", { class: "page-head" }, el("h1", {}, "Features on a prompt"), this.holder),
        ghosttrack.about(prompt.layers.map((one) => reportOf(one.layer, source))),
        card("Prompt", { class: "prompt-card", note: "Choose a token to list the features that fire on it; choose it again for all." }, this.text, el("p", { class: "note made-by" }, "Another text: ", el("code", {}, command(prompt.text)))),
        this.body,
      );
    }

    get current() {
      return this.prompt.layers.find((one) => one.layer === this.layer) ?? this.prompt.layers[0];
    }

    get columns() {
      return /** @type {Columns} */ (this.columnsOf.get(this.layer));
    }

    shown() {
      const { layers } = this.prompt;
      const pick = (/** @type {string} */ key) => {
        Object.assign(this, { layer: catalogue.layerOf(key), shownFeature: null });
        this.shown();
      };
      if (layers.length > 1) this.holder.replaceChildren(segmented("Layer", layers.map((one) => [String(one.layer), `Layer ${one.layer}`, one.features.length]), String(this.layer), pick));
      this.drawText();
      this.drawFeatures();
    }

    drawText() {
      const { texts, ids } = this.prompt;
      const totals = texts.map((_, index) => this.current.features.filter((one) => one.acts[index] > 0).length);
      const one = this.current.features.find((each) => each.feature === this.shownFeature);
      this.text.replaceChildren(
        ...texts.map((text, index) => {
          const said = `${token(text)}: ${count(totals[index])} features`;
          const button = el("span", { role: "button", tabindex: 0, class: "t prompt-token", "aria-pressed": String(index === this.chosenToken), "aria-label": said }, visible(text));
          if (one) colour.paint(button, one.acts[index], this.scale(one));
          button.tokenFacts = { text, id: ids[index], activation: one?.acts[index] ?? 0 };
          button.addEventListener("click", () => this.choose(index));
          button.addEventListener("keydown", (event) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            this.choose(index);
          });
          return button;
        }),
      );
    }

    /** @param {number} index */
    choose(index) {
      this.chosenToken = this.chosenToken === index ? null : index;
      this.drawText();
      this.drawFeatures();
      /** @type {HTMLElement} */ (this.text.children[index]).focus();
    }

    /** @param {PromptFeature} one */
    scale(one) {
      return Math.max(this.columns.max[one.feature] ?? 0, ...one.acts);
    }

    drawFeatures() {
      const { chosenToken, current } = this;
      const strength = (/** @type {PromptFeature} */ one) => (chosenToken === null ? Math.max(...one.acts) : one.acts[chosenToken]);
      const firing = current.features.filter((one) => strength(one) > 0).sort(this.comparison(strength));
      const where = chosenToken === null ? `the prompt's ${count(this.prompt.texts.length)} tokens` : token(this.prompt.texts[chosenToken]);
      const note = `${count(firing.length)} of ${count(this.columns.length)} features of layer ${this.layer} fire on ${where}${firing.length > MOST ? `; the first ${MOST} are shown` : ""}.`;
      const list = firing.length ? el("ol", { class: "prompt-features" }, firing.slice(0, MOST).map((one) => this.row(one, strength(one)))) : empty("No feature fires here.");
      this.body.replaceChildren(card("Features", { note: [note, ...this.caveats()].join(" "), actions: this.orders() }, list));
    }

    // Where what is shown is not what was asked for.
    caveats() {
      const { layer, wanted, source } = this;
      const report = reportOf(layer, source);
      const others = catalogue.all().length > catalogue.layers().length;
      return [
        wanted === null || this.prompt.layers.some((one) => one.layer === wanted) ? null : `The prompt was not run through layer ${wanted}.`,
        source !== null && catalogue.sourceOf(report) !== source ? `Layer ${layer} has no report over ${source}.` : null,
        others ? `Tokens and rates beside them are over ${visible(catalogue.textsName(report))}.` : null,
      ].filter(Boolean);
    }

    /** @param {(one: PromptFeature) => number} strength */
    comparison(strength) {
      const { max, rate } = this.columns;
      /** @type {Record<string, (one: PromptFeature) => number>} */
      const keys = {
        strength,
        share: (one) => strength(one) / (max[one.feature] || Infinity),
        rarity: (one) => -rate[one.feature],
      };
      const key = keys[this.order];
      return (/** @type {PromptFeature} */ a, /** @type {PromptFeature} */ b) => key(b) - key(a) || a.feature - b.feature;
    }

    orders() {
      return segmented("Which come first", ORDERS, this.order, (key) => {
        this.order = key;
        this.drawFeatures();
        this.body.querySelector(`[data-choice="${key}"]`).focus();
      });
    }

    /** @param {PromptFeature} one @param {number} strength */
    row(one, strength) {
      const all = this.columns;
      const { texts, ids } = this.prompt;
      const strongest = one.acts.indexOf(Math.max(...one.acts));
      const peak = this.chosenToken ?? strongest;
      const example = { t: texts, i: ids, a: one.acts, peak: strongest };
      const show = () => {
        this.shownFeature = one.feature;
        this.drawText();
      };
      return el(
        "li",
        { class: "prompt-feature", "data-feature": one.feature, onpointerenter: show, onfocusin: show },
        el(
          "div",
          { class: "prompt-feature-head" },
          featureLink(reportOf(this.layer, this.source), one.feature),
          el("span", {}, number(strength), " on ", chip(texts[peak]), el("span", { class: "soft" }, all.max[one.feature] ? `, ${percent(strength / all.max[one.feature], 2)} of its strongest` : "")),
          el("span", { class: "chips" }, (all.fires[one.feature] ?? []).slice(0, 4).map((text) => chip(all.strings[text]))),
        ),
        tokens.text(example, this.scale(one)),
      );
    }

    /** @param {string} name */
    key(name) {
      if (name !== "up") return false;
      location.hash = "#";
      return true;
    }
  }

  /** @type {Ghosttrack["views"]["prompt"]} */
  async function prompt({ layer, source }) {
    const { prompt: known, prompt_damaged: damaged } = ghosttrack.data.get("catalogue");
    if (!known) return ghosttrack.views.missing(damaged ? "The file of the last prompt is damaged." : "No prompt has been run yet.", el("span", {}, "This shows which features fire on a text of yours, token by token: ", el("code", {}, command("your text"))));
    const found = await ghosttrack.data.load("prompt");
    const loaded = await Promise.all(found.layers.map(async (/** @type {Prompt["layers"][number]} */ one) => /** @type {const} */ ([one.layer, await columns.load(reportOf(one.layer, source))])));
    return new PromptPage(found, new Map(loaded), layer, source);
  }

  ghosttrack.views = { ...ghosttrack.views, prompt };
})();
