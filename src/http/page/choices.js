// What a person may choose of a file; what was found is chosen first.

import { systems } from "./api.js";
import { el, option } from "./tables.js";
import { currentLanguage, t } from "./text.js";

/** What a person chooses of a file; empty is found. */
export const NOTHING_CHOSEN = { crs: "", x: "", y: "", coordinates: "", sheet: "", one_sheet: "", keep: "", skip_blank: "true", summary: "", map_link: "", charset: "", delimiter: "", header_line: "", worksheet: "" };
/** The value of "no column" in a list of columns: no column is called so. */
export const NO_COLUMN = "\u0000";
const CHARSETS = ["UTF-8", "EUC-KR", "UTF-16LE", "windows-1252", "Shift_JIS", "GBK"];
const DELIMITERS = [",", ";", "\t", "|"];

/** How the file is read. */
export function showReading(form, file) {
  const offer = (select, values, name, used) => {
    const all = values.includes(used) ? values : [used, ...values];
    select.replaceChildren(...all.map((value) => option(value, name(value))));
    select.value = used;
  };
  const known = file.charset.replace(/ .*/, "");
  offer(form.charset, CHARSETS, (name) => (name === "EUC-KR" ? "EUC-KR (CP949)" : name), known === "ASCII" ? "UTF-8" : known);
  offer(form.delimiter, DELIMITERS, (one) => t("delimiters")[one] ?? t("between", one), file.delimiter);
  const { book, archive } = file;
  const within = archive ?? book;
  form.worksheet.closest("label").hidden = !within;
  form.worksheet.previousElementSibling.textContent = t(archive ? "packedFile" : "worksheet");
  form.charset.closest(".pair").hidden = Boolean(book);
  if (within) offer(form.worksheet, within.sheets, (name) => name, within.sheet);
  const line = (n) => (n === "0" ? t("noHeader") : t("headerAt", n, file.lines[n - 1] ?? ""));
  offer(form.header_line, ["0", ...file.lines.map((_, at) => String(at + 1))], line, String(file.header_line));
}

/** Which columns are kept; those in use cannot be left out. `keep` is called with the others. */
export function showKept(details, file, used, keep) {
  const list = details.querySelector(".keep-list");
  details.querySelector("summary").textContent = t("keptColumns", file.columns.length - used.left_out.length, file.columns.length) + (used.blank.length ? ` ${t("blank", used.blank.length)}` : "");
  const shown = JSON.stringify([file.columns, used, currentLanguage()]);
  if (shown === list.dataset.shown) return;
  list.dataset.shown = shown;
  const needed = [used.x, used.y, used.sheet];
  const boxes = file.columns.map((name) => {
    const box = el("input", { type: "checkbox", checked: !used.left_out.includes(name), disabled: needed.includes(name), value: name });
    box.onchange = () => keep(JSON.stringify([...list.querySelectorAll("input:checked")].map(({ value }) => value)));
    return el("label", {}, box, ` ${name}`);
  });
  list.replaceChildren(...boxes);
}

/** The file's columns, the one in use chosen. */
export function offerColumns(select, columns, used) {
  const none = used ? [] : [option("", t("chooseColumn"))];
  select.replaceChildren(...none, ...columns.map((name) => option(name, name)));
  select.value = used ?? "";
}

/** Offers to do without a column. */
export function offerNone(select, text, isChosen) {
  select.prepend(option(NO_COLUMN, text));
  if (!isChosen) return;
  select.querySelector('option[value=""]')?.remove();
  select.value = NO_COLUMN;
}

/** The same for the column that names sheets, which some topologies do without. */
export function offerSheets(select, columns, used) {
  offerColumns(select, columns, used.sheet);
  if (!used.sheet_is_optional) return;
  offerNone(select, t("oneSheet"), !used.sheet);
}

/** Parts that the workbook may have too, where the topology offers them. */
export function offerExtras(row, { offers_summary: summary, offers_map_link: host }, choice) {
  const boxes = row.querySelectorAll("input");
  for (const [n, offered] of [summary, host].entries()) {
    boxes[n].parentElement.hidden = !offered;
    boxes[n].checked = choice[boxes[n].name] === "true";
  }
  row.querySelector(".host").textContent = t("mapLink", host);
  row.hidden = !summary && !host;
}

/** CRSs that Korean files come in; answers to searches for others. */
export let usual = [];
const asked = new Map();
systems().then((found) => (usual = found.systems)).catch(() => {});

/** Offers the CRSs of EPSG that a text may mean. */
export async function search(text, list) {
  const found = asked.get(text) ?? (await systems(text).catch(() => ({ systems: [] }))).systems;
  asked.set(text, found);
  list.replaceChildren(...found.map(({ code, name, area_name: area }) => option(`EPSG:${code}`, `${name} · ${area}`)));
}

/** Offers a topology that keeps the rows without coordinates, where this one rejects them. */
export function offerKeeping(button, { reasons, columns: { x, y, sheet }, crs }, topologies, choose) {
  const blank = reasons["coord.missing"];
  const keeper = blank && topologies.find((other) => other.keeps_blank && other.crs && !other.no_files);
  button.hidden = !keeper;
  button.textContent = t("keepBlank", blank ?? 0);
  button.onclick = () => choose({ topology: keeper.name, crs: crs.from, x, y, sheet: sheet ?? "" });
}
