// The embedded frame, kept up to date by asking now and then. It has no live connection: each page that it stands in
// would hold one open.

const main = () => document.getElementById("main");
const pauseMs = Number(main().dataset.refresh) * 1000;

setInterval(bringUpToDate, pauseMs);
document.addEventListener("visibilitychange", bringUpToDate);

async function bringUpToDate() {
  if (document.hidden) return;
  try {
    const signal = AbortSignal.timeout(pauseMs / 2);
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // What is shown stays; its time is told.
  }
}

function show(fresh) {
  document.documentElement.dataset.snapshot = fresh.documentElement.dataset.snapshot;
  const next = document.adoptNode(fresh.getElementById("main"));
  if (main().isEqualNode(next)) return;
  const focused = document.activeElement?.id;
  main().replaceWith(next);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
