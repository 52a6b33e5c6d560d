// Keeps the status page up to date: states as they change, the rest by loading parts of the page again after an event.

import { paintDay, STRIP } from "./day_strips.js";
import { dayAfter, followDays, makeSliders } from "./days.js";
import { connect, fill, liveText, texts } from "./live.js";
import { refreshAfterSnapshot, refreshSoon } from "./refresh.js";
import { filterServices, openGroups, unfold, unfoldSoon, whenIdle } from "./service_list.js";
import { groupSummaryOf, sentencesOf, summaryOf, WORST_FIRST } from "./summaries.js";

const WRITTEN = ["banner", "incidents", "maintenance", "upcoming", "past"];
const EVERYTHING = [...WRITTEN, "services"];
const MINUTE_MS = 60_000;
const MINUTES_OF_SERVICES = 5;
const EMPTY_MS = 5000;
const FRESH_MS = 2000;
const STATE = ":scope > .state";
const OPEN_GROUPS = "div.service-group, .service-group[open]";

const services = () => document.getElementById("services");

const card = followDays(document, STRIP);
const feed = connect({ rooms: ["system-status", "uptime"] });
let minutes = 0;

feed.on("status-update", ({ serviceId, status }) => {
  const row = rowOf(serviceId);
  if (!row) return refreshSoon(...EVERYTHING);
  if (!showState(row.querySelector(STATE), status)) return;
  highlight(row);
  document.getElementById("announcement").textContent = liveText("changed", {
    service: row.firstElementChild.textContent,
    state: texts.states[status],
  });
  summarise(row.closest("details"));
  summariseAll();
});

feed.on("uptime-updated", ({ serviceId, date, status }) => {
  const row = rowOf(serviceId);
  if (date > services().dataset.today) return refreshSoon(...EVERYTHING);
  if (!row) return;
  const strip = row.querySelector(STRIP.selector);
  const { first, codes } = STRIP.days(strip);
  const index = codes.findLastIndex((_, day) => dayAfter(first, day) === date);
  if (index >= 0) paintDay(strip, index, status);
  card.invalidate(serviceId);
});

for (const event of ["incident-created", "incident-updated", "incident-deleted", "maintenance-updated"]) {
  feed.on(event, () => refreshSoon(...WRITTEN));
}
feed.on("resync", () => refreshSoon(...EVERYTHING));
feed.on("database-away", () => refreshSoon(...EVERYTHING)); // the page shows that it is a snapshot
feed.on("recovered", () => refreshSoon(...EVERYTHING));
refreshAfterSnapshot(...EVERYTHING);

// Once a minute the parts with relative times are loaded again, and everything every few minutes, or each time while the
// socket is not connected, as behind some proxies. The services are not replaced while one of them has the focus.
setInterval(() => {
  if (document.hidden) return;
  minutes += 1;
  const due = !feed.connected || minutes % MINUTES_OF_SERVICES === 0;
  refreshSoon(...(due && !services().contains(document.activeElement) ? EVERYTHING : WRITTEN));
}, MINUTE_MS);
document.addEventListener("visibilitychange", () => document.hidden || refreshSoon(...WRITTEN));

// The socket has no event for the first service.
const waiting = setInterval(() => {
  if (services().querySelector("[data-service]")) clearInterval(waiting);
  else if (!document.hidden) refreshSoon(...EVERYTHING);
}, EMPTY_MS);

document.addEventListener("refreshed", ({ detail }) => {
  if (detail.includes("services")) {
    prepare();
    unfoldOpen();
  } else if (document.getElementById("banner").dataset.today !== services().dataset.today) {
    refreshSoon("services");
  }
});

function rowOf(id) {
  unfold(services());
  return services().querySelector(`[data-service="${CSS.escape(id)}"]`);
}

/** Shows the state of a row or a group. Returns whether it has changed. */
function showState(shown, status) {
  if (shown.classList.contains(status)) return false;
  shown.className = `state ${status}`;
  shown.textContent = texts.states[status];
  return true;
}

function highlight(row) {
  row.classList.remove("fresh");
  requestAnimationFrame(() => row.classList.add("fresh"));
  setTimeout(() => row.classList.remove("fresh"), FRESH_MS);
}

/** The number of services in an element by state. */
function count(element) {
  const counts = Object.fromEntries(WORST_FIRST.map((state) => [state, 0]));
  for (const row of element.querySelectorAll("[data-service]")) counts[row.querySelector(STATE).classList[1]] += 1;
  return counts;
}

function summarise(group) {
  if (!group) return;
  const [state, text] = groupSummaryOf(count(group));
  const summary = group.querySelector(".group-state");
  showState(summary.querySelector(STATE), state);
  summary.firstElementChild.textContent = liveText(...text);
}

function summariseAll() {
  const counts = count(services());
  const [state, headline] = summaryOf(counts, document.querySelector("#incidents article") !== null);
  const banner = document.getElementById("banner");
  banner.className = `banner ${state}`;
  banner.firstElementChild.className = `state ${state}`;
  document.getElementById("headline").textContent = liveText(`headline_${headline}`);
  document.getElementById("counts").textContent = sentencesOf(counts).map((text) => liveText(...text)).join(" ");
}

/** Prepares the filter; and when the browser has time the rows and strips of open groups, then the rows of the others. */
function prepare() {
  openGroups(services());
  filterServices(services());
  for (const group of services().querySelectorAll(OPEN_GROUPS)) {
    whenIdle(() => {
      unfold(group);
      makeSliders(group, STRIP, nameOf);
    });
  }
  unfoldSoon(services());
}

/** Inserts the rows of open groups now: they are shown already, or the browser is about to scroll to one of them. */
function unfoldOpen() {
  for (const group of services().querySelectorAll(OPEN_GROUPS)) unfold(group);
}

document.addEventListener("toggle", ({ target }) => {
  if (!target.open || target.dataset.opened !== "false") return; // `prepare` does it for the groups that the page opens
  unfold(target);
  whenIdle(() => makeSliders(target, STRIP, nameOf));
}, { capture: true });

function nameOf(strip) {
  return fill(texts.days_of, { service: strip.closest("[data-service]").firstElementChild.textContent });
}

if (location.hash || performance.getEntriesByType("navigation")[0]?.type !== "navigate") unfoldOpen();
prepare();
