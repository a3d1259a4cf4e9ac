"use strict";
// The one global name: each file adds its concept to it, and data files hand their payload to it.

const ghosttrack = /** @type {Ghosttrack} */ ({});

(() => {
  const arrived = new Map();
  const asked = new Map();
  const SHARDS_KEPT = 24;

  // Data files call this; they are scripts because `fetch` is refused on file://.
  /** @type {Ghosttrack["deliver"]} */
  function deliver(name, payload) {
    arrived.set(name, payload);
  }

  /** @type {Ghosttrack["data"]["get"]} */
  function get(name) {
    return arrived.get(name);
  }

  /** @type {Ghosttrack["data"]["load"]} */
  function load(name, source = `browser/data/${name}.js`) {
    if (arrived.has(name)) return Promise.resolve(arrived.get(name));
    if (!asked.has(name)) asked.set(name, request(name, source));
    return asked.get(name);
  }

  /** @param {string} name @param {string} source */
  function request(name, source) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const settle = (/** @type {boolean} */ ok) => {
        script.remove();
        asked.delete(name);
        if (ok && arrived.has(name)) {
          resolve(arrived.get(name));
          forgetOldShards();
        } else {
          reject(new Error(`The data file ${source} is missing or damaged.`));
        }
      };
      script.onload = () => settle(true);
      script.onerror = () => settle(false);
      script.src = source;
      document.head.append(script);
    });
  }

  // Hands a file over without keeping it here.
  /** @type {Ghosttrack["data"]["take"]} */
  async function take(name, source) {
    const payload = await load(name, source);
    arrived.delete(name);
    return payload;
  }

  function forgetOldShards() {
    const shards = [...arrived.keys()].filter((name) => name.includes("/features-"));
    for (const name of shards.slice(0, -SHARDS_KEPT)) arrived.delete(name);
  }

  ghosttrack.deliver = deliver;
  ghosttrack.data = { get, load, take };
})();
