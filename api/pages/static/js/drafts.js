// What is being typed, kept as a draft a second after the last key: over the feed, or by a request where it is away.

import { say } from "./live.js";

const PAUSE_MS = 1000;
const AGAIN_MS = 5000;
const SAVED_SINCE = "CONFLICT";
const MOST_BYTES = 60000; // of one message, to which the feed adds its own words

export class Drafts {
  #form;
  #feed;
  #state = document.getElementById("draft-state");
  #timer = null;
  #kept;
  #saving = false;
  #written;
  #superseded;

  /**
   * @param {HTMLFormElement} form
   * @param {object} feed
   * @param {{written: () => string, superseded: () => void}} hooks `superseded`: its user has saved in another window.
   */
  constructor(form, feed, { written, superseded }) {
    this.#form = form;
    this.#feed = feed;
    this.#written = written;
    this.#kept = written();
    this.#superseded = superseded;
    form.addEventListener("input", () => this.#soon());
    feed.on("joined", () => this.#pending && this.#soon(0));
    feed.on("lost", () => this.#pending && this.#tell("draft_away"));
    addEventListener("pagehide", () => this.#last());
    document.addEventListener("visibilitychange", () => document.hidden && this.#pending && this.#soon(0));
  }

  get #pending() {
    return !this.#form.dataset.sent && this.#written() !== this.#kept;
  }

  #soon(pause = PAUSE_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#keep(), pause);
  }

  async #keep() {
    if (this.#saving || !this.#pending) return;
    const words = this.#written();
    this.#saving = true;
    try {
      const data = draft(new FormData(this.#form));
      const short = new Blob([JSON.stringify(data)]).size < MOST_BYTES;
      const saved = this.#feed.connected && short ? await this.#say(data) : await this.#send();
      this.#kept = words;
      this.#tell("draft_saved", { time: clock(saved) });
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#saving = false;
    }
    if (this.#pending) this.#soon();
  }

  async #say(data) {
    const baseVersion = Number(this.#form.elements.version.value);
    const { timestamp } = await this.#feed.say("auto-save", { incidentId: this.#form.dataset.incident, baseVersion, data });
    return timestamp;
  }

  async #send() {
    const answer = await fetch(this.#place, { method: "POST", body: new FormData(this.#form) });
    const said = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(said.error), said);
    return said.draft.savedAt;
  }

  #failed(error) {
    if (error.code === SAVED_SINCE) {
      this.#kept = this.#written(); // there is nothing to be tried again: the page says what has happened
      this.#state.textContent = "";
      this.#superseded();
      return;
    }
    if (error.code) this.#tell("draft_failed", { reason: error.message });
    else this.#tell("draft_away");
    this.#soon(AGAIN_MS);
  }

  /** The last words before a tab is closed. */
  #last() {
    if (this.#pending) navigator.sendBeacon(this.#place, new FormData(this.#form));
  }

  get #place() {
    return this.#form.getAttribute("action").replace(/edit$/, "draft");
  }

  #tell(key, values) {
    this.#state.textContent = say(key, values);
  }
}

/** As REST names and types the fields, and what the form was filled with. */
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
