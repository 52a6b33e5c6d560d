// Draws response times with uPlot, which is loaded as a script before this: percentiles as lines, or phases on top of
// each other. Colours are those of the stylesheet, and are read again when the theme changes.

/* global uPlot */

/**
 * @typedef {object} Point of the response of /services/…/response-times
 * @property {string} time @property {number} count @property {number} errors
 * @property {number|null} p50 @property {number|null} p95 @property {number|null} p99
 * @property {{dns: number, connect: number, tls: number, firstByte: number, transfer: number}|null} phases
 */

/** The series of each view, from the bottom up. */
export const VIEWS = {
  percentiles: ["p50", "p95", "p99"],
  phases: ["dns", "connect", "tls", "firstByte", "transfer"],
};
const DASHES = { p95: [6, 3], p99: [2, 3] };
const HEIGHT = { wide: 280, narrow: 220 };
const NARROW = 480;
const MARK = 3.5; // pixels from the middle of a cross to its ends
const GAP = 1.6; // steps without a point, after which a line ends
const HOUR_S = 3600;
const DAY_S = 86_400;
const MONTH = { month: "short" };
const YEAR = { year: "numeric", month: "short" };

/** The value of a point in a series. */
export function valueOf(point, key) {
  return key in point ? point[key] : (point.phases?.[key] ?? null);
}

export class Chart {
  #place;
  #zone;
  #hooks;
  #plot = null;
  #view = "percentiles";
  #points = [];
  #window = [0, 1];
  #label = "";

  /**
   * @param {HTMLElement} place
   * @param {{zone: string, milliseconds: (ms: number) => string, selected: (from: number, to: number) => void,
   *   pointed: (point: Point|null) => void}} hooks `selected` is called with the bounds of a selected
   *   range in seconds, `pointed` with the point under the cursor
   */
  constructor(place, hooks) {
    this.#place = place;
    this.#zone = hooks.zone;
    this.#hooks = hooks;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(place);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)", "print"]) {
      matchMedia(query).addEventListener("change", () => this.#plot && this.#build());
    }
  }

  /** @param {{points: Point[], step: number, from: number, to: number, view: string, label: string}} shown */
  show({ points, step, from, to, view, label }) {
    this.#points = withGaps(points, step);
    this.#window = [from, to];
    if (this.#plot && view === this.#view) {
      this.#plot.setData(this.#data());
    } else {
      this.#view = view;
      this.#build();
    }
    this.#plot.ctx.canvas.ariaLabel = this.#label = label;
  }

