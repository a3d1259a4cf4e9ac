"use strict";
// One sequential ramp for activations: lightness falls (or rises, on dark) evenly, so that it reads
// without colour vision; hue only turns from yellow to red. Steps are CSS variables: a change of
// theme repaints without drawing anything again.

(() => {
  const STEPS = 40;
  const ENDS = {
    light: { lightness: [0.972, 0.53], chroma: [0.035, 0.19], hue: [98, 32] },
    dark: { lightness: [0.31, 0.9], chroma: [0.045, 0.165], hue: [38, 98] },
  };

  // OKLCH to linear sRGB, B. Ottosson, "A perceptual color space for image processing" (2020).
  /** @param {number} lightness @param {number} chroma @param {number} hue */
  function linearRgb(lightness, chroma, hue) {
    const a = chroma * Math.cos((hue * Math.PI) / 180);
    const b = chroma * Math.sin((hue * Math.PI) / 180);
    const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
    const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
    const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
    return [
      4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
      -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
      -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
    ];
  }

  const inGamut = (/** @type {number[]} */ rgb) => rgb.every((part) => part > -1e-4 && part < 1.0001);

  // The most chroma, up to the one asked, that a screen can show at this lightness and hue.
  /** @param {number} lightness @param {number} chroma @param {number} hue */
  function fit(lightness, chroma, hue) {
    let rgb = linearRgb(lightness, chroma, hue);
    for (let kept = chroma; !inGamut(rgb) && kept > 0; kept -= 0.004) rgb = linearRgb(lightness, kept, hue);
    return rgb.map((part) => Math.min(1, Math.max(0, part)));
  }

  /** @param {number} part */
  function encode(part) {
    return Math.round(255 * (part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055));
  }

  /** @type {Ghosttrack["colour"]["step"]} */
  function step(theme, share) {
    const { lightness, chroma, hue } = ENDS[theme];
    const between = (/** @type {number[]} */ [from, to]) => from + (to - from) * share;
    const rgb = fit(between(lightness), between(chroma), between(hue));
    const luminance = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
    // Whichever of black and white has the higher WCAG contrast: at least 4.58 on any colour.
    const ink = (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000" : "#fff";
    return { fill: `rgb(${rgb.map(encode).join(" ")})`, ink };
  }

  /** @type {Ghosttrack["colour"]["apply"]} */
  function apply(theme) {
    const root = document.documentElement.style;
    for (let index = 1; index <= STEPS; index += 1) {
      const { fill, ink } = step(/** @type {"light" | "dark"} */ (theme), (index - 1) / (STEPS - 1));
      root.setProperty(`--heat-${index}`, fill);
      root.setProperty(`--ink-${index}`, ink);
    }
  }

  // 0 stays uncoloured; anything above it gets at least the first step.
  /** @type {Ghosttrack["colour"]["level"]} */
  function level(value, maximum) {
    if (!(value > 0) || !(maximum > 0)) return 0;
    return Math.min(STEPS, Math.max(1, Math.round((value / maximum) * STEPS)));
  }

  /** @type {Ghosttrack["colour"]["paint"]} */
  function paint(node, value, maximum) {
    const index = level(value, maximum);
    if (!index) return node;
    node.style.setProperty("--fill", `var(--heat-${index})`);
    node.style.setProperty("--ink", `var(--ink-${index})`);
    node.style.setProperty("--share", String(index / STEPS));
    node.classList.add("painted");
    return node;
  }

  ghosttrack.colour = { STEPS, apply, level, paint, step };
})();
