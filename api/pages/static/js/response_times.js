// The response times on the page of a service: the window that is shown, and the requests for its points.
//
// Windows consist of whole steps, so that requests of all visitors are equal and the server responds from memory. A
// window that ends now moves on with time; a selected one stays.

import { Chart, valueOf, VIEWS } from "./chart.js";
import { fill, texts as common } from "./live.js";

const HOUR_S = 3600;
const DAY_S = 86_400;
const STEPS_S = [60, 300, 900, HOUR_S, 4 * HOUR_S, DAY_S];
const AIMED_POINTS = 180;
const SHORTEST_S = 600;
const LONGEST_S = 366 * DAY_S;
const LEAST_PAUSE_S = 30;
const LONGEST_PAUSE_S = 900;
const PATIENCE_MS = 400; // until the notice that points are loading
const DEADLINE_MS = 20_000;

const texts = JSON.parse(document.getElementById("chart-texts").textContent);
const language = document.documentElement.lang;
const zone = document.documentElement.dataset.zone;
const moments = new Intl.DateTimeFormat(language, {
  dateStyle: "medium", timeStyle: "short", hourCycle: "h23", timeZone: zone,
});
const numbers = new Intl.NumberFormat(language);
const byId = (id) => document.getElementById(id);

export class ResponseTimes {
  #source;
  #interval;
  #chart;
  #length = DAY_S;
  #end = null; // seconds; null is now
  #view = "percentiles";
  #loaded = null;
  #loading = null;
  #loadedAt = 0;
  #timer = null;

