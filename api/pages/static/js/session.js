// The session of whoever is logged in, as a page sees it: a token for the feed, and what to do when it ends meanwhile.

import { say } from "./live.js";
import { load } from "./refresh.js";

const DEADLINE_MS = 15_000;

/**
 * Asks for a token each time the feed connects. Where the session turns out to have ended, #ended says so, and also when
 * there is one again: somebody has logged in in another tab, and the forms of this page are made theirs.
 */
export function liveToken() {
  let ended = false;
  return async () => {
    const answer = await askForToken();
    if (answer.status === 401 && !ended) tell((ended = true));
    const token = await tokenIn(answer);
    if (ended) {
      await adopt();
      tell((ended = false));
    }
    return token;
  };
}

/** The same for a page that everybody may see: whoever is not logged in any more goes on as a stranger, by null. */
export async function tokenOfVisitor() {
  const answer = await askForToken();
  return answer.status === 401 ? null : tokenIn(answer);
}

function askForToken() {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  return fetch("/live-token", { method: "POST", headers: { Accept: "application/json" }, signal });
}

async function tokenIn(answer) {
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return (await answer.json()).token;
}

function tell(ended) {
  const place = document.getElementById("ended");
  if (!place) return;
  place.textContent = say(ended ? "ended" : "back");
  place.classList.toggle("bad", ended);
  place.classList.toggle("good", !ended);
  place.hidden = false;
  if (!ended) return;
  const link = document.createElement("a");
  link.href = "/login";
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = say("log_in");
  place.append(" ", link);
}

/** A form carries the token of the session it came from; those of the new session are on any page of it. */
async function adopt() {
  const fresh = (await load(location.pathname)).querySelector("input[name=csrf]");
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = fresh?.value ?? field.value;
}
