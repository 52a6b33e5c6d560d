// Parts of the page, fetched anew and put in place: the server renders, here is only what has changed.

const LEAST_PAUSE_MS = 300;
const SPREAD_MS = 700;
const RETRY_MS = 5000;

let timer = null;
let wanted = new Set();

/** Brings the elements with these ids up to date, soon and together; visitors do not all ask at the same moment. */
export function refreshSoon(...ids) {
  wanted = new Set([...wanted, ...ids]);
  timer ??= setTimeout(refresh, LEAST_PAUSE_MS + Math.random() * SPREAD_MS);
}

async function refresh() {
  timer = null;
  const ids = [...wanted];
  wanted.clear();
  try {
    const fresh = await load(location.href);
    for (const id of [...ids, "as-of"]) replace(document.getElementById(id), fresh.getElementById(id));
    document.documentElement.dataset.snapshot = fresh.documentElement.dataset.snapshot;
    document.dispatchEvent(new CustomEvent("refreshed", { detail: ids }));
  } catch {
    wanted = new Set([...wanted, ...ids]);
    timer ??= setTimeout(refresh, RETRY_MS * (1 + Math.random()));
  }
}

/** The page behind `url` as a document; nothing in it is run. */
export async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15000) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function replace(old, fresh) {
  if (!old || !fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
