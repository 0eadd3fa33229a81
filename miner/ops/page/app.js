// The page: asks how things stand, follows the journal, and shows both.

import { follow, forgetToken, keepToken, read, Refused, token } from "./api.js";
import { bars, dots, drawMap, ENDED, STATES } from "./draw.js";
import { amount, clock, make, short } from "./words.js";

const at = (id) => document.getElementById(id);
const REFRESH_MS = 10_000, SETTLE_MS = 400, MOST_SHOWN = 1000, PAGE = 500;
const REPLAYED = 1500, JOURNAL_SHOWN = 60, HOURS = 24, KEPT = 200;

let status = null, picked = null, timer = null, rows = new Map();
const born = new Map(), payouts = [], minutes = [], fees = { tao: [], btc: [] };

// trouble

function tell(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

function signedOut(text) {
  at("main").hidden = true;
  at("login").hidden = false;
  at("health").textContent = "no token";
  at("health").className = "bad";
  tell(text);
  at("token").focus();
}

// how things stand

async function refresh() {
  try {
    status = await read("/api/v1/status");
    const [swaps, recovery] = [await openSwaps(), await read("/api/v1/recovery?limit=50")];
    tell("");
    showStatus();
    showSwaps(swaps);
    showRecovery(recovery.entries);
  } catch (error) {
    if (error instanceof Refused) throw error;
    tell(`The daemon does not answer: ${error.message}. What is shown may be old; it is asked again.`);
    at("health").textContent = "not reached";
    at("health").className = "bad";
  }
}

async function openSwaps() {
  const states = STATES.filter((state) => !ENDED.has(state)).map((state) => `state=${state}`).join("&");
  const found = [];
  for (let before = ""; found.length < MOST_SHOWN;) {
    const page = await read(`/api/v1/swaps?${states}&limit=${PAGE}${before}`);
    found.push(...page.swaps);
    if (page.next_before === null) break;
    before = `&before=${page.next_before}`;
  }
  return found;
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(() => void refresh().catch(refused), SETTLE_MS);
}

function refused(error) {
  if (error instanceof Refused) signedOut(`The daemon refuses: ${error.message}`);
}

let setCounts = () => {};

function showStatus() {
  const paused = status.paused.length ? `; first sends are paused: ${status.paused.join(", ")}` : "";
  at("health").textContent = status.ready ? `following${paused}` : `not ready: ${status.reasons.join("; ")}`;
  at("health").className = status.ready && !paused ? "good" : "bad";
  at("height").textContent = status.finalised_height === null ? "" : `block ${status.finalised_height.toLocaleString()}`;
  document.title = `${status.ready ? "" : "! "}${status.open} open · swap-miner`;
  setCounts(status.counts);
  at("chips").replaceChildren(...STATES.filter((state) => status.counts[state]).map((state) => make("li", {},
    make("button", { type: "button", "aria-pressed": String(picked === state), onclick: () => pick(state) },
      `${state.toLowerCase()} ${status.counts[state].toLocaleString()}`))));
  showWallets();
  showNodes();
}

function showWallets() {
  const stopped = new Map(status.stopped_accounts.map((row) => [row.account, row.why]));
  at("wallets").replaceChildren(...status.wallets.map((row) => {
    const free = row.spendable === null ? null : BigInt(row.spendable), held = BigInt(row.reserved);
    const why = stopped.get(row.account);
    const share = free ? Number((held * 100n) / (free > held ? free : held || 1n)) : 0;
    return make("li", { class: why ? "bad" : "good" },
      make("div", {}, make("span", { title: row.account }, short(row.account))),
      make("div", {}, free === null ? "its chain does not answer" : `${amount(row.spendable, row.chain)} spendable`),
      make("progress", { max: 100, value: share, "aria-label": `${share} of 100 set aside` }),
      make("div", { class: "soft" }, `${amount(row.reserved, row.chain)} set aside for payouts`),
      why ? make("div", {}, `first sends are stopped: ${why}. `, make("code", {}, `swap-miner resume --account ${row.account}`)) : null);
  }));
  if (!status.wallets.length) at("wallets").append(make("li", {}, "not asked yet"));
}

function showNodes() {
  const best = Math.max(0, ...status.endpoints.map((row) => row.best ?? 0));
  const nodes = status.endpoints.map((row) => make("li", { class: row.connected ? "good" : "bad" },
    make("div", {}, row.url, row.used ? " (in use)" : ""),
    make("div", { class: "soft" }, row.connected
      ? `${best - (row.best ?? 0)} blocks behind the best, silent for ${Math.round(row.silent_s)} s`
      : `not of use: ${row.why || "not connected"}`)));
  const watch = status.leases.filter((row) => row.resource === "watch").map((row) => make("li", { class: "good" },
    make("div", {}, `watched by ${short(row.owner, 8)}`),
    make("div", { class: "soft" }, `lease epoch ${row.epoch}, until ${clock(row.until)} if it stops`)));
  at("nodes").replaceChildren(...nodes, ...watch);
}

// open swaps

function pick(state) {
  picked = picked === state ? null : state;
  at("filter").hidden = !picked;
  at("filter-state").textContent = (picked ?? "").toLowerCase();
  for (const row of rows.values()) row.element.hidden = picked !== null && row.state !== picked;
  if (picked && ENDED.has(picked)) at("filter-state").textContent += " (ended swaps: swap-miner swaps)";
  if (status) showStatus();
}

function left(swap) {
  return status.finalised_height === null ? null : swap.timeout_block - status.finalised_height;
}

function leftCell(swap) {
  const blocks = left(swap);
  const kind = blocks === null ? "" : blocks <= 3 ? " late" : blocks <= 20 ? " soon" : "";
  return make("td", { class: `left${kind}`, "data-label": "Blocks left" }, blocks === null ? "–" : String(blocks));
}

function element(swap) {
  return make("tr", { hidden: picked !== null && swap.state !== picked },
    make("td", { "data-label": "Swap" }, make("button", { type: "button", onclick: () => void showSwap(swap.swap_id),
      "aria-label": `swap ${swap.swap_id}: everything that is known of it` }, String(swap.swap_id))),
    make("td", { "data-label": "State" }, swap.state.toLowerCase()),
    make("td", { "data-label": "Pays" }, amount(swap.dest_amount, swap.dest_chain)),
    make("td", { "data-label": "Way" }, `${swap.source_chain.toUpperCase()} → ${swap.dest_chain.toUpperCase()}`),
    make("td", { "data-label": "Miner", title: swap.miner }, short(swap.miner)),
    leftCell(swap),
    make("td", { class: "why", "data-label": "Waits for" }, swap.reason.replaceAll("_", " ")));
}

function showSwaps(found) {
  const sorted = found.sort((a, b) => a.timeout_block - b.timeout_block || a.swap_id - b.swap_id);
  const before = rows;
  rows = new Map();
  for (const swap of sorted) {
    const made = element(swap), old = before.get(swap.swap_id);
    if (old && old.state !== swap.state) made.classList.add("moved");
    rows.set(swap.swap_id, { state: swap.state, element: made });
  }
  const focused = document.activeElement?.closest?.("#open tr")?.querySelector("button")?.textContent;
  at("open").tBodies[0].replaceChildren(...[...rows.values()].map((row) => row.element));
  if (focused) rows.get(Number(focused))?.element.querySelector("button").focus();
  at("open").hidden = !sorted.length;
  at("empty").hidden = sorted.length > 0;
  at("open-count").textContent = sorted.length ? `(${status.open.toLocaleString()})` : "";
  const held = sorted.filter((swap) => swap.needs_you);
  at("needs").hidden = !held.length;
  at("needs-list").replaceChildren(...held.map((swap) => make("li", {},
    `swap ${swap.swap_id} is held: ${swap.reason.replaceAll("_", " ")}. `, make("code", {}, swap.needs_you))));
}

async function showSwap(id) {
  const swap = await read(`/api/v1/swaps/${id}`);
  at("swap-title").textContent = `Swap ${id}: ${swap.state.toLowerCase()}`;
  const facts = {
    reason: swap.reason.replaceAll("_", " "), miner: swap.miner, "pays": amount(swap.dest_amount, swap.dest_chain),
    "to": swap.swap.user_dest_address, "user's payment": swap.payment?.txid, "payout": swap.payout?.txid,
    "payout's lane": swap.payout?.state, "mark's lane": swap.mark?.state, "deadline": `block ${swap.timeout_block}`,
    "ended": swap.ending,
  };
  at("swap-facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value)
    .flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  at("swap-journal").replaceChildren(...swap.journal.toReversed().map(line));
  at("swap").showModal();
}

// the journal, and what follows from it

function what(entry) {
  if (entry.event === "NOTED" && entry.payload?.assigned) return "assigned";
  if (entry.event === "NOTED" && entry.payload?.waiting) return `waits: ${entry.payload.waiting.replaceAll("_", " ")}`;
  return entry.event.toLowerCase().replaceAll("_", " ");
}

function line(entry) {
  const moved = entry.before === entry.after ? "" : ` ${entry.before.toLowerCase()} → ${entry.after.toLowerCase()}`;
  const whose = entry.swap_id === undefined ? "" : ` swap ${entry.swap_id}:`;
  return make("li", {}, `${clock(entry.at)}${whose} ${what(entry)}`,
    make("span", { class: "soft" }, moved));
}

function heard(entry) {
  count(entry);
  at("journal").prepend(line(entry));
  while (at("journal").childElementCount > JOURNAL_SHOWN) at("journal").lastChild.remove();
  soon();
}

function count(entry) {
  const when = Date.parse(entry.at);
  if (entry.seq === 1) born.set(entry.swap_id, when);
  if (entry.event === "PAYOUT_INCLUDED" || entry.event === "PAYOUT_ADOPTED") payouts.push(when);
  if (entry.event === "MARK_FULFILLED" && born.has(entry.swap_id)) minutes.push((when - born.get(entry.swap_id)) / 60_000);
  const signed = entry.payload?.store?.signed;
  if (signed?.kind === "payment") fees[String(signed.slot).includes(":") ? "btc" : "tao"].push(Number(signed.fee));
  for (const values of [payouts, minutes, fees.tao, fees.btc]) values.splice(0, Math.max(0, values.length - KEPT));
}

function showCharts() {
  const hours = Array(HOURS).fill(0), now = Date.now();
  for (const when of payouts) {
    const ago = Math.floor((now - when) / 3_600_000);
    if (ago >= 0 && ago < HOURS) hours[HOURS - 1 - ago] += 1;
  }
  bars(at("chart-payouts"), hours, "payouts");
  dots(at("chart-time"), minutes, "minutes");
  const [unit, values] = fees.btc.length > fees.tao.length ? ["sat", fees.btc] : ["rao", fees.tao];
  dots(at("chart-fees"), values, unit, (value) => value.toLocaleString());
}

function showRecovery(entries) {
  at("recovery-empty").hidden = entries.length > 0;
  at("recovery").replaceChildren(...entries.map((entry) => make("li", {},
    `swap ${entry.swap_id}, ${entry.cause.replaceAll("_", " ")}: ${entry.means}. `, make("code", {}, entry.command))));
}

// beginning

async function begin() {
  at("login").hidden = true;
  try {
    await refresh();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    signedOut(token() ? `The daemon refuses: ${error.message}` : "");
    return;
  }
  at("main").hidden = false;
  const from = Math.max(0, (status?.journal_entries ?? 0) - REPLAYED);
  follow(from, heard, (connected, why) => {
    if (connected) soon();
    else tell(`The connection to the daemon is lost (${why}). It is tried again by itself.`);
  }).catch(refused);
}

setCounts = drawMap(at("map"), pick);
at("filter-off").addEventListener("click", () => pick(picked));
at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  forgetToken();
  keepToken(at("token").value);
  at("token").value = "";
  void begin();
});
setInterval(() => { if (!at("main").hidden) void refresh().catch(refused); }, REFRESH_MS);
showCharts();
setInterval(showCharts, 1000);
void begin();
