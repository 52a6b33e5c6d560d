// The strips of days of services, as drawn by api/pages/day_strips.py.

import { dayAfter } from "./days.js";

/** The top of a day's bar by its code. The same as TOPS in api/pages/day_strips.py (tests/pages/test_rules.py). */
export const TOPS = { nd: ".24", o: ".24", po: ".12", mo: "0" };
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -7, PageUp: 7 };

/** A strip: <div class="days"><svg viewBox="0 0 90 1"><path class="mo" d="M88 0h1V1h-1z">… */
export const STRIP = {
  selector: ".days",
  days(strip) {
    const codes = codesOf(strip);
    const last = strip.closest("[data-today]").dataset.today;
    return { service: strip.closest("[data-service]").dataset.service, first: dayAfter(last, 1 - codes.length), codes };
  },
  last: (strip) => length(strip) - 1,
  at(strip, event) {
    const { left, width } = strip.getBoundingClientRect();
    const count = length(strip);
    return Math.min(Math.max(Math.floor(((event.clientX - left) / width) * count), 0), count - 1);
  },
  box(strip, index) {
    const { left, top, width, height } = strip.getBoundingClientRect();
    const count = length(strip);
    return new DOMRect(left + (index / count) * width, top, width / count, height);
  },
  source: (service) => `/services/${encodeURIComponent(service)}/days`,
  steps: STEPS,
};

/** The codes of a strip, read from its paths. */
function codesOf(strip) {
  const codes = Array(length(strip)).fill("nd");
  for (const path of strip.firstElementChild.children) {
    for (const [, start, days] of path.getAttribute("d").matchAll(/M(\d+) [.\d]+h(\d+)/g)) {
      codes.fill(path.getAttribute("class"), Number(start), Number(start) + Number(days));
    }
  }
  return codes;
}

function length(strip) {
  return strip.firstElementChild.viewBox.baseVal.width;
}

/** Changes the code of one day of a strip. */
export function paintDay(strip, index, code) {
  const codes = codesOf(strip);
  if (codes[index] === code) return;
  codes[index] = code;
  const paths = Object.keys(TOPS).filter((name) => codes.includes(name)).map((name) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", name);
    path.setAttribute("d", codes.map((other, day) => (other === name ? `M${day} ${TOPS[name]}h1V1h-1z` : "")).join(""));
    return path;
  });
  strip.firstElementChild.replaceChildren(...paths);
}
