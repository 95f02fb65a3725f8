/* Why an item is recommended: a sentence, what each item of the history has to do with it, and the layers. */

import { count, digitsOf, number, showName } from "./lists.js";

const MOST_PARTS = 8;
const LAYERS =
  "By layer: layer 0 is the user’s own embedding, and layer k is what reaches the user over k steps in the graph.";

/** The elements that show an answer of /explain. */
export function explained(answer) {
  const why = { ...answer, parts: answer.parts.filter((part) => part.value !== 0) };
  const shown = [paragraph(sentence(why)), ...why.notes.map((note) => paragraph(`${capital(note)}.`))];
  const [parts, rest] = [partRows(why), restRows(why)];
  if (parts.length + rest.length > 0) shown.push(table("Parts", why.score, parts, rest));
  const hidden = why.parts.length - MOST_PARTS;
  if (why.kind !== "exact" && hidden > 0) shown.push(paragraph(`${count(hidden, "other item")} of the history matter less.`));
  if (why.layers !== null) shown.push(paragraph(LAYERS), table("Layers", why.score, layerRows(why)));
  return shown;
}

function sentence(why) {
  const place = why.rank === null ? "" : `, place ${why.rank.toLocaleString("en")}`;
  const told = `Score ${number(why.score, digitsOf([why.score]))}${place}.`;
  if (why.parts.length > 0) return `${told} ${capital(why.meaning)}:`;
  return why.kind === "popularity" ? `${told} ${capital(why.meaning)}.` : told;
}

function partRows(why) {
  return why.parts.slice(0, MOST_PARTS).map((part) => [String(part.item), part.name, part.value]);
}

/** What else an exact score is made of, so that the rows sum to it. */
function restRows(why) {
  if (why.kind !== "exact") return [];
  const others = why.parts.slice(MOST_PARTS);
  const rows = [];
  if (others.length > 0) {
    rows.push([count(others.length, "other item"), null, others.reduce((sum, part) => sum + part.value, 0)]);
  }
  if (why.remainder !== null) rows.push([why.remainder_of, null, why.remainder]);
  return rows;
}

function layerRows(why) {
  return why.layers.map((value, layer) => [`weight ${number(why.layer_weights[layer], 2)}`, `Layer ${layer}`, value]);
}

/**
 * A row [id, name, value] each; those of `rows` have signed bars on one scale, those of `sums` have none. Values have
 * the digits of the score, and more if the largest would have less than two.
 */
function table(label, score, rows, sums = []) {
  const values = rows.map(([, , value]) => value);
  const low = Math.min(0, ...values);
  const span = Math.max(0, ...values) - low || 1;
  const digits = Math.max(digitsOf([score]), digitsOf(values) - 1);
  const body = document.createElement("tbody");
  for (const [id, name, value] of rows) {
    const row = line(id, name, number(value, digits, true));
    const bar = row.querySelector("rect");
    bar.setAttribute("x", ((Math.min(0, value) - low) / span) * 100);
    bar.setAttribute("width", (Math.abs(value) / span) * 100);
    bar.classList.toggle("below", value < 0);
    body.append(row);
  }
  for (const [id, name, value] of sums) {
    const row = line(id, name, number(value, digits, true));
    row.className = "sum";
    row.querySelector("svg").remove();
    body.append(row);
  }
  const whole = document.createElement("table");
  whole.setAttribute("aria-label", label);
  whole.append(body);
  return whole;
}

function line(id, name, value) {
  const row = document.getElementById("part-row").content.cloneNode(true).firstElementChild;
  showName(row, id, name);
  row.querySelector(".value").textContent = value;
  return row;
}

export function paragraph(text) {
  const part = document.createElement("p");
  part.textContent = text;
  return part;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
