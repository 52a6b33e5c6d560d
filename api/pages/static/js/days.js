// The details of a day in a card beside it: by pointer, touch and keyboard, and for screen readers.
//
//   followDays(document, STRIP);   // of day_strips.js
//
// A *span* is an element that shows days one after another: a strip of ninety bars, a cell of a calendar. `makeSliders`
// makes it one tab stop, a slider over its days, whose value is the text of the card. A `Kind` describes the spans of a
// page. Listeners are on the root, so elements may be replaced. Date and status are shown at once; figures that the page
// does not have are loaded when the pointer or focus stays.

import { fill, texts } from "./live.js";

/**
 * @typedef {object} Days The days of a span.
 * @property {string} service whose days they are, or "all-systems"
 * @property {string} first the first day, YYYY-MM-DD
 * @property {string[]} codes a status code for each day: o, po, mo, nd; e for one that is yet to come
 */
/**
 * @typedef {object} Kind
 * @property {string} selector finds the spans
 * @property {(span: Element) => Days} days
 * @property {(span: Element) => number} [last] the index of its last day that has begun: of what becomes a slider
 * @property {(span: Element, event: PointerEvent) => number} at the index of the day under the pointer, -1 for none
 * @property {(span: Element, index: number) => DOMRect} box where a day is on the screen
 * @property {(service: string, date: string) => string} source the URL of its figures (/services/…/days)
 * @property {(span: Element, index: number) => object} [figures] those of a day, where the page has them already
 * @property {Record<string, number>} steps how many days a key moves: {ArrowLeft: -1, …}
 */

const KEPT_MS = 3 * 60_000;
const MOST_KEPT = 50;
const STAYING_MS = 150;
const LEAVING_MS = 200;
const DAY_MS = 86_400_000;
const MARGIN = 8;

const DAY_FORMAT = { weekday: "short", year: "numeric", month: "short", day: "numeric", timeZone: "UTC" };
const PERCENT_FORMAT = { style: "percent", minimumFractionDigits: 2 };

/** Shows the days of all spans within `root` as people come to them. */
export function followDays(root, kind) {
  const card = new DayCard(kind);
  const spanOf = (event) => (event.target instanceof Element ? event.target.closest(kind.selector) : null);
  root.addEventListener("pointermove", (event) => {
    const span = spanOf(event);
    if (span) card.show(span, kind.at(span, event));
    else if (card.contains(event.target)) card.stay();
    else if (event.pointerType === "mouse") card.leave();
  }, { passive: true });
  root.addEventListener("pointerdown", (event) => {
    const span = spanOf(event);
    if (span) card.show(span, kind.at(span, event));
    else if (!card.contains(event.target)) card.hide();
  }, { passive: true });
  root.addEventListener("focusin", (event) => {
    const span = spanOf(event);
    if (span?.matches(":focus-visible")) card.show(span, Number(span.ariaValueNow));
  });
  root.addEventListener("focusout", (event) => spanOf(event) && card.hide());
  root.addEventListener("keydown", (event) => {
    const span = spanOf(event);
    if (event.key === "Escape") card.hide();
    else if (span && !event.altKey && !event.ctrlKey && !event.metaKey) step(card, kind, span, event);
  });
  document.documentElement.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && card.leave());
  addEventListener("scroll", () => card.follow(), { passive: true, capture: true });
  addEventListener("resize", () => card.follow(), { passive: true });
  return card;
}

/** Makes sliders of the spans in `root`. Until a day is selected, the value is the label that the span had as an image. */
export function makeSliders(root, { selector, last }, nameOf) {
  for (const span of root.querySelectorAll(selector)) {
    if (span.role === "slider") continue;
    span.role = "slider";
    span.tabIndex = 0;
    span.ariaReadOnly = "true";
    span.ariaValueMin = "0";
    span.ariaValueMax = span.ariaValueNow = String(last(span));
    span.ariaValueText = span.ariaLabel;
    span.ariaLabel = nameOf(span);
  }
}

function step(card, kind, span, event) {
  const last = Number(span.ariaValueMax);
  const target = { Home: 0, End: last }[event.key] ?? Number(span.ariaValueNow) + (kind.steps[event.key] ?? NaN);
  if (Number.isNaN(target)) return;
  event.preventDefault();
  card.show(span, Math.min(Math.max(target, 0), last));
}

/** The card of a page. Its text is also the value of the slider, so it is hidden from screen readers. */
class DayCard {
  #kind;
  #element = document.createElement("div");
  #mark = document.createElement("div");
  #span = null;
  #index = -1;
  #staying = null;
  #leaving = null;
  #figures = new Map();

