"use strict";
// What a search asks and how well a feature answers it: the rule of `ghosttrack interpret list --search`.

(() => {
  const KEPT_CHARACTERS = 3e8;

  /** @type {Ghosttrack["search"]["caseless"]} */
  function caseless(text) {
    return text.normalize("NFKC").toUpperCase().toLowerCase().replaceAll("ς", "σ").replace(/[ \t\n\r\f\v]+/g, " ");
  }

  // Words, and phrases in quotes as they stand; an unclosed quote reaches to the end.
  /** @type {Ghosttrack["search"]["terms"]} */
  function terms(query) {
    /** @type {string[]} */
    const found = [];
    caseless(query)
      .split('"')
      .forEach((part, index) => found.push(...(index % 2 ? [part] : part.split(" "))));
    return [...new Set(found.filter(Boolean))];
  }

  const TOKENS = /** @type {const} */ (["fires", "promotes", "suppresses"]);

  // For every feature the level of its worst term (0 best), or none, and its strength.
  // Levels: 0 number or flag, 1 firing, 2 promoted, 3 suppressed token, 4 top, 5 other example.
  /** @type {Ghosttrack["search"]["rank"]} */
  function rank(all, query, examples) {
    const wanted = terms(query).map((term) => one(all, term));
    const levels = new Float64Array(all.length).fill(wanted.length ? 0 : -1);
    const strength = new Float64Array(all.length);
    for (const { term, hits } of wanted) {
      for (let row = 0; row < all.length; row += 1) {
        if (!(levels[row] < Infinity)) continue;
        const level = levelOf(all, row, term, hits, examples);
        levels[row] = Math.max(levels[row], level);
        if (level === 1) strength[row] += strengthOf(all, row, hits);
      }
    }
    return { levels, strength, hits: wanted.length ? all.strings.map((_, index) => wanted.some(({ hits }) => hits[index])) : null };
  }

  // Each distinct token is looked at once; features then only look their tokens up.
  /** @param {Columns} all @param {string} term */
  function one(all, term) {
    return { term, hits: all.lowered.map((text) => text.includes(term)) };
  }

  /** @param {Columns} all @param {number} row @param {string} term @param {boolean[]} hits @param {Words | null} examples */
  function levelOf(all, row, term, hits, examples) {
    if (String(all.feature[row]) === term || `#${all.feature[row]}` === term || all.flag_names.some((name, bit) => name === term && all.flags[row] & (1 << bit))) return 0;
    const place = TOKENS.findIndex((name) => all[name][row].some((index) => hits[index]));
    if (place >= 0) return place + 1;
    if (examples?.top[row]?.includes(term)) return 4;
    return examples?.other[row]?.includes(term) ? 5 : Infinity;
  }

  /** @param {Columns} all @param {number} row @param {boolean[]} hits */
  function strengthOf(all, row, hits) {
    return all.fires[row].reduce((sum, index, place) => sum + (hits[index] ? all.strengths[row][place] : 0), 0);
  }

  // Best first: level, then strength, then what tells most.
  /** @type {Ghosttrack["search"]["better"]} */
  function better(all, { levels, strength }) {
    return (a, b) => levels[a] - levels[b] || strength[b] - strength[a] || all.telling[b] - all.telling[a] || a - b;
  }

  // The words of the examples, read when somebody searches; those of the reports read last are kept.
  const kept = new Map();

  /** @type {Ghosttrack["search"]["known"]} */
  function known(report) {
    return kept.get(report)?.examples ?? null;
  }

  /** @type {Ghosttrack["search"]["read"]} */
  async function read(report, all) {
    const there = known(report);
    if (there) return there;
    /** @type {Words} */
    const examples = { top: [], other: [] };
    const parts = await Promise.all(Array.from({ length: all.files }, (_, part) => ghosttrack.data.take(...ghosttrack.catalogue.searchFile(report, `words-${String(part).padStart(3, "0")}`))));
    let characters = 0;
    for (const { top, other } of parts) {
      examples.top.push(...top);
      examples.other.push(...other);
    }
    for (const list of Object.values(examples)) for (const text of list) characters += text.length;
    kept.set(report, { examples, characters });
    forget(report);
    return examples;
  }

  /** @param {Report} newest */
  function forget(newest) {
    let characters = [...kept.values()].reduce((sum, one) => sum + one.characters, 0);
    for (const [report, one] of kept) {
      if (characters <= KEPT_CHARACTERS || report === newest) continue;
      kept.delete(report);
      characters -= one.characters;
    }
  }

  ghosttrack.search = { caseless, terms, rank, better, read, known };
})();
