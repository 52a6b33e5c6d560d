// The session of the user: tokens for the feed, and a notice when the session has ended.

import { liveText } from "./live.js";
import { load } from "./refresh.js";

const DEADLINE_MS = 15_000;

/**
 * Returns a function that requests a token each time the feed connects. #ended shows when the session has ended. It
 * shows, too, when there is a new session after a login in another tab; the forms of the page then get its CSRF token.
 */
export function liveToken() {
  let ended = false;
  return async () => {
    const response = await requestToken();
    if (response.status === 401 && !ended) showNotice((ended = true));
    const token = await tokenIn(response);
    if (ended) {
      await replaceFormTokens();
      showNotice((ended = false));
    }
    return token;
  };
}

/** The same for a public page: null without a session. */
export async function tokenOfVisitor() {
  const response = await requestToken();
  return response.status === 401 ? null : tokenIn(response);
}

function requestToken() {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  return fetch("/live-token", { method: "POST", headers: { Accept: "application/json" }, signal });
}

async function tokenIn(response) {
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()).token;
}

function showNotice(ended) {
  const place = document.getElementById("ended");
  if (!place) return;
  place.textContent = liveText(ended ? "ended" : "back");
  place.classList.toggle("bad", ended);
  place.classList.toggle("good", !ended);
  place.hidden = false;
  if (!ended) return;
  const link = document.createElement("a");
  link.href = "/login";
  link.target = "_blank";
  link.rel = "noopener";
  link.textContent = liveText("log_in");
  place.append(" ", link);
}

/** Puts the CSRF token of the new session into the forms of the page. */
async function replaceFormTokens() {
  const fresh = (await load(location.pathname)).querySelector("input[name=csrf]");
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = fresh?.value ?? field.value;
}
