/** The plots: five minutes of figures, one value a second, in the page's own colours. */

import uPlot from "./uplot.js";
import { make } from "./words.js";

const SECONDS = 300;
const HEIGHT = 150;
const LINES = ["--accent", "--wait"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A colour as it is now: a canvas knows nothing of `light-dark()`. */
function resolved(name) {
  const probe = make("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || colour(name);
}

export class Plots {
  #plots = [];
  #times = [];

  /** `kinds`: `{title, lines: [{label, value(total)}], format(value)}`. */
  constructor(element, kinds) {
    for (const kind of kinds) {
      const figure = make("figure");
      figure.append(make("figcaption", kind.title));
      const place = make("div");
      // What is drawn is said above in figures.
      place.setAttribute("aria-hidden", "true");
      figure.append(place);
      element.append(figure);
      this.#plots.push({ kind, place, data: kind.lines.map(() => []), drawn: null });
    }
    this.#draw();
    new ResizeObserver(() => this.#fit()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /** Add what `total` says at `time`, in Unix seconds; null leaves a gap. */
  add(time, total) {
    this.#times.push(time);
    for (const { kind, data } of this.#plots) {
      kind.lines.forEach((line, index) => data[index].push(total === null ? null : line.value(total)));
    }
    while (this.#times[0] < time - SECONDS) {
      this.#times.shift();
      for (const { data } of this.#plots) data.forEach((values) => values.shift());
    }
    for (const { data, drawn } of this.#plots) drawn.setData([this.#times, ...data]);
  }

  #draw() {
    const [ink, grid, colours] = [resolved("--soft"), resolved("--line"), LINES.map(resolved)];
    for (const plot of this.#plots) {
      plot.drawn?.destroy();
      plot.drawn = new uPlot(options(plot, { ink, grid, colours }), [this.#times, ...plot.data], plot.place);
    }
  }

  #fit() {
    for (const { place, drawn } of this.#plots) {
      if (place.clientWidth) drawn.setSize({ width: place.clientWidth, height: HEIGHT });
    }
  }
}

function options({ kind, place }, { ink, grid, colours }) {
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px sans-serif" };
  return {
    width: place.clientWidth || 300,
    height: HEIGHT,
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    scales: {
      x: { range: (_, from, to) => [Math.max(from, to - SECONDS), Math.max(to, from + 60)] },
      y: { range: (_, from, to) => [0, to > 0 ? to * 1.1 : 1] },
    },
    axes: [
      { ...axis, values: [[60, "{HH}:{mm}", null, null, null, null, null, null, 1], [10, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]], space: 70, size: 28 },
      { ...axis, size: 62, values: (_, ticks) => ticks.map(kind.format) },
    ],
    series: [
      { label: "at", value: "{HH}:{mm}:{ss}" },
      ...kind.lines.map(({ label }, index) => ({
        label,
        stroke: colours[index],
        width: 1.5,
        points: { show: false },
        value: (_, value) => kind.format(value),
      })),
    ],
  };
}
