// An incident in the console: what others add appears, and what is being typed here is left alone.

import "./form_guard.js";
import { connect, say } from "./live.js";
import { Presence } from "./presence.js";
import { refreshSoon } from "./refresh.js";
import { liveToken } from "./session.js";

const { incident, here, user } = document.getElementById("incident-page").dataset;
history.replaceState(null, "", here); // a form that was refused has another address, which cannot be loaded again

const feed = connect({ rooms: [`incident-${incident}`], token: liveToken() });
new Presence(user).follow(feed);
feed.on("incident-updated", ({ incidentId }) => incidentId === incident && refresh());
feed.on("incident-comment", () => refreshSoon("comments"));
feed.on("resync", refresh);
feed.on("incident-deleted", ({ incidentId }) => {
  if (incidentId !== incident) return;
  const notice = document.getElementById("gone");
  notice.textContent = say("deleted_view");
  notice.hidden = false;
});

function refresh() {
  refreshSoon("incident-head", "timeline", "facts", "comments");
}
