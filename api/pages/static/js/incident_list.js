// The list of the console, as it is now: the server renders it anew whenever something happens to an incident.

import { connect } from "./live.js";
import { refreshSoon } from "./refresh.js";
import { liveToken } from "./session.js";

const feed = connect({ token: liveToken() });
for (const event of ["incident-created", "incident-updated", "incident-deleted", "resync"]) {
  feed.on(event, () => refreshSoon("incidents"));
}