  constructor(kind) {
    this.#kind = kind;
    this.#element.className = "day-card";
    this.#mark.className = "day-mark";
    for (const element of [this.#mark, this.#element]) {
      element.ariaHidden = "true";
      element.hidden = true;
      document.body.append(element);
    }
  }

  contains(node) {
    return node instanceof Node && this.#element.contains(node);
  }

  /** Shows a day at once, and its figures when it is still shown a moment later. */
  show(span, index) {
    this.stay();
    if (span === this.#span && index === this.#index && span.isConnected) return;
    const { service, first, codes } = this.#kind.days(span);
    if (index < 0 || codes[index] === "e" || codes[index] === undefined) {
      this.hide();
      return;
    }
    this.#span = span;
    this.#index = index;
    if (span.role === "slider") span.ariaValueNow = String(index);
    const day = { service, date: dayAfter(first, index), status: codes[index] };
    clearTimeout(this.#staying);
    const figures = this.#kind.figures?.(span, index) ?? this.#known(day);
    this.#fill(day, figures);
    if (!figures && day.status !== "nd") this.#staying = setTimeout(() => this.#load(day), STAYING_MS);
  }

  leave() {
    if (!this.#span || this.#span.matches(":focus-visible")) return;
    this.#leaving ??= setTimeout(() => this.hide(), LEAVING_MS);
  }

  hide() {
    this.stay();
    clearTimeout(this.#staying);
    this.#span = null;
    this.#index = -1;
    this.#element.hidden = this.#mark.hidden = true;
  }

  /** Stays beside its day, while the page is scrolled. */
  follow() {
    if (this.#span?.isConnected) this.#place();
    else if (this.#span) this.hide();
  }

  /** Removes the cached figures of a service. */
  invalidate(service) {
    for (const [source, { of }] of this.#figures) if (of === service) this.#figures.delete(source);
  }

  stay() {
    clearTimeout(this.#leaving);
    this.#leaving = null;
  }

  #known({ service, date }) {
    const kept = this.#figures.get(this.#kind.source(service, date));
    return kept && kept.until > performance.now() ? kept.days?.get(date) : undefined;
  }

  async #load(day) {
    const source = this.#kind.source(day.service, day.date);
    let kept = this.#figures.get(source);
    if (!kept || kept.until <= performance.now()) {
      kept = { of: day.service, until: performance.now() + KEPT_MS, days: null, loading: figuresFrom(source) };
      this.#figures.set(source, kept);
      if (this.#figures.size > MOST_KEPT) this.#figures.delete(this.#figures.keys().next().value);
    }
    const span = this.#span;
    const index = this.#index;
    let figures = null;
    try {
      kept.days = await kept.loading;
      figures = kept.days.get(day.date) ?? null;
    } catch {
      this.#figures.delete(source);
    }
    if (this.#span === span && this.#index === index) this.#fill(day, figures);
  }

  /** `figures`: undefined while they are loading, null if that failed. */
  #fill(day, figures) {
    const when = new Date(day.date).toLocaleDateString(document.documentElement.lang, DAY_FORMAT);
    const status = texts.states[figures?.status ?? day.status];
    const facts = figures && day.status !== "nd" ? factsOf(figures) : [];
    const content = [
      built("p", "", built("strong", "", when)),
      built("p", `day-status ${figures?.status ?? day.status}`, status),
    ];
    const remark = day.status === "nd" || figures ? "" : figures === null ? texts.day_failed : texts.day_loading;
    if (facts.length) content.push(built("dl", "", ...facts.map(fact)));
    if (remark) content.push(built("p", "hint", remark));
    this.#element.replaceChildren(...content);
    this.#element.hidden = this.#mark.hidden = false;
    this.#place();
    if (this.#span.role === "slider") {
      const parts = [when, status, ...facts.map(([name, text]) => `${name} ${text}`)];
      if (figures === null) parts.push(remark);
      this.#span.ariaValueText = parts.join(", ");
    }
  }

  #place() {
    const box = this.#kind.box(this.#span, this.#index);
    const { offsetWidth: width, offsetHeight: height } = this.#element;
    const middle = box.left + box.width / 2 - width / 2;
    const left = Math.max(MARGIN, Math.min(middle, document.documentElement.clientWidth - width - MARGIN));
    const above = box.top - height;
    put(this.#element, left, above >= 0 ? above : box.bottom);
    put(this.#mark, box.left, box.top);
    this.#mark.style.width = `${box.width}px`;
    this.#mark.style.height = `${box.height}px`;
  }
}

/** The days of a response of /services/…/days, by date. */
async function figuresFrom(source) {
  const response = await fetch(source, { signal: AbortSignal.timeout(15_000) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const { days } = await response.json();
  return new Map(days.map((day) => [day.date, day]));
}

function fact([name, text]) {
  return built("div", "", built("dt", "", name), built("dd", "", text));
}

/** How long it was down comes first, if at all: the colour of a day is that of its worst moment, however short. */
function factsOf({ uptime, downtimeSeconds, checks, incidents }) {
  const { lang } = document.documentElement;
  const down = [texts.day_downtime, duration(downtimeSeconds)];
  const up = [texts.day_uptime, uptime === "-" ? "–" : (Number(uptime) / 100).toLocaleString(lang, PERCENT_FORMAT)];
  return [
    ...(downtimeSeconds ? [down, up] : [up, down]),
    [texts.day_checks, checks.toLocaleString(lang)],
    [texts.day_incidents, incidents.toLocaleString(lang)],
  ];
}

/** The two largest units, as the server writes them. */
function duration(seconds) {
  const amounts = Object.entries({
    d: Math.floor(seconds / 86400),
    h: Math.floor(seconds / 3600) % 24,
    min: Math.floor(seconds / 60) % 60,
    s: seconds % 60,
  });
  const first = amounts.findIndex(([, amount]) => amount > 0);
  if (first < 0) return fill(texts.duration.s, { n: 0 });
  const shown = amounts.slice(first, first + 2).filter(([, amount]) => amount > 0);
  return shown.map(([unit, amount]) => fill(texts.duration[unit], { n: amount })).join(" ");
}

/** The day so many days after another, as YYYY-MM-DD. */
export function dayAfter(date, days) {
  return new Date(Date.parse(date) + days * DAY_MS).toISOString().slice(0, 10);
}

function built(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

function put(element, left, top) {
  element.style.left = `${left}px`;
  element.style.top = `${top}px`;
}