  #build() {
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(), this.#data(), this.#place);
    const { canvas } = this.#plot.ctx;
    canvas.role = "img";
    canvas.ariaLabel = this.#label;
  }

  /** The keys in the order in which they are drawn: where lines meet, the median is on top. */
  #keys() {
    return this.#view === "phases" ? VIEWS.phases : VIEWS.percentiles.toReversed();
  }

  #data() {
    const times = this.#points.map((point) => Date.parse(point.time) / 1000);
    const columns = this.#keys().map((key) => this.#points.map((point) => valueOf(point, key)));
    return [times, ...(this.#view === "phases" ? stacked(columns) : columns)];
  }

  #milliseconds = (value) => (value === 0 ? "0" : this.#hooks.milliseconds(value));

  #size() {
    const width = this.#place.clientWidth;
    return { width, height: width < NARROW ? HEIGHT.narrow : HEIGHT.wide };
  }

  #options() {
    const grid = { stroke: colorOf(this.#place, "--line"), width: 1 };
    const font = `12px ${getComputedStyle(this.#place).fontFamily}`;
    const axis = { stroke: colorOf(this.#place, "--soft"), grid, font };
    const keys = this.#keys();
    const phases = this.#view === "phases";
    return {
      ...this.#size(),
      padding: [12, 24, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.#zone),
      legend: { show: false },
      scales: {
        x: { range: () => this.#window },
        y: { range: (_, least, most) => [0, most > 0 ? most * 1.1 : 100] },
      },
      axes: [
        { ...axis, ticks: grid, space: 64, values: (_, times, number, space, step) => this.#times(times, step) },
        { ...axis, ticks: { show: false }, size: 64, values: (_, values) => values.map(this.#milliseconds) },
      ],
      series: [{}, ...keys.map((key) => this.#series(key, phases))],
      bands: phases ? keys.slice(1).map((_, below) => ({ series: [below + 2, below + 1] })) : [],
      cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
      hooks: {
        draw: [(plot) => this.#markFailures(plot)],
        setCursor: [(plot) => this.#hooks.pointed(this.#points[plot.cursor.idx] ?? null)],
        setSelect: [(plot) => this.#select(plot)],
      },
    };
  }

  #series(key, phases) {
    const stroke = colorOf(this.#place, `--chart-${key.toLowerCase()}`);
    const fill = `color-mix(in srgb, ${stroke} 65%, transparent)`;
    if (phases) return { stroke, fill, width: 1, points: { show: false } };
    return { stroke, dash: DASHES[key], width: key === "p50" ? 2.5 : 1.5, points: { size: 5, fill: stroke } };
  }

  /** `step` apart: clocks within a day, with the day at midnight; days; months. */
  #times(times, step) {
    const text = (options, seconds) => this.#format(options).format(new Date(seconds * 1000));
    const day = { month: "short", day: "numeric" };
    if (step >= 28 * DAY_S) return times.map((time) => text(this.#isJanuary(time) ? YEAR : MONTH, time));
    if (step >= DAY_S) return times.map((time) => text(day, time));
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return times.map((time) => {
      const shown = text(clock, time);
      return shown === "00:00" || (step >= 12 * HOUR_S) ? text(day, time) : shown;
    });
  }

  #isJanuary(time) {
    return uPlot.tzDate(new Date(time * 1000), this.#zone).getMonth() === 0;
  }

  #format(options) {
    return new Intl.DateTimeFormat(document.documentElement.lang, { ...options, timeZone: this.#zone });
  }

  #select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#hooks.selected(from, to);
  }

  /** A cross at the foot of each step in which checks failed. */
  #markFailures(plot) {
    const { ctx } = plot;
    const ratio = devicePixelRatio;
    const { left, top, width, height } = plot.bbox;
    const size = MARK * ratio;
    const y = top + height - 2 * size;
    ctx.save();
    ctx.beginPath();
    for (const point of this.#points) {
      if (!point.errors) continue;
      const x = plot.valToPos(Date.parse(point.time) / 1000, "x", true);
      if (x < left || x > left + width) continue;
      ctx.moveTo(x - size, y - size);
      ctx.lineTo(x + size, y + size);
      ctx.moveTo(x - size, y + size);
      ctx.lineTo(x + size, y - size);
    }
    ctx.lineWidth = 2 * ratio;
    ctx.strokeStyle = colorOf(this.#place, "--outage");
    ctx.stroke();
    ctx.restore();
  }
}

/** Steps without a point end a line: unknown is not drawn as if it were known. */
export function withGaps(points, step) {
  const shown = [];
  for (const point of points) {
    const last = shown.at(-1);
    const after = last && Date.parse(last.time) + step * 1000;
    if (last && Date.parse(point.time) > after + (GAP - 1) * step * 1000) shown.push(nothing(after));
    shown.push(point);
  }
  return shown;
}

function nothing(time) {
  return { time: new Date(time).toISOString(), count: 0, errors: 0, p50: null, p95: null, p99: null, phases: null };
}

/** Each column on top of those before it. */
function stacked(columns) {
  const sums = columns[0].map(() => 0);
  return columns.map((column) => column.map((value, at) => (value === null ? null : (sums[at] += value))));
}

/** A custom property as a colour that a canvas knows; `light-dark()` is resolved by the element. */
function colorOf(place, property) {
  const probe = document.createElement("span");
  probe.hidden = true;
  probe.style.color = `var(${property})`;
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
