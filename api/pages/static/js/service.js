// The page of one service, kept up to date: its state as it changes, the rest loaded again soon after.

import { dayAfter, followDays, makeSliders } from "./days.js";
import { paintDay, STRIP } from "./day_strips.js";
import { connect, fill, texts } from "./live.js";
import { refreshAfterSnapshot, refreshSoon } from "./refresh.js";
import { ResponseTimes } from "./response_times.js";
import { tokenOfVisitor } from "./session.js";

const FIGURES = ["head", "uptimes", "sla", "days", "outages", "checks"];
const EVERYTHING = [...FIGURES, "incidents"];
const MINUTE_MS = 60_000;
const COPIED_MS = 2000;

const { service, personal } = document.getElementById("service").dataset;
const chartTexts = JSON.parse(document.getElementById("chart-texts").textContent);
const days = () => document.getElementById("days");
const isInUse = (id) => document.getElementById(id)?.contains(document.activeElement);

/** The figures of the days are in the page. */
const OWN_STRIP = {
  ...STRIP,
  figures: (strip, index) => JSON.parse(strip.parentElement.querySelector("script").textContent)[index],
};

const times = new ResponseTimes(document.getElementById("times"));
followDays(document, OWN_STRIP);
prepareDays();
offerCopies();

// Events of private services are sent to users who are logged in only.
const feed = connect({ rooms: ["system-status", "uptime"], token: personal === undefined ? null : tokenOfVisitor });

feed.on("status-update", ({ serviceId, status }) => {
  if (serviceId !== service) return;
  const shown = document.getElementById("state");
  shown.className = `state ${status}`;
  shown.textContent = texts.states[status];
  refresh(EVERYTHING);
  times.soon();
});

feed.on("uptime-updated", ({ serviceId, date, status }) => {
  if (serviceId !== service) return;
  const strip = days().querySelector(STRIP.selector);
  const { first, codes } = STRIP.days(strip);
  const index = codes.findLastIndex((_, day) => dayAfter(first, day) === date);
  if (index >= 0) paintDay(strip, index, status);
  refresh(FIGURES);
});

for (const event of ["incident-created", "incident-updated", "incident-deleted"]) {
  feed.on(event, () => refresh(["incidents", "days"]));
}
feed.on("resync", () => refresh(EVERYTHING));
feed.on("database-away", () => refreshSoon(...EVERYTHING)); // the page shows that it is a snapshot
feed.on("recovered", () => {
  refresh(EVERYTHING);
  times.now();
});
refreshAfterSnapshot(...EVERYTHING);

// There is no event for checks that do not change the state.
setInterval(() => {
  if (!document.hidden && feed.connected) refresh(EVERYTHING);
}, MINUTE_MS);

document.addEventListener("refreshed", prepareDays);

/** Does not replace parts in which the visitor has the focus. */
function refresh(parts) {
  refreshSoon(...parts.filter((id) => !isInUse(id)));
}

function prepareDays() {
  const name = document.querySelector("h1").textContent;
  makeSliders(days(), OWN_STRIP, () => fill(texts.days_of, { service: name }));
}

/** A button beside each snippet, where the browser lets a page write to the clipboard. */
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const snippet of document.querySelectorAll(".snippet")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = chartTexts.copy;
    const what = [snippet.closest("details").querySelector("summary span"), snippet.querySelector("dt")];
    button.ariaLabel = [chartTexts.copy, ...what.map((element) => element.textContent)].join(": ");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(snippet.querySelector("code").textContent);
      button.textContent = chartTexts.copied;
      setTimeout(() => { button.textContent = chartTexts.copy; }, COPIED_MS);
    });
    snippet.querySelector("dd").append(button);
  }
}
