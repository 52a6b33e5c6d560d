// Parts of the page, fetched anew and put in place: the server renders, here is only what has changed.
//
// What was rendered before an event that the page has heard of is not shown: it is asked for again. A page that is the
// last snapshot of bad times asks until they are over, one that is gone or of another version loads itself again.

import { newestHeard, say } from "./live.js";
import { inReadersTime } from "./times.js";

const LEAST_PAUSE_MS = 300;
const SPREAD_MS = 700;
const RETRY_MS = 5000;
const SNAPSHOT_MS = 10_000;
const LONGEST_PAUSE_MS = 120_000;
const DEADLINE_MS = 15_000;
const PATIENCE = 3;
const GONE = [404, 410];
const TIMES = ["as-of", "snapshot"]; // what tells how old the page is

const page = document.documentElement;
let timer = null;
let dueAt = Infinity;
let notBefore = 0;
let loading = false;
let wanted = new Set();
let whole = [];
let failures = 0;
let typedIn = false;

document.addEventListener("input", ({ target }) => (typedIn ||= target.form?.method === "post"));

/** Brings the elements with these ids up to date, soon and together; visitors do not all ask at the same moment. */
export function refreshSoon(...ids) {
  wanted = new Set([...wanted, ...ids]);
  again(LEAST_PAUSE_MS, SPREAD_MS);
}

/** Says which elements are all of the page that changes: they are brought up to date when bad times are over. */
export function healAfterwards(...ids) {
  whole = ids;
  if (isSnapshot(document)) again(SNAPSHOT_MS, RETRY_MS);
}

/** Whether a document is older than what the page has heard of since. */
export function isBehind(fresh) {
  return Number(fresh.documentElement.dataset.seq) < newestHeard();
}

function isSnapshot({ documentElement }) {
  return documentElement.dataset.snapshot === "past";
}

/** Sooner than planned, if at all: but not before the server wants to be asked again. */
function again(pause, spread) {
  const at = Math.max(performance.now() + pause + Math.random() * spread, notBefore);
  if (loading || at >= dueAt) return;
  clearTimeout(timer);
  dueAt = at;
  timer = setTimeout(refresh, at - performance.now());
}

async function refresh() {
  dueAt = Infinity;
  loading = true;
  const ids = [...wanted];
  wanted.clear();
  const pause = await attempt(ids).catch(failed);
  loading = false;
  if (pause) ids.forEach((id) => wanted.add(id));
  else failures = 0;
  if (pause) again(pause, pause / 2);
  else if (wanted.size) again(LEAST_PAUSE_MS, SPREAD_MS);
}

/** Puts the elements in place; or returns after how long it is to be tried again. */
async function attempt(ids) {
  const address = location.href;
  const heard = newestHeard();
  const fresh = await load(address);
  if (isOfAnotherVersion(fresh)) return reload();
  if (isSnapshot(fresh)) {
    page.dataset.snapshot = "past";
    failures = 0;
    return SNAPSHOT_MS;
  }
  if (location.href !== address) return LEAST_PAUSE_MS;
  // What was asked for after the event is believed in the end: it may have been rendered as the event came, uncounted.
  if (isBehind(fresh) && (newestHeard() > heard || failures < PATIENCE)) return backedOff(LEAST_PAUSE_MS);
  const parts = isSnapshot(document) ? new Set([...whole, ...ids]) : ids;
  for (const id of [...parts, ...TIMES]) replace(document.getElementById(id), fresh.getElementById(id));
  page.dataset.snapshot = fresh.documentElement.dataset.snapshot;
  document.dispatchEvent(new CustomEvent("refreshed", { detail: [...parts] }));
  return 0;
}

function failed({ status, retryAfterMs }) {
  if (GONE.includes(status)) return reload();
  const pause = Math.max(backedOff(RETRY_MS), retryAfterMs || 0);
  if (status) notBefore = performance.now() + pause;
  return pause;
}

function backedOff(pause) {
  failures += 1;
  return Math.min(pause * 2 ** (failures - 1), LONGEST_PAUSE_MS);
}

/** Loads the page again, all of it; where somebody has typed into it, says that it is time to. */
function reload() {
  if (typedIn || document.querySelector("form[data-unsaved]")) offerReload();
  else location.reload();
  return 0;
}

function offerReload() {
  if (document.getElementById("outdated")) return;
  const notice = document.createElement("p");
  notice.id = "outdated";
  notice.className = "notice stale wide";
  notice.role = "status";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = say("reload");
  button.addEventListener("click", () => location.reload());
  notice.append(say("outdated"), " ", button);
  document.getElementById("connection").after(notice);
}

function isOfAnotherVersion(fresh) {
  const [mine, other] = [document, fresh].map((of) => of.querySelector("link[rel=stylesheet]")?.getAttribute("href"));
  return Boolean(other) && mine !== other;
}

/** The page behind `url` as a document; nothing in it is run. */
export async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!answer.ok) {
    const retryAfterMs = 1000 * Number(answer.headers.get("Retry-After"));
    throw Object.assign(new Error(`status ${answer.status}`), { status: answer.status, retryAfterMs });
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  inReadersTime(fresh);
  return fresh;
}

function replace(old, fresh) {
  if (!old || !fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
