// Loads the page again and replaces the parts that have changed. Only the server renders.
//
// A response that is older than an event the page has received is discarded and requested again. While the response is a
// snapshot (the database is away), it is requested until it is live. A page that no longer exists or has another version
// is reloaded.

import { newestReceived, liveText } from "./live.js";
import { inReadersTime } from "./times.js";

const LEAST_PAUSE_MS = 300;
const SPREAD_MS = 700;
const RETRY_MS = 5000;
const SNAPSHOT_MS = 10_000;
const LONGEST_PAUSE_MS = 120_000;
const DEADLINE_MS = 15_000;
const PATIENCE = 3;
const GONE = [404, 410];
const TIMES = ["as-of", "snapshot"]; // the elements that show the age of the page

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

/** Refreshes the elements with these ids together, after a short random delay: visitors do not all request at once. */
export function refreshSoon(...ids) {
  wanted = new Set([...wanted, ...ids]);
  schedule(LEAST_PAUSE_MS, SPREAD_MS);
}

/** Names all elements that change: they are refreshed when the page is no longer a snapshot. */
export function refreshAfterSnapshot(...ids) {
  whole = ids;
  if (isSnapshot(document)) schedule(SNAPSHOT_MS, RETRY_MS);
}

/** Whether a document is older than the newest event received. */
export function isBehind(fresh) {
  return Number(fresh.documentElement.dataset.seq) < newestReceived();
}

function isSnapshot({ documentElement }) {
  return documentElement.dataset.snapshot === "past";
}

/** Schedules a refresh unless an earlier one is due; never before the time of Retry-After. */
function schedule(pause, spread) {
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
  if (pause) schedule(pause, pause / 2);
  else if (wanted.size) schedule(LEAST_PAUSE_MS, SPREAD_MS);
}

/** Replaces the elements and returns 0, or returns the pause in milliseconds before the next attempt. */
async function attempt(ids) {
  const address = location.href;
  const newest = newestReceived();
  const fresh = await load(address);
  if (isOfAnotherVersion(fresh)) return reload();
  if (isSnapshot(fresh)) {
    page.dataset.snapshot = "past";
    failures = 0;
    return SNAPSHOT_MS;
  }
  if (location.href !== address) return LEAST_PAUSE_MS;
  // A response to a request made after the event is accepted after `PATIENCE` attempts: it may include the event although
  // its number is lower.
  if (isBehind(fresh) && (newestReceived() > newest || failures < PATIENCE)) return backedOff(LEAST_PAUSE_MS);
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

/** Reloads the page; if it has input that is not saved, offers that instead. */
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
  button.textContent = liveText("reload");
  button.addEventListener("click", () => location.reload());
  notice.append(liveText("outdated"), " ", button);
  document.getElementById("connection").after(notice);
}

function isOfAnotherVersion(fresh) {
  const [mine, other] = [document, fresh].map((of) => of.querySelector("link[rel=stylesheet]")?.getAttribute("href"));
  return Boolean(other) && mine !== other;
}

/** The page behind `url` as a document; nothing in it is run. */
export async function load(url) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!response.ok) {
    const retryAfterMs = 1000 * Number(response.headers.get("Retry-After"));
    throw Object.assign(new Error(`status ${response.status}`), { status: response.status, retryAfterMs });
  }
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  inReadersTime(fresh);
  return fresh;
}

function replace(old, fresh) {
  if (!old || !fresh || old.isEqualNode(fresh)) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : null;
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}
