// Times for visitors in another time zone than the site's: the tooltip of each time shows the visitor's time, and a switch
// exchanges the two.
//
// Days stay those of the site's zone: uptime is counted by them. So does the console, where people write times.

import { liveText } from "./live.js";

const KEPT_AS = "times";
const OWN = "own";
const HALF_A_YEAR_MS = 183 * 86_400_000;

const page = document.documentElement;
const siteZone = page.dataset.zone;
const isConsole = Boolean(document.querySelector(".console"));
let ownZone = siteZone;
let atSite, atReader; // formats, where the two differ: to the minute and to the second
let own = false;

/** Adds tooltips to the times of a document or element; writes them in the visitor's zone if that is chosen. */
export function inReadersTime(root) {
  if (!atSite) return;
  const [shown, other, zone] = own ? [atReader, atSite, siteZone] : [atSite, atReader, ownZone];
  for (const time of root.querySelectorAll("time[datetime*=T]")) {
    const moment = new Date(time.dateTime);
    const exact = time.dataset.seconds === undefined ? "minute" : "second";
    time.title = `${other[exact].format(moment)} (${zone})`;
    if (own) time.textContent = endsOnTheSameDay(time, moment) ? clock(moment) : shown[exact].format(moment);
  }
}

/** The second time of a period, of which the server shows no day either. */
function endsOnTheSameDay(time, moment) {
  const from = time.previousElementSibling;
  if (!/^\d\d:\d\d$/.test(time.textContent.trim()) || from?.localName !== "time") return false;
  const day = new Intl.DateTimeFormat("en", { dateStyle: "short", timeZone: ownZone });
  return day.format(new Date(from.dateTime)) === day.format(moment);
}

function clock(moment) {
  return moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: ownZone });
}

/** As the server writes them: to the minute and, made when it is needed, to the second. */
function formatsIn(timeZone) {
  const make = (timeStyle) =>
    new Intl.DateTimeFormat(page.lang, { dateStyle: "medium", timeStyle, hourCycle: "h23", timeZone });
  let second;
  return { minute: make("short"), get second() { return (second ??= make("medium")); } };
}

function kept() {
  try {
    return localStorage.getItem(KEPT_AS) ?? "";
  } catch {
    return null; // a browser that keeps nothing
  }
}

function offerSwitch() {
  const button = document.getElementById("own-times");
  button.textContent = liveText("times_in", { zone: own ? siteZone : ownZone });
  button.hidden = false;
  button.addEventListener("click", () => {
    localStorage.setItem(KEPT_AS, own ? "" : OWN);
    location.reload();
  });
}

function whenIdle() {
  (window.requestIdleCallback ?? setTimeout)(start);
}

/** Adds tooltips, and the switch, if the zones differ. */
function start() {
  ownZone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (ownZone === siteZone) return;
  let formats;
  try {
    formats = [siteZone, ownZone].map(formatsIn);
  } catch {
    return; // a browser that does not know the site's zone by this name
  }
  const differs = (past) => new Set(formats.map(({ minute }) => minute.format(Date.now() - past))).size > 1;
  if (![0, HALF_A_YEAR_MS].some(differs)) return;
  [atSite, atReader] = formats;
  own = !isConsole && kept() === OWN;
  inReadersTime(document);
  if (own) {
    page.dataset.zone = ownZone; // charts go by it
    document.getElementById("zone").textContent = liveText("times_zones", { zone: ownZone, site: siteZone });
  }
  if (!isConsole && kept() !== null) offerSwitch();
}

// A browser takes long to make its first format: where the times stay as they are, the page is loaded first.
if (kept() === OWN) start();
else if (document.readyState === "complete") whenIdle();
else addEventListener("load", whenIdle, { once: true });
