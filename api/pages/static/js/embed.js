// The embedded frame, refreshed by requests at intervals. It has no live connection: every embedding page would hold one.

const main = () => document.getElementById("main");
const pauseMs = Number(main().dataset.refresh) * 1000;

setInterval(bringUpToDate, pauseMs);
document.addEventListener("visibilitychange", bringUpToDate);

async function bringUpToDate() {
  if (document.hidden) return;
  try {
    const signal = AbortSignal.timeout(pauseMs / 2);
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal });
    if (response.ok) show(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    // What is shown stays, with its time.
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
