// The history and the page of one incident: refreshed soon after an event of an incident that they show.

import { connect } from "./live.js";
import { refreshAfterSnapshot, refreshSoon } from "./refresh.js";

const shown = document.querySelector("[data-incident]")?.dataset.incident;
const part = shown ? "incident" : "history";
const feed = connect();

for (const event of ["incident-created", "incident-updated", "incident-deleted"]) {
  feed.on(event, ({ incidentId, incident }) => {
    if (shown && shown !== (incidentId ?? incident.id)) return;
    if (shown && event === "incident-deleted") location.reload();
    else refreshSoon(part);
  });
}
feed.on("resync", () => refreshSoon(part));
feed.on("database-away", () => refreshSoon(part)); // the page shows that it is a snapshot
feed.on("recovered", () => refreshSoon(part));
refreshAfterSnapshot(part);
