// The page of an incident in the console: it shows what others add, and keeps what is typed.

import "./form_guard.js";
import { connect, liveText } from "./live.js";
import { Presence } from "./presence.js";
import { refreshSoon } from "./refresh.js";
import { liveToken } from "./session.js";

const { incident, here, user } = document.getElementById("incident-page").dataset;
history.replaceState(null, "", here); // the page of a refused form has the path of a POST route, which cannot be reloaded

const feed = connect({ rooms: [`incident-${incident}`], token: liveToken() });
new Presence(user).follow(feed);
feed.on("incident-updated", ({ incidentId }) => incidentId === incident && refresh());
feed.on("incident-comment", () => refreshSoon("comments"));
feed.on("resync", refresh);
feed.on("incident-deleted", ({ incidentId }) => {
  if (incidentId !== incident) return;
  const notice = document.getElementById("gone");
  notice.textContent = liveText("deleted_view");
  notice.hidden = false;
});

function refresh() {
  refreshSoon("incident-head", "timeline", "facts", "comments");
}
