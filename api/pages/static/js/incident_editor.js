// The form that changes an incident: which users edit which field, drafts, and notices of changes that others save.
// Without this script the form works, and shows the changes of others when it is sent.

import { Drafts } from "./drafts.js";
import { valuesOf } from "./form_guard.js";
import { connect, liveText, texts } from "./live.js";
import { Presence } from "./presence.js";
import { load } from "./refresh.js";
import { liveToken } from "./session.js";

const LEFT_AFTER_MS = 200;

const form = document.getElementById("editor");
const { incident, user } = form.dataset;
const version = Number(form.elements.version.value);
const feed = connect({ rooms: [`incident-${incident}`], token: liveToken() });

new Presence(user).follow(feed);
new Drafts(form, feed, { values: () => valuesOf(form), superseded: () => showNotice(liveText("saved_by_me"), true) });

feed.on("incident-updated", (data) => data.incidentId === incident && changed(data));
feed.on("incident-deleted", (data) => data.incidentId === incident && showNotice(liveText("deleted"), false));
feed.on("resync", () => compareVersions().catch(() => {}));
feed.on("joined", () => sendField());

/** Shows that another user has changed the incident, or added an update, while this form was open. */
function changed({ incident: saved, update }) {
  if (form.dataset.sent) return;
  if (saved && saved.version > version) showNotice(liveText("saved_elsewhere"), true);
  else if (update && notice().hidden) {
    showNotice(liveText("update_added", { name: update.author ?? "", status: texts.statuses[update.status] }), false);
  }
}

/** After missed events: loads the page to compare the versions. */
async function compareVersions() {
  const fresh = await load(location.pathname);
  if (Number(fresh.getElementById("editors").dataset.version) > version) showNotice(liveText("saved_elsewhere"), true);
}

function showNotice(text, toCompare) {
  document.getElementById("news-text").textContent = text;
  document.getElementById("see-changes").hidden = !toCompare;
  notice().hidden = false;
}

function notice() {
  return document.getElementById("news");
}

/** The field that has the focus. */
let where = null;
let leaving = null;

form.addEventListener("focusin", (event) => {
  clearTimeout(leaving);
  moved(event.target.closest("[data-field]")?.dataset.field ?? null);
});
form.addEventListener("focusout", () => {
  leaving = setTimeout(() => moved(null), LEFT_AFTER_MS); // the focus may move to another field
});

function moved(field) {
  if (field === where) return;
  where = field;
  sendField();
}

function sendField() {
  const sent = feed.send("incident-editing", { incidentId: incident, isEditing: true, field: where });
  sent.catch(() => {}); // the feed is away: it is sent again when it is back
}
