// What a browser can be asked about a page: run by the tests here.

window.checks = {
  contrast: () => {
    const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = colour => {
        pixel.clearRect(0, 0, 1, 1);
        pixel.fillStyle = colour;
        pixel.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const luminance = ([r, g, b]) => {
        const linear = [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const behind = node => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
        return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const low = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !node.checkVisibility({visibilityProperty: true})) continue;
        if (node.closest('.unseen, :disabled, [aria-disabled=true], dialog:not([open]), script, noscript, option, .skip')) continue;
        const style = getComputedStyle(node);
        const ground = behind(node);
        let opacity = 1;
        for (let at = node; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
        const [r, g, b, a] = rgba(node.closest('svg') ? style.fill : style.color);
        const ink = over([r, g, b, a * opacity], ground);
        const [high, dim] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
        const ratio = (high + 0.05) / (dim + 0.05);
        if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${node.className.baseVal ?? node.className}: ${texts.currentNode.data.slice(0, 30)}`);
    }
    return [...new Set(low)];
},

  nameless: () => [...document.querySelectorAll('a, button, input, select, summary, [tabindex="0"]')]
    .filter(node => node.checkVisibility())
    .filter(node => !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.length))
    .map(node => node.outerHTML.slice(0, 120)),

  headings: () => [...document.querySelectorAll('#main h1, #main h2, #main h3, #main h4')]
    .filter(node => node.checkVisibility()).map(node => Number(node.tagName[1])),

  wide: () => [...document.querySelectorAll('#main *')]
    .filter(node => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0)
    .filter(node => getComputedStyle(node).display !== 'inline' && !(node instanceof SVGElement))
    .filter(node => !node.matches('.unseen') && !node.closest('.chip, .cell-fires-on, .cell-promotes, .neighbour-tokens'))
    .map(node => `${node.tagName} ${node.className} ${node.scrollWidth} > ${node.clientWidth}`),

  search: ([features, query]) => {
    const strings = [];
    const place = text => strings.includes(text) ? strings.indexOf(text) : strings.push(text) - 1;
    const names = ['dead', 'dense', 'single-token'];
    const words = list => list.map(ghosttrack.search.caseless).join('\n');
    const all = {
        flag_names: names,
        flags: features.map(one => one.flags.reduce((bits, name) => bits | 1 << names.indexOf(name), 0)),
        rate: features.map(() => 0.1),
        telling: features.map(one => one.telling),
        fires: features.map(one => one.tokens.map(([text]) => place(text))),
        strengths: features.map(one => one.tokens.map(([, strength]) => strength)),
        promotes: features.map(one => one.promoted.map(place)),
        suppresses: features.map(one => one.suppressed.map(place)),
        strings,
    };
    ghosttrack.columns.prepare(all);
    all.feature = features.map(one => one.feature);
    const examples = {top: features.map(one => words(one.top)), other: features.map(one => words(one.other))};
    const wanted = {sort: 'telling', descending: true, include: [], exclude: [], low: null, high: null, query};
    return ghosttrack.columns.select(all, wanted, examples).rows.map(row => all.feature[row]);
},
};
