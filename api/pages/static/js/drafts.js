// Saves the form as a draft one second after the last input: through the feed, or by a request while it is not connected.

import { liveText } from "./live.js";

const PAUSE_MS = 1000;
const AGAIN_MS = 5000;
const SAVED_SINCE = "CONFLICT";
const MOST_BYTES = 60000; // of the draft in a message, which has other fields too

export class Drafts {
  #form;
  #feed;
  #state = document.getElementById("draft-state");
  #timer = null;
  #saved;
  #saving = false;
  #values;
  #superseded;

  /**
   * @param {HTMLFormElement} form
   * @param {object} feed
   * @param {{values: () => string, superseded: () => void}} hooks `values` returns the values of the form. `superseded` is
   *   called if the user has saved the form in another window.
   */
  constructor(form, feed, { values, superseded }) {
    this.#form = form;
    this.#feed = feed;
    this.#values = values;
    this.#saved = values();
    this.#superseded = superseded;
    form.addEventListener("input", () => this.#saveLater());
    feed.on("joined", () => this.#pending && this.#saveLater(0));
    feed.on("lost", () => this.#pending && this.#showState("draft_away"));
    addEventListener("pagehide", () => this.#sendBeforeClose());
    document.addEventListener("visibilitychange", () => document.hidden && this.#pending && this.#saveLater(0));
  }

  get #pending() {
    return !this.#form.dataset.sent && this.#values() !== this.#saved;
  }

  #saveLater(pause = PAUSE_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), pause);
  }

  async #save() {
    if (this.#saving || !this.#pending) return;
    const values = this.#values();
    this.#saving = true;
    try {
      const data = draft(new FormData(this.#form));
      const short = new Blob([JSON.stringify(data)]).size < MOST_BYTES;
      const saved = this.#feed.connected && short ? await this.#sendByFeed(data) : await this.#sendByRest();
      this.#saved = values;
      this.#showState("draft_saved", { time: clock(saved) });
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#saving = false;
    }
    if (this.#pending) this.#saveLater();
  }

  async #sendByFeed(data) {
    const baseVersion = Number(this.#form.elements.version.value);
    const message = { incidentId: this.#form.dataset.incident, baseVersion, data };
    const { timestamp } = await this.#feed.send("auto-save", message);
    return timestamp;
  }

  async #sendByRest() {
    const response = await fetch(this.#place, { method: "POST", body: new FormData(this.#form) });
    const body = await response.json();
    if (!response.ok) throw Object.assign(new Error(body.error), body);
    return body.draft.savedAt;
  }

  #failed(error) {
    if (error.code === SAVED_SINCE) {
      this.#saved = this.#values(); // no retry: the page shows a notice
      this.#state.textContent = "";
      this.#superseded();
      return;
    }
    if (error.code) this.#showState("draft_failed", { reason: error.message });
    else this.#showState("draft_away");
    this.#saveLater(AGAIN_MS);
  }

  /** Sends unsaved input when the tab is closed. */
  #sendBeforeClose() {
    if (this.#pending) navigator.sendBeacon(this.#place, new FormData(this.#form));
  }

  get #place() {
    return this.#form.getAttribute("action").replace(/edit$/, "draft");
  }

  #showState(key, values) {
    this.#state.textContent = liveText(key, values);
  }
}

/** The fields by the names and types of REST; `base` has the values that the form was rendered with. */
function draft(fields) {
  const data = { affectedServices: fields.getAll("affectedServices"), public: fields.get("public") === "yes" };
  for (const name of ["title", "description", "severity", "priority", "reporter", "detectionCriteria", "postmortem"]) {
    data[name] = fields.get(name);
  }
  data.base = JSON.parse(fields.get("base"));
  return data;
}

function clock(moment) {
  const zone = document.documentElement.dataset.zone;
  return new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone });
}
