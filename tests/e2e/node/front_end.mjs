// A front end as those that exist are: axios with interceptors, and socket.io-client over websocket alone.
import axios from "axios";
import { io } from "socket.io-client";

const PATIENCE_MS = 25_000;

export class FrontEnd {
  constructor(name, url, origin) {
    this.name = name;
    this.url = url;
    this.origin = origin;
    this.token = null;
    this.user = null;
    this.loggedOut = false; // a browser would now show the login page
    this.heard = []; // every event of the socket, in order
    this.http = axios.create({
      baseURL: url,
      timeout: PATIENCE_MS,
      proxy: false,
      headers: { "Content-Type": "application/json", Origin: origin },
    });
    this.http.interceptors.request.use((config) => {
      if (this.token) config.headers.Authorization = `Bearer ${this.token}`;
      return config;
    });
    this.http.interceptors.response.use(
      (response) => response,
      (error) => {
        if (error.response?.status === 401) {
          this.token = null;
          this.loggedOut = true;
        }
        return Promise.reject(error);
      },
    );
  }

  async logIn(username, password) {
    const response = await this.http.post("/api/auth/login", { username, password });
    this.token = response.data.accessToken;
    this.user = response.data.user;
    return response;
  }

  // What axios rejects with is an answer too: {status, data, headers} for every call.
  async ask(method, path, data, headers = {}) {
    try {
      return await this.http.request({ method, url: path, data, headers });
    } catch (error) {
      if (!error.response) throw error;
      return error.response;
    }
  }

  // Connects as use-socket does, with the token in the payload that Socket.IO has for it.
  async connect() {
    this.socket = io(this.url, {
      transports: ["websocket"],
      auth: (give) => give(this.token ? { token: this.token } : {}),
      extraHeaders: { Origin: this.origin },
      reconnectionDelay: 100,
    });
    this.socket.onAny((event, data) => this.heard.push({ event, data }));
    this.socket.on("disconnect", (reason) => this.heard.push({ event: "disconnect", data: reason }));
    await this.connected();
  }

  connected() {
    return this.#patiently(`${this.name} to be connected`, () => this.socket.connected || undefined);
  }

  // What a load balancer does once a server is gone: the next attempt to reconnect meets another one.
  moveTo(url) {
    this.http.defaults.baseURL = url;
    this.socket.io.uri = url;
  }

  // The server's acknowledgement of one event.
  say(event, data) {
    return this.socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  }

  // The first event of this name that was heard after the `from`th and whose data fit; waits for it.
  hears(event, fits = () => true, from = 0) {
    const found = () => this.heard.slice(from).find((one) => one.event === event && fits(one.data));
    return this.#patiently(`${this.name} to hear ${event}`, found).then((one) => one.data);
  }

  names() {
    return [...new Set(this.heard.map((one) => one.event))].sort();
  }

  async #patiently(what, condition) {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
      const found = condition();
      if (found !== undefined) return found;
      await new Promise((wake) => setTimeout(wake, 5));
    }
    throw new Error(`waited in vain for ${what}; heard: ${JSON.stringify(this.heard.slice(-10))}`);
  }
}
