// The live feed of a page: one WebSocket to /ws that comes back by itself and misses nothing.
//
//   const feed = connect({ rooms: ["system-status"] });
//   feed.on("status-update", (data) => …);
//
// A lost connection shows itself in #connection and heals; what was missed meanwhile is sent by the server, after ?since=.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15000;
const SHOWN_AFTER_MS = 1500;
const ANSWER_WITHIN_MS = 15000;
const ANSWERS = new Set(["joined", "left", "editing", "saved", "commented", "error"]);
const OF_CONNECTION = new Set(["authenticated", "database-away", "resync"]); // their number is of no event
const UNAUTHORIZED = 4401;

/** The texts of [live] in the page's language; below `states` and `duration` those of these tables. */
export const texts = JSON.parse(document.getElementById("texts").textContent);

let newest = Number(document.documentElement.dataset.seq);

/** The number of the newest event that the page has heard of: what was rendered before it is older than the page. */
export function newestHeard() {
  return newest;
}

/** The text of [live] with its {placeholders} filled in. */
export function say(key, values = {}) {
  return fill(texts[key], values);
}

/** A text with its {placeholders} filled in; where it has plural forms, the one for `count`. */
export function fill(text, values) {
  const { lang } = document.documentElement;
  const form = typeof text === "string" ? text : (text[new Intl.PluralRules(lang).select(values.count)] ?? text.other);
  const shown = (value) => (typeof value === "number" ? value.toLocaleString(lang) : String(value));
  return form.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

/**
 * @param {{rooms?: string[], since?: number, token?: () => Promise<string | null>}} options `token` logs in, anew each
 *   time; null is nobody in particular.
 */
export function connect({ rooms = [], since = Number(document.documentElement.dataset.seq), token = null } = {}) {
  return new Feed(rooms, since, token);
}

class Feed {
  #rooms;
  #seq;
  #token;
  #listeners = new Map();
  #waiting = [];
  #entering = 0; // rooms of which it is not known yet whether the feed is let in
  #socket = null;
  #id = null;
  #pauseMs = FIRST_PAUSE_MS;
  #lostTimer = null;
  #lost = false;
  #leaving = false;
  #opening = false;

  constructor(rooms, since, token) {
    this.#rooms = rooms;
    this.#seq = since;
    this.#token = token;
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.#reopen());
    addEventListener("online", () => this.#socket ?? this.#open());
    this.#open();
  }

  /**
   * Calls `listener(data)` for each event of that name. `connected`, `lost` and, where it was lost, `recovered` tell of
   * the connection itself; `joined` and `refused` of the feed's own rooms.
   */
  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  /** Says something to the server; resolves to its answer, rejects with its error. Answers come in order. */
  say(event, data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("not connected"));
    this.#socket.send(JSON.stringify({ event, data }));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no answer")), ANSWER_WITHIN_MS);
      this.#waiting.push({ resolve, reject, timer });
    });
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  close() {
    this.#leaving = true;
    this.#socket?.close();
  }

  #reopen() {
    this.#leaving = false;
    this.#open();
  }

  async #open() {
    if (this.#socket || this.#opening) return;
    const query = new URLSearchParams({ rooms: this.#rooms.join(","), since: String(this.#seq) });
    if (this.#id) query.set("socket", this.#id);
    let credentials = null;
    if (this.#token) {
      this.#opening = true; // the browser may say that it is online meanwhile, or the page be left
      try {
        credentials = await this.#token();
      } catch {
        this.#missing();
        return;
      } finally {
        this.#opening = false;
      }
      if (this.#leaving) return;
      if (credentials) query.set("auth", "");
    }
    const url = new URL(`/ws?${query}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(url));
    socket.addEventListener("open", () => {
      if (credentials) socket.send(JSON.stringify({ event: "auth", data: { token: credentials } }));
    });
    socket.addEventListener("message", (message) => this.#hear(JSON.parse(message.data)));
    socket.addEventListener("close", (event) => this.#closed(event.code));
  }

  #hear({ event, data, seq }) {
    if (event === "hello") {
      this.#id = data.id;
      this.#entering = new Set(this.#rooms).size;
      this.#healed();
      return;
    }
    if (seq > this.#seq) this.#seq = seq;
    if (this.#entering && (event === "joined" || event === "error")) {
      this.#entering -= 1; // the server says of each room whether it may be entered before it answers anything
      this.#tell(event === "joined" ? "joined" : "refused", data);
    } else if (ANSWERS.has(event)) {
      this.#answered(event, data);
    } else {
      if (!OF_CONNECTION.has(event)) newest = Math.max(newest, seq);
      this.#tell(event, data);
    }
  }

  #answered(event, data) {
    const asked = this.#waiting.shift();
    if (!asked) return;
    clearTimeout(asked.timer);
    if (event === "error") asked.reject(Object.assign(new Error(data.error), data));
    else asked.resolve(data);
  }

  #tell(event, data) {
    for (const listener of this.#listeners.get(event) ?? []) listener(data);
  }

  #healed() {
    this.#pauseMs = FIRST_PAUSE_MS;
    clearTimeout(this.#lostTimer);
    this.#lostTimer = null;
    document.getElementById("connection").hidden = true;
    this.#tell("connected");
    if (this.#lost) this.#tell("recovered");
    this.#lost = false;
  }

  #closed(code) {
    this.#socket = null;
    for (const asked of this.#waiting.splice(0)) {
      clearTimeout(asked.timer);
      asked.reject(new Error("not connected"));
    }
    if (code !== UNAUTHORIZED || this.#token) this.#missing();
  }

  /** There is no connection: it is tried again, and said where that takes longer. */
  #missing() {
    if (this.#leaving) return;
    this.#lostTimer ??= setTimeout(() => this.#showLost(), SHOWN_AFTER_MS);
    setTimeout(() => this.#open(), this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
  }

  #showLost() {
    const notice = document.getElementById("connection");
    notice.textContent = say("lost", { time: document.getElementById("as-of").textContent });
    notice.hidden = false;
    this.#lost = true;
    this.#tell("lost");
  }
}
