// The uptime calendar: a tooltip for each day, arrow keys from day to day, another service at once, today repainted.
//
// Each month is a grid (https://www.w3.org/WAI/ARIA/apg/patterns/grid/): one tab stop, which moves with the arrow keys.

import { followDays } from "./days.js";
import { connect } from "./live.js";
import { isBehind, load, refreshAfterSnapshot, refreshSoon } from "./refresh.js";

const COLUMNS = 7;
const DAYS = "td[data-date]";
const FEW_MINUTES_MS = 5 * 60_000;

/** A cell is a span of one day; its attributes have the figures. */
const CELL = {
  selector: `#calendar ${DAYS}`,
  days: ({ dataset }) => ({ service: shownService(), first: dataset.date, codes: [dataset.status] }),
  figures: ({ dataset }) => ({
    date: dataset.date,
    status: dataset.status,
    uptime: dataset.uptime,
    downtimeSeconds: Number(dataset.downtime),
    checks: Number(dataset.checks),
    incidents: Number(dataset.incidents),
  }),
  at: () => 0,
  box: (cell) => cell.getBoundingClientRect(),
  source: () => "",
  steps: {},
};

const choice = document.getElementById("choice");
const trouble = document.getElementById("trouble");
let latestRequest = 0;

makeGrids();
followDays(document, CELL);
choice.querySelector("button").hidden = true;
document.getElementById("keys").hidden = false;
choice.addEventListener("change", () => show(`/uptime?${new URLSearchParams(new FormData(choice))}`));
choice.addEventListener("submit", (event) => {
  event.preventDefault();
  choice.dispatchEvent(new Event("change"));
});
document.addEventListener("focusin", ({ target }) => target.matches(CELL.selector) && makeTabStop(target));
document.addEventListener("keydown", move);
document.addEventListener("refreshed", makeGrids);
addEventListener("popstate", () => location.reload());

const feed = connect({ rooms: ["uptime"] });

feed.on("uptime-updated", ({ serviceId, date, status }) => {
  if (![serviceId, "all-systems"].includes(shownService())) return;
  const cell = document.getElementById(`day-${date}`);
  if (cell && serviceId === shownService()) paint(cell, status);
  if (cell || date > today()) refreshSoon("calendar");
});

for (const event of ["incident-created", "incident-updated", "incident-deleted", "resync", "recovered", "database-away"]) {
  feed.on(event, () => refreshSoon("calendar"));
}
refreshAfterSnapshot("calendar");

// There is no event for checks that do not change the status of a day, nor for midnight.
setInterval(() => document.hidden || refreshSoon("calendar"), FEW_MINUTES_MS);

/** The current day if the page shows it, else a date after all others. */
function today() {
  return document.querySelector("#calendar [aria-current=date]")?.dataset.date ?? "9999-12-31";
}

function shownService() {
  return document.getElementById("calendar").dataset.service;
}

/** Shows the calendar of another service. The scroll position stays, and the back button returns. */
async function show(address) {
  const request = ++latestRequest;
  try {
    const fresh = await load(address);
    if (request !== latestRequest) return;
    history.pushState(null, "", address);
    document.title = fresh.title;
    document.getElementById("calendar").replaceWith(document.adoptNode(fresh.getElementById("calendar")));
    trouble.hidden = true;
    makeGrids();
    if (isBehind(fresh)) refreshSoon("calendar");
  } catch {
    trouble.hidden = request !== latestRequest;
  }
}

/** Changes the colour of a day. The text for screen readers is loaded with the next refresh. */
function paint(cell, status) {
  cell.classList.remove(cell.dataset.status);
  cell.classList.add(status);
  cell.dataset.status = status;
}

function makeGrids() {
  for (const table of document.querySelectorAll("#calendar table")) {
    table.role = "grid";
    const days = [...table.querySelectorAll(DAYS)];
    const stop = days.find((day) => day === document.activeElement) ?? days.at(-1);
    for (const day of days) day.tabIndex = day === stop ? 0 : -1;
  }
}

function makeTabStop(cell) {
  for (const day of cell.closest("table").querySelectorAll(DAYS)) day.tabIndex = day === cell ? 0 : -1;
}

function move(event) {
  const cell = event.target.closest(CELL.selector);
  if (!cell || event.altKey || event.metaKey) return;
  const days = [...document.querySelectorAll(CELL.selector)];
  const target = days[destination(event, cell, days)];
  if (!target) return;
  event.preventDefault();
  target.focus();
}

/** The index of the day that a key leads to; days of the months that are shown follow each other. */
function destination({ key, ctrlKey }, cell, days) {
  const at = days.indexOf(cell);
  if (ctrlKey) return { Home: 0, End: days.length - 1 }[key];
  const month = [...cell.closest("table").querySelectorAll(DAYS)];
  const first = days.indexOf(month[0]);
  const weekday = cell.cellIndex;
  return {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at - COLUMNS,
    ArrowDown: at + COLUMNS,
    Home: Math.max(at - weekday, first),
    End: Math.min(at + COLUMNS - 1 - weekday, first + month.length - 1),
  }[key];
}
