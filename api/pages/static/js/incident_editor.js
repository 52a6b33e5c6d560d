// The form that changes an incident, beside colleagues: who is in which field, drafts, and what others save meanwhile.
// Without this script the same form works, and says what others saved when it is sent.

import { Drafts } from "./drafts.js";
import { written } from "./form_guard.js";
import { connect, say, texts } from "./live.js";
import { Presence } from "./presence.js";
import { load } from "./refresh.js";
import { liveToken } from "./session.js";

const LEFT_AFTER_MS = 200;

const form = document.getElementById("editor");
const { incident, user } = form.dataset;
const version = Number(form.elements.version.value);
const feed = connect({ rooms: [`incident-${incident}`], token: liveToken() });

new Presence(user).follow(feed);
new Drafts(form, feed, { written: () => written(form), superseded: () => tell(say("saved_by_me"), true) });

feed.on("incident-updated", (data) => data.incidentId === incident && changed(data));
feed.on("incident-deleted", (data) => data.incidentId === incident && tell(say("deleted"), false));
feed.on("resync", () => compareVersions().catch(() => {}));
feed.on("joined", () => sayWhere());

/** What others have done while this form was open: their words or fields, or the next word of the timeline. */
function changed({ incident: saved, update }) {
  if (form.dataset.sent) return;
  if (saved && saved.version > version) tell(say("saved_elsewhere"), true);
  else if (update && notice().hidden) {
    tell(say("update_added", { name: update.author ?? "", status: texts.statuses[update.status] }), false);
  }
}

/** What was missed is not known any more: the page itself says whether somebody has saved. */
async function compareVersions() {
  const fresh = await load(location.pathname);
  if (Number(fresh.getElementById("editors").dataset.version) > version) tell(say("saved_elsewhere"), true);
}

function tell(text, toCompare) {
  document.getElementById("news-text").textContent = text;
  document.getElementById("see-changes").hidden = !toCompare;
  notice().hidden = false;
}

function notice() {
  return document.getElementById("news");
}

/** Where this person is in the form. */
let where = null;
let leaving = null;

form.addEventListener("focusin", (event) => {
  clearTimeout(leaving);
  moved(event.target.closest("[data-field]")?.dataset.field ?? null);
});
form.addEventListener("focusout", () => {
  leaving = setTimeout(() => moved(null), LEFT_AFTER_MS); // from one field to the next is no leaving
});

function moved(field) {
  if (field === where) return;
  where = field;
  sayWhere();
}

function sayWhere() {
  const said = feed.say("incident-editing", { incidentId: incident, isEditing: true, field: where });
  said.catch(() => {}); // the feed is away: it is said again when it is back
}
