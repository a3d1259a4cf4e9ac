"use strict";
// Everything about one feature.

(() => {
  const { el, icon } = ghosttrack.dom;
  const { number, count, percent, percentTick, significant, chip, visible } = ghosttrack.format;
  const { card, fact, table, details, meter, flag, featureLink, segmented, empty, crumbs, EFFECT } = ghosttrack.parts;
  const { catalogue, columns, query, tokens } = ghosttrack;

  // Kept while walking from feature to feature.
  const reading = { lists: "top" };

  /** @param {Shard} shard @param {number} index */
  function unpack(shard, index) {
    const packed = shard.features[index];
    const examples = packed.examples.map((one) => {
      const acts = new Float64Array(one.tokens.length);
      one.at.forEach((place, order) => (acts[place] = one.acts[order]));
      return {
        t: one.tokens.map((entry) => shard.texts[entry]),
        i: one.tokens.map((entry) => shard.ids[entry]),
        a: acts,
        peak: one.peak,
        act: one.act,
        doc: one.document,
        pos: one.position,
        answer: one.answer,
      };
    });
    const pick = (/** @type {number[]} */ indices) => indices.map((place) => examples[place]);
    return {
      ...packed,
      top: pick(packed.top),
      uniform: pick(packed.uniform),
      weighted: pick(packed.weighted),
      bands: packed.bands.map((band) => ({ ...band, examples: pick(band.examples) })),
    };
  }

  /** @param {Report} source @param {number} feature @param {Columns} all */
  async function fetchFeature(source, feature, all) {
    const place = all.shards.findLastIndex((first) => first <= feature);
    const shard = await catalogue.file(source, `features-${String(place).padStart(4, "0")}`);
    return unpack(shard, feature - shard.first);
  }

  /** @param {Report} source @param {Feature} report @param {Walk} walk */
  function head(source, report, walk) {
    const step = (/** @type {number | null} */ target, /** @type {string} */ name, /** @type {string} */ text) =>
      el(
        "a",
        { class: "button step", href: target === null ? null : catalogue.href(source, { feature: target }), "aria-disabled": target === null ? "true" : null, "aria-label": text, tip: target === null ? null : text },
        icon(name),
      );
    return el(
      "div",
      { class: "page-head feature-head" },
      el("div", {}, el("h1", {}, el("span", { class: "h1-kind" }, "Feature "), `#${report.feature}`), el("span", { class: "flags" }, report.flags.map((name) => flag(name, true)))),
      el(
        "nav",
        { class: "walk", "aria-label": "Previous and next feature" },
        el("span", { class: "walk-place" }, walk.place < 0 ? "not in the list" : `${count(walk.place + 1)} of ${count(walk.rows.length)}`),
        step(walk.previous, "left", "Previous feature (k)"),
        step(walk.next, "right", "Next feature (j)"),
      ),
    );
  }

  /** @param {Feature} report */
  function headline(report) {
    const behind = `N\u00a0=\u00a0${count(report.rows)} rows`;
    const bound = report.firings ? `${percent(report.rate_low)} to ${percent(report.rate_high)} with 95\u00a0%` : `below ${percent(report.rate_high)} with 95\u00a0%`;
    return el(
      "dl",
      { class: "facts" },
      fact("Rate", number(report.rate, "percent"), `${bound}; ${behind}`, "share of counted rows on which it fires"),
      fact("Firings", number(report.firings, "count"), behind),
      fact("Windows", number(report.windows, "count"), `of ${count(report.windows_seen)}, ${percent(report.windows_seen ? report.windows / report.windows_seen : null, 2)}`, "windows with at least one firing"),
      fact("Strongest", number(report.max_act), `over ${count(report.firings)} firings`),
      fact("Mean", number(report.mean_act), ["± ", number(report.std_act), ` sd, over ${count(report.firings)} firings`]),
      fact("Encoder · decoder", number(report.encoder_decoder_cosine), "cosine of the two directions"),
    );
  }

  /** @param {Feature} report */
  function examplesCard(report) {
    /** @type {Record<string, [name: string, note: string, examples: Shown[]]>} */
    const lists = {
      top: ["Strongest", "The strongest firing of each window, strongest first.", report.top],
      bands: ["Bands", "Bands from strong to weak: each holds equally many firings.", report.bands.flatMap((band) => band.examples)],
      uniform: ["Uniform", "Firings drawn at random, each equally likely.", report.uniform],
      weighted: ["Weighted", "Firings drawn at random in proportion to their activation.", report.weighted],
    };
    const body = el("div", { class: "example-lists" });
    const holder = el("div", { class: "segments" });
    const show = (/** @type {string} */ key) => {
      reading.lists = key;
      const [, note, chosen] = lists[key];
      const list = key === "bands" ? bands(report) : tokens.list(chosen, report.max_act, lists[key][0]);
      body.replaceChildren(el("p", { class: "note" }, note), list);
      holder.replaceChildren(choices());
    };
    const choices = () => segmented("Which examples", Object.entries(lists).map(([key, [text, , all]]) => /** @type {const} */ ([key, text, all.length])), reading.lists, (key) => {
      show(key);
      holder.querySelector(`[data-choice="${key}"]`).focus();
    });
    show(reading.lists);
    return card("Examples", { class: "examples-card", actions: tokens.legend(report.max_act) }, holder, body);
  }

  /** @param {Feature} report */
  function bands(report) {
    return el(
      "div",
      {},
      report.bands.map((band, index) =>
        el(
          "section",
          { class: "band", "aria-label": `Band ${index + 1}` },
          el("h3", {}, `${significant(band.low)} to ${significant(band.high)}`, el("span", { class: "soft" }, ` band ${index + 1} of ${report.bands.length}`)),
          tokens.list(band.examples, report.max_act, `Examples of band ${index + 1}`),
        ),
      ),
    );
  }

  /** @param {Feature} report */
  function strengths(report) {
    const chart = ghosttrack.histogram(report.histogram, {
      label: "Firings by activation",
      unit: "firings",
      title: "activation",
      logCounts: true,
    });
    return card("Activations", { note: `${count(report.firings)} firings; both axes are logarithmic.` }, chart);
  }

  /** @param {Feature} report */
  function firingTokens(report) {
    if (!report.tokens.length) return null;
    const rows = report.tokens.map((one) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, chip(one.text, { "data-id": one.id, "data-tip": `id ${one.id}` })),
        el("td", { class: "number" }, number(one.count, "count")),
        el("td", { class: "number" }, number(one.p_token_given_fires, "percent", 2), meter(one.p_token_given_fires)),
        el("td", { class: "number" }, number(one.p_fires_given_token, "percent", 2), el("span", { class: "soft" }, ` of ${count(one.occurrences)}`), meter(one.p_fires_given_token)),
        el("td", { class: "number" }, number(one.lift, "significant", 2), "×"),
      ),
    );
    const heads = [
      ["Token"],
      ["Firings", "number", "firings on this token, at least"],
      ["Of firings", "number", "P(token | fires)"],
      ["Of token", "number", "P(fires | token): share of the rows that hold this token"],
      ["Lift", "number", "P(token | fires) / P(token)"],
    ];
    const note = report.tokens_error ? `Counts may be too small by up to ${count(report.tokens_error)} of ${count(report.firings)} firings.` : `Over ${count(report.firings)} firings.`;
    return card("Fires on", { note }, table("Tokens on which the feature fires", heads, rows, { class: "tight" }));
  }

  /** @param {Feature} report */
  function logits(report) {
    if (!report.promoted.length && !report.suppressed.length) {
      return card("Logit lens", { note: "Not known for this model: the notes of the layer say why." });
    }
    const most = Math.max(...[...report.promoted, ...report.suppressed].map((one) => Math.abs(one.logit)));
    const side = (/** @type {string} */ title, /** @type {Logit[]} */ entries, /** @type {string} */ name) =>
      el(
        "div",
        { class: "lens-side" },
        el("h3", {}, title),
        el(
          "ol",
          { class: "lens" },
          entries.map((one) =>
            el("li", {}, chip(one.text, { "data-id": one.id, "data-tip": `id ${one.id}` }), el("span", { class: "lens-value" }, number(one.logit, "signed"), meter(Math.abs(one.logit) / most, { class: `meter ${name}` }))),
          ),
        ),
      );
    return card(
      "Logit lens",
      { note: "What the decoder direction does to the next token's logits, final norm folded in." },
      el("div", { class: "lens-sides" }, side("Promotes", report.promoted, "up"), side("Suppresses", report.suppressed, "down")),
    );
  }

  /** @param {Report} source @param {Feature} report @param {Columns} all */
  function neighbours(source, report, all) {
    if (!report.neighbours.length) return null;
    const rows = report.neighbours.map((one) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, featureLink(source, one.feature)),
        el("td", { class: "neighbour-tokens" }, (all.fires[one.feature] ?? []).slice(0, 3).map((text) => chip(all.strings[text]))),
        el("td", { class: "number" }, number(one.cosine), meter(Math.abs(one.cosine))),
        el("td", { class: "number" }, number(one.cofires, "count")),
      ),
    );
    const heads = [["Feature"], ["Fires on"], ["Cosine", "number", "of the decoder directions"], ["Together", "number", "rows on which both fire"]];
    return card("Neighbours", { note: `Nearest decoder directions; co-firing over ${count(report.rows)} rows.` }, table("Nearest features", heads, rows, { class: "tight" }));
  }

  /** @param {Feature} report */
  function places({ positions }) {
    if (!positions.counts.length) return null;
    const bins = positions.rates.map((rate, index) => ({
      name: span(positions.edges[index], positions.edges[index + 1]),
      value: rate,
      said: `${count(positions.counts[index])} firings in ${count(positions.rows[index])} rows`,
    }));
    const chart = ghosttrack.lines.bars(bins, { label: "Firing rate by position in the window", text: percent, tick: percentTick, title: "position in the window" });
    const rows = bins.map((bin, index) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, bin.name),
        el("td", { class: "number" }, number(bin.value, "percent")),
        el("td", { class: "number" }, number(positions.counts[index], "count")),
        el("td", { class: "number" }, number(positions.rows[index], "count")),
      ),
    );
    const heads = [["Positions"], ["Rate", "number"], ["Firings", "number"], ["Rows", "number"]];
    const figures = details("Figures", table("Firing rate by position", heads, rows, { class: "tight" }));
    return card("Positions", { note: "Share of the rows at these positions on which it fires." }, chart, figures);
  }

  // Bins end before the next one begins: 4 to 7, then 8 to 15.
  /** @param {number} low @param {number} next */
  function span(low, next) {
    return next - low > 1 ? `${count(low)}–${count(next - 1)}` : count(low);
  }

  /** @param {Report} source @param {Feature} report */
  function contrastCard(source, report) {
    const { contrast: one } = report;
    const { contrast } = source;
    if (!one || !contrast) return null;
    return card(
      "True against false",
      { note: `Paired over ${count(contrast.questions)} questions.`, actions: el("a", { href: catalogue.href(source, { view: "contrast" }) }, "All features") },
      el(
        "dl",
        { class: "facts small" },
        fact("Factual", number(one.rate_factual, "percent"), `N = ${count(contrast.rows_factual)} rows`),
        fact("Hallucinated", number(one.rate_hallucinated, "percent"), `N = ${count(contrast.rows_hallucinated)} rows`),
        fact("Effect", number(one.effect, "signed"), `${count(one.more_factual)} questions against ${count(one.more_hallucinated)}`, EFFECT),
        fact("p, corrected", number(one.p_corrected, "significant", 2), `p = ${significant(one.p_value, 2)}`),
      ),
      one.pairs?.length ? [el("p", { class: "note" }, "Questions whose answers differ most:"), ghosttrack.pairs.list(one.pairs, report.max_act)] : null,
    );
  }

  /** @param {Report} source @param {number} feature @param {Columns} all */
  function walkOf(source, feature, all) {
    const { rows } = query.remembered(source, all);
    const place = rows.indexOf(feature);
    const at = (/** @type {number} */ index) => rows[index] ?? null;
    if (place >= 0) return { rows, place, previous: at(place - 1), next: at(place + 1) };
    return { rows, place, previous: at(rows.length - 1), next: at(0) };
  }

  /** @param {Feature} report */
  function summary(report) {
    if (report.firings) return null;
    return empty(
      `Dead on these texts: no firing in ${count(report.rows)} rows.`,
      `Its rate is below ${percent(report.rate_high)} with 95\u00a0% confidence. What its weights say is below.`,
      "empty notice",
    );
  }

  // The same feature over other texts: the same SAE gives the same features.
  /** @param {Report} source @param {number} feature */
  async function elsewhere(source, feature) {
    const others = catalogue.ofLayer(source.layer).filter((one) => one !== source && one.sae.weights_sha256 === source.sae.weights_sha256);
    if (!others.length) return null;
    const rows = await Promise.all(
      [source, ...others].map(async (report) => {
        const all = await columns.load(report);
        const name = visible(catalogue.textsName(report));
        return el(
          "tr",
          { "data-source": catalogue.sourceOf(report) },
          el("th", { scope: "row" }, report === source ? el("span", { "aria-current": "true" }, `${name} (this page)`) : el("a", { href: catalogue.href(report, { feature }) }, name)),
          el("td", { class: "number" }, number(all.rate[feature], "percent")),
          el("td", { class: "number" }, number(all.firings[feature], "count"), el("span", { class: "soft" }, ` of ${count(report.counts.rows)} rows`)),
          el("td", { class: "number" }, number(all.max[feature])),
        );
      }),
    );
    const heads = [["Texts"], ["Rate", "number"], ["Firings", "number"], ["Strongest", "number"]];
    return card("Also in", { note: "The same feature in this layer's other reports." }, table("The same feature over other texts", heads, rows, { class: "tight" }));
  }

  /** @type {Ghosttrack["views"]["feature"]} */
  async function feature({ report: source, feature: wanted }) {
    const { layer } = source;
    const all = await columns.load(source);
    if (!(wanted < all.length)) return ghosttrack.views.missing(`Layer ${layer} has no feature #${wanted}.`, `Its features are #0 to #${all.length - 1}.`);
    const report = await fetchFeature(source, wanted, all);
    const walk = walkOf(source, wanted, all);
    const go = (/** @type {number | null} */ target) => {
      if (target !== null) location.hash = catalogue.href(source, { feature: target });
    };
    const list = query.href(source, query.remembered(source, all).wanted);
    return {
      title: `#${wanted} · layer ${layer}`,
      node: el(
        "div",
        { class: "page" },
        crumbs(["All layers", "#"], [`Layer ${layer}`, catalogue.href(source)], ["Features", list], [`#${wanted}`]),
        head(source, report, walk),
        ghosttrack.about([source]),
        headline(report),
        summary(report),
        await elsewhere(source, wanted),
        el(
          "div",
          { class: "feature-columns" },
          el("div", { class: "feature-main" }, report.examples.length ? examplesCard(report) : null, contrastCard(source, report), el("div", { class: "weights" }, logits(report), neighbours(source, report, all))),
          el("div", { class: "feature-side" }, firingTokens(report), report.firings ? strengths(report) : null, places(report)),
        ),
      ),
      key: (name) => {
        if (name === "next") go(walk.next);
        else if (name === "previous") go(walk.previous);
        else if (name === "up") location.hash = list;
        else return false;
        return true;
      },
    };
  }

  ghosttrack.views = { ...ghosttrack.views, feature };
})();
