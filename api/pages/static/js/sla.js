// The page /sla: other periods and sorts without a reload, a filter of services, and figures that follow changes.

import { connect } from "./live.js";
import { isBehind, load, refreshAfterSnapshot, refreshSoon } from "./refresh.js";
import { filterServices, openGroups } from "./service_list.js";

const LINKS = ".kinds a, .paging a, .sorts a";
const FEW_MINUTES_MS = 5 * 60_000;

let latestRequest = 0;

prepare();
document.addEventListener("refreshed", prepare);
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest(LINKS) : null;
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  show(link.href, link.id);
});
addEventListener("popstate", () => location.reload());

const feed = connect({ rooms: ["uptime"] });
for (const event of ["uptime-updated", "resync", "recovered", "database-away"]) {
  feed.on(event, () => refreshSoon("levels"));
}
refreshAfterSnapshot("levels");

// There is no event for policies and corrections, nor for checks that do not change the status of a day.
setInterval(() => document.hidden || refreshSoon("levels"), FEW_MINUTES_MS);

/** Shows the page behind a link. The focus stays at the link, or goes to the period where there is no such link. */
async function show(address, id) {
  const request = ++latestRequest;
  try {
    const fresh = await load(address);
    if (request !== latestRequest) return;
    history.pushState(null, "", address);
    document.title = fresh.title;
    document.getElementById("levels").replaceWith(document.adoptNode(fresh.getElementById("levels")));
    prepare();
    (document.getElementById(id) ?? document.querySelector(".kinds [aria-current]")).focus({ preventScroll: true });
    if (isBehind(fresh)) refreshSoon("levels");
  } catch {
    document.getElementById("trouble").hidden = request !== latestRequest;
  }
}

function prepare() {
  const list = document.getElementById("services");
  if (!list) return;
  openGroups(list);
  filterServices(list);
}
