// The status page, kept up to date: states as they change, the rest fetched anew soon after an event.
//
// What the page says of all services follows from its rows by the rules of together() in api/pages/service_states.py, and
// what it says of a group by those of api/pages/status.py.

import { paintDay, STRIP } from "./day_strips.js";
import { dayAfter, followDays, makeSliders } from "./days.js";
import { connect, fill, say, texts } from "./live.js";
import { healAfterwards, refreshSoon } from "./refresh.js";
import { filterServices, openGroups, unfold, unfoldSoon, whenIdle } from "./service_list.js";

const WORST_FIRST = ["outage", "degraded", "unknown", "maintenance", "operational"];
const PEOPLE_SAID = ["banner", "incidents", "maintenance", "upcoming", "past"];
const EVERYTHING = [...PEOPLE_SAID, "services"];
const MINUTE_MS = 60_000;
const MINUTES_OF_SERVICES = 5;
const EMPTY_MS = 5000;
const FRESH_MS = 2000;
const STATE = ":scope > .state";

const services = () => document.getElementById("services");

const card = followDays(document, STRIP);
const feed = connect({ rooms: ["system-status", "uptime"] });
let minutes = 0;

feed.on("status-update", ({ serviceId, status }) => {
  const row = rowOf(serviceId);
  if (!row) return refreshSoon(...EVERYTHING);
  if (!showState(row.querySelector(STATE), status)) return;
  highlight(row);
  document.getElementById("announcement").textContent = say("changed", {
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
  card.forget(serviceId);
});

for (const event of ["incident-created", "incident-updated", "incident-deleted", "maintenance-updated"]) {
  feed.on(event, () => refreshSoon(...PEOPLE_SAID));
}
feed.on("resync", () => refreshSoon(...EVERYTHING));
feed.on("database-away", () => refreshSoon(...EVERYTHING)); // the page becomes a snapshot and says so
feed.on("recovered", () => refreshSoon(...EVERYTHING));
healAfterwards(...EVERYTHING);

// Once a minute what is told in words of time, and now and then all; each time where nothing comes through the socket,
// as behind some proxies. Not under the hands of who reads a strip.
setInterval(() => {
  if (document.hidden) return;
  minutes += 1;
  const due = !feed.connected || minutes % MINUTES_OF_SERVICES === 0;
  refreshSoon(...(due && !services().contains(document.activeElement) ? EVERYTHING : PEOPLE_SAID));
}, MINUTE_MS);
document.addEventListener("visibilitychange", () => document.hidden || refreshSoon(...PEOPLE_SAID));

// A first service is not told through the socket.
const waiting = setInterval(() => {
  if (services().querySelector("[data-service]")) clearInterval(waiting);
  else if (!document.hidden) refreshSoon(...EVERYTHING);
}, EMPTY_MS);

document.addEventListener("refreshed", ({ detail }) => {
  if (detail.includes("services")) prepare();
  else if (document.getElementById("banner").dataset.today !== services().dataset.today) refreshSoon("services");
});

function rowOf(id) {
  unfold(services());
  return services().querySelector(`[data-service="${CSS.escape(id)}"]`);
}

/** The state that a row or a group shows. Returns whether it is another one than before. */
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

/** How many of the services within are in each state. */
function count(within) {
  const known = Object.fromEntries(WORST_FIRST.map((state) => [state, 0]));
  for (const row of within.querySelectorAll("[data-service]")) known[row.querySelector(STATE).classList[1]] += 1;
  const total = WORST_FIRST.reduce((sum, state) => sum + known[state], 0);
  return { ...known, total, trouble: known.outage + known.degraded };
}

function summarise(group) {
  if (!group) return;
  const known = count(group);
  const summary = group.querySelector(".group-state");
  showState(summary.querySelector(STATE), WORST_FIRST.find((state) => known[state]));
  summary.firstElementChild.textContent = known.trouble
    ? say("group_trouble", { count: known.trouble, total: known.total })
    : say("group_good", { count: known.total });
}

function summariseAll() {
  const known = count(services());
  const [state, headline] = overall(known);
  const banner = document.getElementById("banner");
  banner.className = `banner ${state}`;
  banner.firstElementChild.className = `state ${state}`;
  document.getElementById("headline").textContent = say(`headline_${headline}`);
  document.getElementById("counts").textContent = sentences(known).join(" ");
}

/** The state of all, and which headline says it. */
function overall(known) {
  if (known.outage) return ["outage", "outage"];
  if (known.degraded) return ["degraded", "degraded"];
  if (document.querySelector("#incidents article")) return ["degraded", "incident"];
  if (known.unknown && !known.operational) return ["unknown", "unknown"];
  if (known.unknown) return ["operational", "no_problems"];
  return known.maintenance ? ["maintenance", "maintenance"] : ["operational", "operational"];
}

function sentences({ operational, maintenance, unknown, trouble, total }) {
  const told = [];
  if (trouble) told.push(say("counts_trouble", { count: trouble, total }));
  else if (operational === total) told.push(say("counts_good", { count: total }));
  else if (operational) told.push(say("counts_rest", { count: operational, total }));
  if (maintenance) told.push(say("counts_maintenance", { count: maintenance }));
  if (unknown) told.push(say("counts_unknown", { count: unknown }));
  return told;
}

/** What the services need that no listener on the document gives them: for what is seen, the rest as it opens. */
function prepare() {
  openGroups(services());
  filterServices(services());
  for (const group of services().querySelectorAll("div.service-group, .service-group[open]")) prepareStrips(group);
  unfoldSoon(services());
}

function prepareStrips(group) {
  unfold(group);
  whenIdle(() => makeSliders(group, STRIP, nameOf));
}

document.addEventListener("toggle", ({ target }) => {
  if (target.open && target.matches(".service-group")) prepareStrips(target);
}, { capture: true });

function nameOf(strip) {
  return fill(texts.days_of, { service: strip.closest("[data-service]").firstElementChild.textContent });
}

prepare();
