// Forms that people write in: sent once, however often the button is pressed, and not left by mistake.
//
// <form data-once> is sent once; <form data-guarded> warns whoever leaves it with changes. data-unsaved: there were some
// when the page came.

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}

const guarded = [...document.querySelectorAll("form[data-guarded]")];
const before = new Map(guarded.map((form) => [form, written(form)]));

addEventListener("beforeunload", (event) => {
  if (guarded.some((form) => !form.dataset.sent && isChanged(form))) event.preventDefault();
});
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent; // the back button brings it back as it was
});

/** Whether anything in the form is not as it is stored. */
export function isChanged(form) {
  return "unsaved" in form.dataset || before.get(form) !== written(form);
}

/** All that was filled in, to be compared. */
export function written(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrf"));
}
