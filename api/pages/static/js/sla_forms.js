// The forms of SLA policies and corrections: rows are added in place, and a preview follows what is entered.

import { inReadersTime } from "./times.js";

const ROW = "[data-row]";
const PAUSE_MS = 700;
const DEADLINE_MS = 15_000;

for (const list of document.querySelectorAll("[data-rows]")) {
  list.querySelector("button[name=add]")?.addEventListener("click", (event) => {
    event.preventDefault();
    addRow(list);
  });
}

for (const form of document.querySelectorAll("form[data-preview]")) followWith(form);

/** Shows the preview of the form a moment after each change. The server renders it, as for the button. */
function followWith(form) {
  let timer = null;
  let request = null;
  const schedule = () => {
    clearTimeout(timer);
    timer = setTimeout(update, PAUSE_MS);
  };
  form.addEventListener("input", schedule);
  form.addEventListener("change", schedule);

  async function update() {
    request?.abort();
    request = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    body.set("preview", "1");
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(DEADLINE_MS)]);
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" }, signal });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const shown = page.getElementById("preview");
      if (!shown) return; // an error page, such as that of a session that has ended
      inReadersTime(page);
      document.getElementById("preview").replaceWith(document.adoptNode(shown));
    } catch {
      // The next change tries again.
    }
  }
}

/** Adds a copy of the last row without its values, and moves the focus to it. */
function addRow(list) {
  const prefix = list.dataset.rows;
  const rows = list.querySelectorAll(ROW);
  const [last, number] = [rows[rows.length - 1], rows.length];
  const row = last.cloneNode(true);
  row.classList.remove("wrong");
  row.querySelector(".problem")?.remove();
  row.removeAttribute("aria-describedby");
  row.id = `field-${prefix}-${number}`;
  row.ariaLabel = last.ariaLabel.replace(/\d+/, String(number + 1));
  for (const input of row.querySelectorAll("input")) {
    input.name = input.name.replace(/-\d+-/, `-${number}-`);
    if (input.type === "checkbox") input.checked = false;
    else input.value = "";
  }
  list.querySelector(`[name="${prefix}-rows"]`).value = String(number + 1);
  last.after(row);
  row.querySelector("input").focus();
}