  constructor(section) {
    this.#source = section.dataset.source;
    this.#interval = Number(section.dataset.interval);
    byId("ranges").hidden = byId("chart").hidden = false;
    this.#chart = new Chart(byId("plot"), {
      zone,
      milliseconds,
      selected: (from, to) => this.#zoomTo(from, to),
      pointed: (point) => this.#tellValues(point),
    });
    section.addEventListener("click", ({ target }) => this.#clicked(target.closest("button")));
    byId("points")?.addEventListener("toggle", () => this.#fillTable());
    document.addEventListener("visibilitychange", () => this.soon());
    this.#load();
  }

  /** Updates a window that ends now, at most once per step. */
  soon() {
    if (this.#end !== null || document.hidden) return;
    clearTimeout(this.#timer);
    const pause = Math.min(Math.max(LEAST_PAUSE_S, step(this.#length) / 4), LONGEST_PAUSE_S);
    this.#timer = setTimeout(() => this.#load(), Math.max(0, this.#loadedAt + pause * 1000 - performance.now()));
  }

  /** Updates a window that ends now, after events were missed. */
  now() {
    this.#load();
  }

  #clicked(button) {
    if (!button) return;
    const { range, view, zoom } = button.dataset;
    if (range) this.#goTo(Number(range), null);
    else if (view) this.#choose(view);
    else if (zoom) this.#zoom(zoom);
    else if (button.id === "retry") this.#load();
  }

  #choose(view) {
    this.#view = view;
    press("views", ({ dataset }) => dataset.view === view);
    if (this.#loaded) this.#draw();
  }

  #zoom(way) {
    const length = this.#length;
    const end = this.#end ?? now();
    const wider = Math.min(length * 2, LONGEST_S);
    const closer = Math.max(length / 2, SHORTEST_S);
    const [newLength, newEnd] = {
      in: [closer, this.#end === null ? null : end - (length - closer) / 2],
      out: [wider, this.#end === null ? null : end + (wider - length) / 2],
      earlier: [length, end - length / 2],
      later: [length, end + length / 2],
      reset: [DAY_S, null],
    }[way];
    this.#goTo(newLength, newEnd);
  }

  #zoomTo(from, to) {
    const length = Math.max(to - from, SHORTEST_S);
    this.#goTo(length, (from + to + length) / 2);
  }

  #goTo(length, end) {
    this.#length = length;
    this.#end = end === null || end >= now() ? null : end;
    press("ranges", ({ dataset }) => this.#end === null && Number(dataset.range) === length);
    this.#load();
  }

  async #load() {
    clearTimeout(this.#timer);
    this.#loading?.abort();
    const loading = (this.#loading = new AbortController());
    const end = this.#end ?? now();
    const seconds = step(this.#length);
    const query = {
      from: instant(end - this.#length, seconds, Math.floor),
      to: instant(end, seconds, Math.ceil),
      step: seconds,
    };
    const patience = setTimeout(() => this.#showNotice(texts.loading), this.#loaded ? PATIENCE_MS : 0);
    try {
      const signal = AbortSignal.any([loading.signal, AbortSignal.timeout(DEADLINE_MS)]);
      const response = await fetch(`${this.#source}?${new URLSearchParams(query)}`, { signal });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const { series: points, ...total } = await response.json();
      this.#loaded = { points, total, step: seconds, from: end - this.#length, to: end };
      this.#showNotice("");
      this.#draw();
    } catch {
      if (!loading.signal.aborted) this.#sayFailed();
    } finally {
      clearTimeout(patience);
    }
    if (loading.signal.aborted) return;
    this.#loadedAt = performance.now();
    this.soon();
  }

  #draw() {
    const { points, total, step: seconds, from, to } = this.#loaded;
    const empty = !total.count;
    byId("plot").hidden = byId("legend").hidden = byId("summary").hidden = empty;
    this.#fillTable();
    if (empty) return this.#showNotice(texts.empty);
    const summary = (byId("summary").textContent = summaryOf(total));
    this.#showNotice(this.#view === "phases" && !total.phases ? texts.no_phases : "");
    const label = fill(texts.label, { summary });
    this.#chart.show({ points, step: Math.max(seconds, this.#interval), from, to, view: this.#view, label });
    this.#buildLegend();
    this.#tellValues(null);
  }

  #buildLegend() {
    const items = [...VIEWS[this.#view], "errors"].map((key) => {
      const swatch = made("span", `swatch ${key}`);
      const value = made("span", "number");
      value.dataset.key = key;
      return made("li", "", swatch, made("span", "soft", texts[key]), " ", value);
    });
    const time = made("li", "when soft");
    time.dataset.key = "time";
    byId("legend").replaceChildren(time, ...items);
  }

  /** The values of a point, or of the whole window. */
  #tellValues(point) {
    const described = point?.count ? point : this.#loaded.total;
    for (const place of byId("legend").querySelectorAll("[data-key]")) {
      const { key } = place.dataset;
      if (key === "time") place.textContent = described === point ? moments.format(new Date(point.time)) : texts.whole;
      else if (key === "errors") place.textContent = failedOf(described);
      else place.textContent = milliseconds(valueOf(described, key));
    }
  }

  #fillTable() {
    const details = byId("points");
    if (!details || !this.#loaded) return;
    details.firstElementChild.textContent = texts.table;
    if (!details.open) return;
    const keys = VIEWS[this.#view];
    const time = details.querySelector("th").cloneNode(true);
    const head = made("tr", "", time, ...[...keys, "checks", "errors"].map((key) => columnHead(texts[key])));
    const rows = this.#loaded.points.toReversed().map((point) => {
      const cells = keys.map((key) => milliseconds(valueOf(point, key)));
      const counts = [point.count, point.errors].map((count) => numbers.format(count));
      const time = made("time", "", moments.format(new Date(point.time)));
      time.dateTime = point.time;
      return made("tr", "", made("td", "", time), ...[...cells, ...counts].map((text) => made("td", "number", text)));
    });
    details.querySelector("thead").replaceChildren(head);
    details.querySelector("tbody").replaceChildren(...rows);
  }

  #showNotice(text) {
    byId("words").replaceChildren(text);
  }

  #sayFailed() {
    const retry = made("button", "quiet", texts.retry);
    retry.type = "button";
    retry.id = "retry";
    byId("words").replaceChildren(texts.failed, " ", retry);
  }
}

function step(length) {
  return STEPS_S.find((seconds) => length / seconds <= AIMED_POINTS) ?? DAY_S;
}

function instant(seconds, stepS, rounded) {
  return new Date(rounded(seconds / stepS) * stepS * 1000).toISOString();
}

function now() {
  return Date.now() / 1000;
}

function press(group, isPressed) {
  for (const button of byId(group).querySelectorAll("button")) button.ariaPressed = String(isPressed(button));
}

/** As the server writes them: `142 ms`, `1.24 s`; unknown is a dash. */
export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  const [unit, amount, digits] = value >= 1000 ? ["seconds", value / 1000, 2] : ["ms", value, value >= 10 ? 0 : 1];
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return fill(common.duration[unit], { n: amount.toLocaleString(language, options) });
}

function failedOf({ count, errors }) {
  return fill(texts.failed_of, { errors: numbers.format(errors), count: numbers.format(count) });
}

function summaryOf({ from, to, count, errors, p50, p95, p99 }) {
  // The last step has not ended.
  const [start, end] = [from, to].map((time) => moments.format(Math.min(new Date(time), Date.now())));
  const values = { from: start, to: end, count: numbers.format(count) };
  if (errors === count) return fill(texts.summary_failed, values);
  const times = { p50: milliseconds(p50), p95: milliseconds(p95), p99: milliseconds(p99) };
  return fill(texts.summary, { ...values, ...times, errors: numbers.format(errors) });
}

function columnHead(text) {
  const cell = made("th", "number", text);
  cell.scope = "col";
  return cell;
}

function made(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}
