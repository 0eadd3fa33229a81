// The daemon's interface: reads with the token, and the feed of journal entries, which goes on after a break.

const KEY = "swap-miner-token";
const LONGEST_PAUSE_MS = 10_000;

export class Refused extends Error {}

/** The token of this tab; `#token=…` in the address sets it and is taken out of the address at once. */
export function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY);
}

export function keepToken(value) {
  sessionStorage.setItem(KEY, value.trim());
}

export function forgetToken() {
  sessionStorage.removeItem(KEY);
}

function headers(more = {}) {
  const held = token();
  return held ? { Authorization: `Bearer ${held}`, ...more } : more;
}

async function asked(path, more) {
  const answer = await fetch(path, { headers: headers(more), cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) throw new Refused((await answer.json()).detail);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ detail: answer.statusText }));
    throw new Error(told.detail);
  }
  return answer;
}

export async function read(path) {
  return (await asked(path)).json();
}

/** Every journal entry after a position, for ever: `onEntry(entry)`, `onState(connected, why)`. */
export async function follow(after, onEntry, onState) {
  let position = after;
  let pause = 500;
  for (;;) {
    try {
      const answer = await asked("/api/v1/events", { "Last-Event-ID": String(position) });
      onState(true, "");
      pause = 500;
      for await (const event of events(answer.body)) {
        position = Number(event.id ?? position);
        if (event.data) onEntry(JSON.parse(event.data));
      }
      onState(false, "the daemon ended the connection");
    } catch (error) {
      onState(false, error.message);
      if (error instanceof Refused) throw error;
    }
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) yield fields(block);
  }
}

function fields(block) {
  const found = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  return found;
}
