// How amounts, ids and times are written, and elements made: as text, never as mark-up.
// Much of what is shown was written by strangers: nothing of it may act, or turn what stands after it around.

const ACTS = /[\p{Cc}\p{Cf}]/gu;

const DECIMALS = { tao: 9, btc: 8 };

/** A decimal string in the smallest unit, in the coin: `amount("3415500000", "tao")` is `3.4155 TAO`. */
export function amount(units, chain) {
  const places = DECIMALS[chain];
  if (units === null || units === undefined || places === undefined) return "–";
  const digits = String(units).padStart(places + 1, "0");
  const part = digits.slice(-places).replace(/0+$/, "");
  return `${digits.slice(0, -places)}${part ? `.${part}` : ""} ${chain.toUpperCase()}`;
}

export function short(id, kept = 6) {
  return id.length > 2 * kept + 1 ? `${id.slice(0, kept)}…${id.slice(-kept)}` : id;
}

export function clock(at) {
  return at ? new Date(at).toLocaleTimeString([], { hour12: false }) : "–";
}

/** An element with attributes and children; a string child is text. */
export function make(name, attributes = {}, ...children) {
  const found = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) found.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) found.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children) {
    if (child !== null && child !== undefined) {
      found.append(typeof child === "string" ? child.replace(ACTS, "\uFFFD") : child);
    }
  }
  return found;
}
