// Who else is editing an incident: faces above the form, and a name beside the field that each of them is in.

import { say } from "./live.js";

export class Presence {
  #list = document.getElementById("editors");
  #told = document.getElementById("people-told");
  #own;
  #people = new Map();
  #unheard = new Set();

  /** @param {string} own the id of whoever looks: another window of theirs is nobody else. */
  constructor(own) {
    this.#own = own;
    for (const item of this.#list.children) {
      this.#people.set(item.dataset.user, { name: item.dataset.name, field: item.dataset.in });
    }
    this.#show();
  }

  /** Keeps up with a feed that is in the incident's room. */
  follow(feed) {
    feed.on("connected", () => (this.#unheard = new Set(this.#people.keys())));
    feed.on("incident-editing", (data) => this.#heard(data));
    feed.on("user-left", ({ userId }) => this.#gone(userId));
    feed.on("joined", () => [...this.#unheard].forEach((id) => this.#gone(id))); // who left while the feed was away
    return this;
  }

  #heard({ userId, userName, isEditing, field }) {
    this.#unheard.delete(userId);
    if (userId === this.#own) return;
    if (!isEditing) {
      this.#gone(userId);
      return;
    }
    if (!this.#people.has(userId)) this.#told.textContent = say("joined", { name: userName });
    this.#people.set(userId, { name: userName, field });
    this.#show();
  }

  #gone(id) {
    const person = this.#people.get(id);
    this.#unheard.delete(id);
    if (!this.#people.delete(id)) return;
    this.#told.textContent = say("left", { name: person.name });
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
  item.append(initial(name), " ", say("editing", { name }));
  return item;
}

function beside(name) {
  const note = document.createElement("p");
  note.className = "beside";
  note.append(initial(name), " ", say("editing_field", { name }));
  return note;
}

function initial(name) {
  const mark = document.createElement("span");
  mark.className = "face";
  mark.ariaHidden = "true";
  mark.textContent = [...name][0].toUpperCase();
  return mark;
}
