// A front end like the existing ones: axios with interceptors, and socket.io-client over WebSocket only.
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
    this.loggedOut = false; // a browser would show the login page
    this.events = []; // all events of the socket, in order
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

  // Sends a request and returns the response. A response with an error status is returned too.
  async request(method, path, data, headers = {}) {
    try {
      return await this.http.request({ method, url: path, data, headers });
    } catch (error) {
      if (!error.response) throw error;
      return error.response;
    }
  }

  // Connects with the token in the auth payload of Socket.IO, like the existing front ends.
  async connect() {
    this.socket = io(this.url, {
      transports: ["websocket"],
      auth: (send) => send(this.token ? { token: this.token } : {}),
      extraHeaders: { Origin: this.origin },
      reconnectionDelay: 100,
    });
    this.socket.onAny((event, data) => this.events.push({ event, data }));
    this.socket.on("disconnect", (reason) => this.events.push({ event: "disconnect", data: reason }));
    await this.connected();
  }

  connected() {
    return this.#waitUntil(`${this.name} to be connected`, () => this.socket.connected || undefined);
  }

  // Reconnects to another server from now on, as a load balancer does when a server is down.
  moveTo(url) {
    this.http.defaults.baseURL = url;
    this.socket.io.uri = url;
  }

  // Emits an event and returns the acknowledgement of the server.
  emit(event, data) {
    return this.socket.timeout(PATIENCE_MS).emitWithAck(event, data);
  }

  // Waits for the first event with this name and matching data, from index `from` on, and returns its data.
  waitForEvent(event, matches = () => true, from = 0) {
    const found = () => this.events.slice(from).find((received) => received.event === event && matches(received.data));
    return this.#waitUntil(`${this.name} to receive ${event}`, found).then((received) => received.data);
  }

  eventNames() {
    return [...new Set(this.events.map((received) => received.event))].sort();
  }

  async #waitUntil(description, condition) {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
      const found = condition();
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`timeout while waiting for ${description}; events: ${JSON.stringify(this.events.slice(-10))}`);
  }
}
