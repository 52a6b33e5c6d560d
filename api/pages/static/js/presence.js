// The other users who edit an incident: a list above the form, and the name of each beside the field they edit.

import { liveText } from "./live.js";

export class Presence {
  #list = document.getElementById("editors");
  #announcement = document.getElementById("people-announcement");
  #own;
  #people = new Map();
  #unconfirmed = new Set();

  /** @param {string} own the id of the user, who may have other windows open. */
  constructor(own) {
    this.#own = own;
    for (const item of this.#list.children) {
      this.#people.set(item.dataset.user, { name: item.dataset.name, field: item.dataset.in });
    }
    this.#show();
  }

  /** Follows a feed that has joined the room of the incident. */
  follow(feed) {
    feed.on("connected", () => (this.#unconfirmed = new Set(this.#people.keys())));
    feed.on("incident-editing", (data) => this.#received(data));
    feed.on("user-left", ({ userId }) => this.#gone(userId));
    feed.on("joined", () => [...this.#unconfirmed].forEach((id) => this.#gone(id))); // left while disconnected
    return this;
  }

  #received({ userId, userName, isEditing, field }) {
    this.#unconfirmed.delete(userId);
    if (userId === this.#own) return;
    if (!isEditing) {
      this.#gone(userId);
      return;
    }
    if (!this.#people.has(userId)) this.#announcement.textContent = liveText("joined", { name: userName });
    this.#people.set(userId, { name: userName, field });
    this.#show();
  }

  #gone(id) {
    const person = this.#people.get(id);
    this.#unconfirmed.delete(id);
    if (!this.#people.delete(id)) return;
    this.#announcement.textContent = liveText("left", { name: person.name });
    this.#show();
  }

  #show() {
    this.#list.replaceChildren(...[...this.#people.values()].map(face));
    for (const note of document.querySelectorAll(".beside")) note.remove();
    for (const { name, field } of this.#people.values()) {
      const place = field && document.querySelector(`[data-field="${CSS.escape(field)}"]`);
      if (place) place.prepend(beside(name));
    }
  }
}

function face({ name }) {
  const item = document.createElement("li");
  item.append(initial(name), " ", liveText("editing", { name }));
  return item;
}

function beside(name) {
  const note = document.createElement("p");
  note.className = "beside";
  note.append(initial(name), " ", liveText("editing_field", { name }));
  return note;
}

function initial(name) {
  const mark = document.createElement("span");
  mark.className = "face";
  mark.ariaHidden = "true";
  mark.textContent = [...name][0].toUpperCase();
  return mark;
}
