// Forms that people write in: sent once, however often the button is pressed, not into the void and not left by mistake.
//
// <form data-once> is sent once; <form data-guarded> warns whoever leaves it with changes, and is sent to a server that
// answers only. data-unsaved: there were some when the page came.

import { say } from "./live.js";

const ANSWER_WITHIN_MS = 4000;

const guarded = [...document.querySelectorAll("form[data-guarded]")];
for (const form of guarded) form.addEventListener("submit", (event) => askFirst(form, event));
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

const before = new Map(guarded.map((form) => [form, written(form)]));

addEventListener("beforeunload", (event) => {
  if (guarded.some((form) => !form.dataset.sent && isChanged(form))) event.preventDefault();
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent; // the back button brings it back as it was
});

/** The browser's own page would take the place of a form that nobody answers to, and its words would be gone. */
async function askFirst(form, event) {
  if (form.dataset.answered) {
    delete form.dataset.answered;
    return;
  }
  event.preventDefault();
  const button = event.submitter;
  form.querySelector(".unsent")?.remove();
  try {
    const answer = await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
  } catch {
    showUnsent(form, button);
    return;
  }
  form.dataset.answered = "yes";
  form.requestSubmit(button);
}

function showUnsent(form, button) {
  const notice = document.createElement("p");
  notice.className = "notice bad unsent";
  notice.role = "alert";
  notice.textContent = say("unsent");
  const place = button?.closest(".actions");
  if (place) place.before(notice);
  else form.append(notice);
  notice.scrollIntoView({ block: "center" });
}

/** Whether anything in the form is not as it is stored. */
export function isChanged(form) {
  return "unsaved" in form.dataset || before.get(form) !== written(form);
}

/** All that was filled in, to be compared. */
export function written(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrf"));
}
