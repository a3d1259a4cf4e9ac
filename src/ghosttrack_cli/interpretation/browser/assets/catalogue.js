"use strict";
// Which layers there are, and stepping from one to the next.

(() => {
  const all = () => ghosttrack.data.get("catalogue").layers;

  function layer(number) {
    return all().find((report) => report.layer === number);
  }

  function walk(number, name) {
    if (name === "up") {
      location.hash = "#";
      return true;
    }
    const step = { next: 1, previous: -1 }[name];
    const target = step && all()[all().findIndex((report) => report.layer === number) + step];
    if (target) location.hash = `#layer=${target.layer}`;
    return Boolean(target);
  }

  ghosttrack.catalogue = { all, layer, walk };
})();
