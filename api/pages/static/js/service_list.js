// Groups of services: which are open, and which services are shown.

import { fill, texts } from "./live.js";

const FOLDED = "noscript";
const chosen = new Map(); // by group, whether the visitor has opened or closed it; kept when the list is refreshed
let typed = "";

document.addEventListener("click", (event) => {
  const group = event.target instanceof Element ? event.target.closest("summary")?.parentElement : null;
  if (group?.dataset.group !== undefined && !typed) chosen.set(group.dataset.group, !group.open);
});

document.addEventListener("input", (event) => {
  if (event.target.id !== "filter") return;
  typed = event.target.value.trim();
  apply(document.getElementById("services"));
});

/**
 * Inserts the rows that the page has in <noscript>, which a browser that runs scripts reads as plain text: a thousand rows
 * that are not on the screen do not delay those that are.
 */
export function unfold(within) {
  for (const folded of within.querySelectorAll(FOLDED)) {
    // In a document that was fetched instead of visited, <noscript> has elements.
    const part = folded.firstElementChild ? folded : new DOMParser().parseFromString(folded.textContent, "text/html").body;
    const list = part.querySelector("ul");
    const before = folded.previousElementSibling;
    if (before?.matches("ul")) before.append(...list.children);
    else folded.before(list);
    folded.remove();
  }
}

/** Inserts the rows of one group after another when the browser has time, so that its own search finds them. */
export function unfoldSoon(list) {
  for (const group of list.querySelectorAll(`:has(> ${FOLDED})`)) whenIdle(() => unfold(group));
}

/** Opens and closes the groups of a new list as they were before. */
export function openGroups(list) {
  for (const group of list.querySelectorAll("[data-group]")) {
    group.dataset.opened = String(group.open);
    if (chosen.has(group.dataset.group)) group.open = chosen.get(group.dataset.group);
  }
}

/** Shows the filter, if the list has one, with the text that was typed into it. */
export function filterServices(list) {
  const filter = list.querySelector("#filter");
  if (!filter) return;
  filter.parentElement.hidden = false;
  if (typed) {
    filter.value = typed;
    apply(list);
  }
}

/** Hides the services whose name does not match, and the groups that have none; the others are open. */
function apply(list) {
  unfold(list);
  const wanted = normalized(typed);
  let found = 0;
  for (const group of list.querySelectorAll(".service-group")) {
    let matching = 0;
    for (const row of group.querySelectorAll("[data-service]")) {
      row.hidden = !normalized(row.firstElementChild.textContent).includes(wanted);
      if (!row.hidden) matching += 1;
    }
    group.hidden = matching === 0;
    if (group.dataset.group !== undefined) group.open = wanted ? matching > 0 : wasOpen(group);
    found += matching;
  }
  const message = found ? fill(texts.filter_found, { count: found }) : texts.filter_none;
  list.querySelector("output").textContent = wanted ? message : "";
}

function wasOpen(group) {
  return chosen.get(group.dataset.group) ?? group.dataset.opened === "true";
}

function normalized(text) {
  return text.normalize("NFKC").toLocaleLowerCase();
}

/** Runs `work` when there is nothing more urgent. */
export function whenIdle(work) {
  (window.requestIdleCallback ?? setTimeout)(work);
}
