// The live feed of a page: one WebSocket to /ws that comes back by itself and misses nothing.
//
//   const feed = connect({ rooms: ["system-status"] });
//   feed.on("status-update", (data) => …);
//
// While the connection is lost, #connection shows it. After reconnecting the server sends the missed events, by ?since=.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15000;
const SHOWN_AFTER_MS = 1500;
const RESPONSE_WITHIN_MS = 15000;
const RESPONSES = new Set(["joined", "left", "editing", "saved", "commented", "error"]);
const OF_CONNECTION = new Set(["authenticated", "database-away", "resync"]); // their number is not that of an event
const UNAUTHORIZED = 4401;

/** The texts of [live] in the page's language; below `states` and `duration` those of these tables. */
export const texts = JSON.parse(document.getElementById("texts").textContent);

let newest = Number(document.documentElement.dataset.seq);

/** The sequence number of the newest event received. A document with a lower one is older than this page. */
export function newestReceived() {
  return newest;
}

/** The text of [live] with its {placeholders} filled in. */
export function liveText(key, values = {}) {
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
 * @param {{rooms?: string[], since?: number, token?: () => Promise<string | null>}} options `token` returns the token
 *   for each connection; null is an anonymous one.
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
  #joining = 0; // the number of rooms without a response to the join
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
   * Calls `listener(data)` for each event of that name. `connected`, `lost` and, where it was lost, `recovered` are
   * events of the connection; `joined` and `refused` are those of the rooms in `rooms`.
   */
  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  /** Sends a message; resolves to the response, rejects with the error of the server. Responses arrive in order. */
  send(event, data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("not connected"));
    this.#socket.send(JSON.stringify({ event, data }));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no response")), RESPONSE_WITHIN_MS);
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
      this.#opening = true; // meanwhile the event "online" may arrive, or the page be left
      try {
        credentials = await this.#token();
      } catch {
        this.#connectLater();
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
    socket.addEventListener("message", (message) => this.#receive(JSON.parse(message.data)));
    socket.addEventListener("close", (event) => this.#closed(event.code));
  }

  #receive({ event, data, seq }) {
    if (event === "hello") {
      this.#id = data.id;
      this.#joining = new Set(this.#rooms).size;
      this.#connectionOpened();
      return;
    }
    if (seq > this.#seq) this.#seq = seq;
    if (this.#joining && (event === "joined" || event === "error")) {
      this.#joining -= 1; // the server sends these for each room before any response
      this.#emit(event === "joined" ? "joined" : "refused", data);
    } else if (RESPONSES.has(event)) {
      this.#settle(event, data);
    } else {
      if (!OF_CONNECTION.has(event)) newest = Math.max(newest, seq);
      this.#emit(event, data);
    }
  }

  #settle(event, data) {
    const request = this.#waiting.shift();
    if (!request) return;
    clearTimeout(request.timer);
    if (event === "error") request.reject(Object.assign(new Error(data.error), data));
    else request.resolve(data);
  }

  #emit(event, data) {
    for (const listener of this.#listeners.get(event) ?? []) listener(data);
  }

  #connectionOpened() {
    this.#pauseMs = FIRST_PAUSE_MS;
    clearTimeout(this.#lostTimer);
    this.#lostTimer = null;
    document.getElementById("connection").hidden = true;
    this.#emit("connected");
    if (this.#lost) this.#emit("recovered");
    this.#lost = false;
  }

  #closed(code) {
    this.#socket = null;
    for (const request of this.#waiting.splice(0)) {
      clearTimeout(request.timer);
      request.reject(new Error("not connected"));
    }
    if (code !== UNAUTHORIZED || this.#token) this.#connectLater();
  }

  /** Connects again after a pause; shows the lost connection after `SHOWN_AFTER_MS`. */
  #connectLater() {
    if (this.#leaving) return;
    this.#lostTimer ??= setTimeout(() => this.#showLost(), SHOWN_AFTER_MS);
    setTimeout(() => this.#open(), this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
  }

  #showLost() {
    const notice = document.getElementById("connection");
    notice.textContent = liveText("lost", { time: document.getElementById("as-of").textContent });
    notice.hidden = false;
    this.#lost = true;
    this.#emit("lost");
  }
}
