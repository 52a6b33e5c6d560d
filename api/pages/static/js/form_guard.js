// Protects the content of forms.
//
// <form data-once> is sent once, however often its button is pressed. <form data-guarded> asks for confirmation before a
// page with unsaved changes is left, and is sent only if the server responds. data-unsaved: the form was rendered with
// unsaved changes.

import { liveText } from "./live.js";

const RESPONSE_WITHIN_MS = 4000;

const guarded = [...document.querySelectorAll("form[data-guarded]")];
for (const form of guarded) form.addEventListener("submit", (event) => sendIfReachable(form, event));
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

const before = new Map(guarded.map((form) => [form, valuesOf(form)]));

addEventListener("beforeunload", (event) => {
  if (guarded.some((form) => !form.dataset.sent && isChanged(form))) event.preventDefault();
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent; // the back button restores the form
});

/** Sends the form after the server has responded to /health. The error page of the browser would replace the form. */
async function sendIfReachable(form, event) {
  if (form.dataset.reachable) {
    delete form.dataset.reachable;
    return;
  }
  event.preventDefault();
  const button = event.submitter;
  form.querySelector(".unsent")?.remove();
  try {
    const response = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(RESPONSE_WITHIN_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
  } catch {
    showUnsent(form, button);
    return;
  }
  form.dataset.reachable = "yes";
  form.requestSubmit(button);
}

function showUnsent(form, button) {
  const notice = document.createElement("p");
  notice.className = "notice bad unsent";
  notice.role = "alert";
  notice.textContent = liveText("unsent");
  const place = button?.closest(".actions");
  if (place) place.before(notice);
  else form.append(notice);
  notice.scrollIntoView({ block: "center" });
}

/** Whether the form has unsaved changes. */
export function isChanged(form) {
  return "unsaved" in form.dataset || before.get(form) !== valuesOf(form);
}

/** The values of the form as a string, for comparison. */
export function valuesOf(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrf"));
}
