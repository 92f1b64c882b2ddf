// Numbers and elements, as all parts of the page write them.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** A number or BigInt with its digits in groups. */
export const digits = (number) => whole.format(number);

/** A rate: exact while it is small, else three digits. */
export function rate(perSecond) {
  if (perSecond === null) return "–";
  const size = Math.abs(perSecond);
  if (size > 0 && size < 10) return perSecond.toFixed(1);
  return size < 100_000 ? whole.format(Math.round(perSecond)) : short.format(perSecond);
}

/** A time in milliseconds. */
export function duration(ms) {
  if (ms === null) return "–";
  if (ms === 0) return "0 ms";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** A time that is long, in its two largest units. */
export function longTime(ms) {
  const seconds = Math.ceil(ms / 1000);
  const units = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  const parts = units.slice(Math.max(first, 0)).slice(0, 2);
  let rest = seconds;
  const told = parts.map(([unit, size]) => {
    const number = Math.floor(rest / size);
    rest %= size;
    return number ? `${number} ${unit}` : "";
  });
  return told.filter(Boolean).join(" ") || "0 s";
}

export const timeOfDay = (date) => date.toLocaleTimeString("en-GB");

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element. What it holds is text or elements: never HTML, so no name can be markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Writes a text where it is not there yet: an unchanged element costs the browser nothing. */
export function write(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** Says something to those who listen to the page. */
export const say = (text) => write(byId("said"), text);
