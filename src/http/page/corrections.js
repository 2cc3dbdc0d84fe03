// Rejected rows that a person corrects on a card: typed into their table, tried, and sent with the file as the next revision.

import * as api from "./api.js";
import { cellsOf, editedRows, toCsv } from "./tables.js";
import { currentLanguage, sentence, t } from "./text.js";

export class Corrections {
  /** Of rows that are shown: number to fields. */
  typed = new Map();
  /** That the upload has: number in the file to fields. */
  sent = new Map();

  /** Takes what the table of rejected rows holds now. */
  read = (table) => (this.typed = new Map(editedRows(table)));

  /** Rejected rows with what was typed. */
  shownIn = (rows) => rows.map((reject) => (this.typed.has(reject.row) ? { ...reject, cells: this.typed.get(reject.row) } : reject));

  /** Of the rejected rows those that were changed: `[number, fields]`. A row without a field is left out of the next revision. */
  changed(rejects, delimiter) {
    const came = new Map(rejects.map((reject) => [reject.row, cellsOf(reject, delimiter)]));
    return [...this.typed].filter(([number, cells]) => cells.some((cell, at) => cell !== (came.get(number)?.[at] ?? "")));
  }

  /** All that the next revision has, with `changed` rows of this one. */
  with = (changed) => new Map([...this.sent, ...changed.map(([number, cells]) => [this.inFile(number), cells])]);

  /** The number in the file of a row of this revision: rows that were left out count there. */
  inFile(number) {
    const gone = [...this.sent].filter(([, cells]) => cells.every((cell) => cell === "")).map(([row]) => row);
    return gone.sort((a, b) => a - b).reduce((at, row) => at + (row <= at), number);
  }
}

/** Tries rows as a file of `columns` that is read by `choice`: the sentence about the first that is still wrong, or null. */
export async function tryRows(rows, columns, choice, name) {
  const filled = rows.filter(([, cells]) => cells.some((cell) => cell)); // the others are left out
  const csv = new File([toCsv([columns, ...filled.map(([, cells]) => cells)])], name);
  const { x, y, coordinates, sheet, topology, crs, one_sheet: oneSheet } = choice;
  try {
    const { trial } = await api.inspect(csv, { x, y, coordinates, sheet, topology, crs, one_sheet: oneSheet, charset: "UTF-8", delimiter: ",", header_line: "1" }, currentLanguage());
    const [still] = trial.rejects;
    return still ? t("stillWrong", filled[still.row - 1]?.[0] ?? 0, still.message) : null;
  } catch (problem) {
    return sentence(problem);
  }
}
