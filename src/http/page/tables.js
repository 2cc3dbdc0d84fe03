// Tables of rows. Everything that came from a file is set as text, never as markup.

import { count, t } from "./text.js";

/** An element with properties, attributes of `aria`, and children. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  const { aria = {}, ...rest } = properties;
  Object.assign(element, rest);
  for (const [key, value] of Object.entries(aria)) element.setAttribute(`aria-${key}`, value);
  element.append(...children);
  return element;
}

/** One of a list; `more` are further properties. */
export const option = (value, text, more) => el("option", { value, ...more }, text);

/** Shows a sentence, or nothing. */
export function say(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

/** Saves a text as a file. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function sheetTable(sheet, marked) {
  const width = Math.max(sheet.columns.length, ...sheet.head.map((row) => row.length));
  const columns = Array.from({ length: width }, (_, n) => sheet.columns[n] ?? "");
  const isNumber = (n) => sheet.head.some((row) => row[n]?.kind === "number");
  const head = columns.map((name, n) => {
    const classes = [marked.has(name) ? "marked" : "", isNumber(n) ? "number" : ""].join(" ").trim();
    return el("th", { scope: "col", className: classes, title: name }, name);
  });
  const body = sheet.head.map((row) => {
    const cells = columns.map((_, n) => {
      const cell = row[n] ?? { text: "", kind: "blank" };
      return el("td", { className: cell.kind === "number" ? "number" : "", title: cell.text }, cell.text);
    });
    return el("tr", {}, ...cells);
  });
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
}

let tablists = 0;

/** Shows sheets as tabs, as WAI-ARIA has them; the one that was open stays open. */
export function showSheets(into, title, sheets, markedColumns = [], rowsMax = Infinity) {
  const open = into.dataset.open ?? sheets[0]?.name;
  const selected = Math.max(0, sheets.findIndex((sheet) => sheet.name === open));
  const marked = new Set(markedColumns);
  const prefix = `sheets-${(tablists += 1)}`;
  const panel = el("div", { className: "scroll", id: `${prefix}-panel`, role: "tabpanel", tabIndex: 0 });
  const select = (n, focus) => {
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === n));
      tab.tabIndex = at === n ? 0 : -1;
    });
    into.dataset.open = sheets[n].name;
    panel.setAttribute("aria-labelledby", tabs[n].id);
    panel.replaceChildren(sheetTable({ ...sheets[n], head: sheets[n].head.slice(0, rowsMax) }, marked));
    if (focus) tabs[n].focus();
  };
  const tabs = sheets.map((sheet, n) => {
    const tab = el("button", { type: "button", role: "tab", id: `${prefix}-${n}`, aria: { controls: panel.id } }, `${sheet.name} `, el("span", { className: "count" }, count(sheet.rows)));
    tab.onclick = () => select(n);
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) select((n + step + sheets.length) % sheets.length, true);
    };
    return tab;
  });
  into.hidden = sheets.length === 0;
  if (into.hidden) return;
  into.replaceChildren(el("h3", { className: "unseen" }, title), el("div", { className: "tabs", role: "tablist", aria: { label: title } }, ...tabs), panel);
  select(selected);
}

/** Rows by reason, the largest group first: `[code, rows]`. */
export function byReason(rows) {
  const groups = new Map();
  for (const { reason } of rows) groups.set(reason, (groups.get(reason) ?? 0) + 1);
  return [...groups].sort(([, a], [, b]) => b - a);
}

/** Shows rejected rows: their reasons with counts and what to do, then the rows, each with the server's own sentence. */
export function showRejects(section, rows, total, groups, explain, delimiter = ",", editing = null) {
  section.hidden = total === 0;
  if (section.hidden) return;
  section.querySelector("h3").textContent = t("rejects", total);
  section.querySelector(".reasons").replaceChildren(...groups.map(([reason, count_]) => el("li", {}, el("strong", {}, t("rowCount", count_)), ` ${explain(reason)}`)));
  section.querySelector(".save").hidden = rows.length === 0;
  const details = section.querySelector("details");
  details.hidden = rows.length === 0;
  const title = rows.length < total ? t("rejectRowsSome", rows.length) : t("rejectRows");
  // Rows of a file that is at hand can be corrected: each field under its column.
  const editable = editing !== null && rows.length > 0;
  details.querySelector(".mend").hidden = !editable;
  const th = (text, className = "") => el("th", { scope: "col", className }, text);
  // Columns at fault come first: they are what is to be corrected.
  const faults = new Set(rows.map(({ column }) => column));
  const order = (editing ?? []).map((name, at) => ({ name, at })).sort((a, b) => faults.has(b.name) - faults.has(a.name));
  const head = [th(t("row"), "number"), th(t("column")), th(t("reason")), ...(editable ? order.map(({ name }) => th(name)) : [th(t("text"))])];
  const body = rows.map((reject) => {
    const cells = cellsOf(reject, delimiter);
    const fields = editable
      ? order.map(({ name, at }) => {
          const input = el("input", { value: cells[at] ?? "", aria: { label: `${t("row")} ${reject.row}, ${name}` } });
          input.dataset.at = at;
          return el("td", { className: name === reject.column ? "wrong" : "" }, input);
        })
      : [el("td", { title: cells.join(" · ") }, cells.join(" · "))];
    const row = el("tr", {},
      el("td", { className: "number" }, reject.row === null ? "" : count(reject.row)),
      el("td", {}, reject.column ?? ""),
      el("td", { className: "wrap" }, reject.message || explain(reject.reason), el("p", { className: "detail" }, el("code", {}, reject.reason))),
      ...fields);
    row.dataset.row = reject.row;
    return row;
  });
  details.querySelector("summary").textContent = title;
  const scroll = details.querySelector(".scroll");
  scroll.setAttribute("aria-label", title);
  scroll.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body)));
}

const field = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The fields of a rejected row: those of a trial come apart, those of an upload as text. */
export const cellsOf = (reject, delimiter = ",") => reject.cells ?? splitRow(reject.raw, delimiter);

/** A row of CSV as its fields. */
export function splitRow(text, delimiter) {
  const fields = [];
  for (let at = 0; at <= text.length; at += 1) {
    let value = "";
    if (text[at] === '"') {
      for (at += 1; at < text.length && (text[at] !== '"' || text[at + 1] === '"'); at += 1) {
        if (text[at] === '"') at += 1;
        value += text[at];
      }
      at += 1;
    }
    for (; at < text.length && text[at] !== delimiter; at += 1) value += text[at];
    fields.push(value);
  }
  return fields;
}

/** Rows of fields as CSV. */
export const toCsv = (rows) => rows.map((fields) => `${fields.map(field).join(",")}\r\n`).join("");

/** What stands in the table of rejected rows now: `[number, fields]` of each. */
export const editedRows = (body) => [...body.rows].map((row) => {
  const inputs = [...row.querySelectorAll("input")].sort((a, b) => a.dataset.at - b.dataset.at);
  return [Number(row.dataset.row), inputs.map((input) => input.value)];
});

/** Rejected rows as CSV: the file's own columns, then row, reason and message. A byte order mark lets spreadsheets read it as UTF-8. */
export function rejectsCsv(columns, rows, delimiter) {
  const lines = rows.map((reject) => [...cellsOf(reject, delimiter), String(reject.row ?? ""), reject.reason, reject.message]);
  return new Blob(["\ufeff", toCsv([[...columns, t("row"), t("code"), t("reason")], ...lines])], { type: "text/csv;charset=utf-8" });
}
