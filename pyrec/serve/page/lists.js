/* Lists of items with names, ids and scores. */

const LONGEST = 90;

/**
 * Rows of items into a list. `scores` may be null; `fallback` says which are there for their popularity, and `had` are
 * those of the history.
 */
export function showItems(list, ids, names, { scores = null, fallback = [], had = [], ranked = false, act = null } = {}) {
  const own = new Set(had);
  const template = document.getElementById("item-row");
  const digits = scores === null ? 0 : digitsOf(scores);
  const rows = ids.map((id, at) => {
    const row = template.content.cloneNode(true).firstElementChild;
    showName(row, id, names.get(id) ?? null);
    if (ranked) row.querySelector(".rank").textContent = `${at + 1}`;
    else row.querySelector(".rank").remove();
    if (scores === null) row.querySelector(".score").remove();
    else row.querySelector(".number").textContent = number(scores[at], digits);
    row.querySelector(".popular").hidden = !fallback[at];
    row.querySelector(".had").hidden = !own.has(id);
    if (act === null) row.querySelector(".acts").remove();
    else act(row, id, at);
    return row;
  });
  list.replaceChildren(...rows);
}

export function showName(part, id, name) {
  const shown = part.querySelector(".name");
  shown.textContent = shortened(name ?? id);
  shown.title = name ?? id;
  part.querySelector(".id").textContent = name === null ? "" : shortened(id);
}

/** A long text without its end. */
export function shortened(text) {
  const characters = [...text];
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join("").trimEnd()}…` : text;
}

/** Digits behind the point with which the largest of the numbers has three significant ones. */
export function digitsOf(values) {
  const largest = Math.max(...values.map(Math.abs), 0);
  if (values.every(Number.isInteger) || largest === 0) return 0;
  return Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(largest))));
}

export function number(value, digits, sign = false) {
  if (value === 0) return "0";
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const isZero = Number(Math.abs(value).toFixed(digits)) === 0;
  return `${value < 0 && !isZero ? "−" : sign && !isZero ? "+" : ""}${text}`;
}

export function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}
