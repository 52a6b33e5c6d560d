// The list of incidents in the console: refreshed after each event of an incident.

import { connect } from "./live.js";
import { refreshSoon } from "./refresh.js";
import { liveToken } from "./session.js";

const feed = connect({ token: liveToken() });
for (const event of ["incident-created", "incident-updated", "incident-deleted", "resync"]) {
  feed.on(event, () => refreshSoon("incidents"));
}
