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
const UNAUTHORIZED = 4401;

/** The texts of [live] in the page's language; below `states` and `duration` those of these tables. */
export const texts = JSON.parse(document.getElementById("texts").textContent);

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
 * @param {{rooms?: string[], since?: number, token?: () => Promise<string>}} options `token` logs in, anew each time.
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
  #socket = null;
  #id = null;
  #pauseMs = FIRST_PAUSE_MS;
  #lostTimer = null;
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

  /** Calls `listener(data)` for each event of that name; `connected` and `lost` tell of the connection itself. */
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
        this.#again();
        return;
      } finally {
        this.#opening = false;
      }
      if (this.#leaving) return;
      query.set("auth", "");
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
      this.#healed();
      return;
    }
    if (seq > this.#seq) this.#seq = seq;
    if (ANSWERS.has(event) && !(event === "joined" && this.#rooms.includes(data.room))) this.#answered(event, data);
    else this.#tell(event, data);
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
  }

  #closed(code) {
    this.#socket = null;
    for (const asked of this.#waiting.splice(0)) {
      clearTimeout(asked.timer);
      asked.reject(new Error("not connected"));
    }
    if (this.#leaving) return;
    if (code === UNAUTHORIZED && !this.#token) return;
    this.#lostTimer ??= setTimeout(() => this.#showLost(), SHOWN_AFTER_MS);
    this.#again();
  }

  #again() {
    setTimeout(() => this.#open(), this.#pauseMs * (0.5 + Math.random() / 2));
    this.#pauseMs = Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
  }

  #showLost() {
    const notice = document.getElementById("connection");
    notice.textContent = say("lost", { time: document.getElementById("as-of").textContent });
    notice.hidden = false;
    this.#tell("lost");
  }
}
