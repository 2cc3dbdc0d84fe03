// The plan of a card: what its file is, what may be chosen of it, and what would become of it.

import { advise, label, showAdvice } from "./advice.js";
import { offerColumns, offerExtras, offerKeeping, offerNone, offerSheets, showKept, showReading, usual } from "./choices.js";
import { el, option, say } from "./tables.js";
import { remarks, sentence, t } from "./text.js";

/** The value of "another one" in the list of CRSs. */
export const OTHER = "other";

/** Shows what the file is, what may be chosen, and what a trial says of the choice. */
export function showPlan(card) {
  const { find, inspection, problem, failure } = card;
  const form = find(".plan").elements;
  const button = find("button[type=submit]");
  for (const part of [".facts", ".plan > .actions"]) find(part).hidden = !inspection;
  button.disabled = !card.isReady();
  say(find(".plan .error"), problem ? sentence(problem) : trialFailure(card) ?? (failure && sentence(failure)));
  find(".trial").textContent = "";
  find(".advice").hidden = true;
  if (!inspection) return;
  const { file, trial, fits } = inspection;
  const delimiter = t("delimiters")[file.delimiter] ?? t("between", file.delimiter);
  find(".format").textContent = file.book ? t("bookFormat", file.book.sheet, file.columns.length) : t("format", file.charset, delimiter, file.columns.length, file.header_line);
  showReading(form, file);
  showKept(find(".keep"), file, trial.columns, (keep) => card.choose({ keep }));
  const takesNone = card.topologies().filter((topology) => topology.no_files);
  form.topology.replaceChildren(
    ...fits.map((fit) => option(fit.topology, fit.topology)),
    ...takesNone.map(({ name, no_files: why }) => option(name, t("takesNoFiles", name), { disabled: true, title: why })));
  form.topology.value = inspection.topology;
  const topology = card.topologies().find((known) => known.name === inspection.topology);
  showCoordinates(card, form, topology, trial);
  const hasNone = trial.columns.coordinates === "none";
  offerExtras(find(".extras"), { ...topology, ...(hasNone && { offers_map_link: null }) }, card.choice);
  const named = trial.sheets.slice(0, 6).map((sheet) => el("span", { className: "chip" }, sheet.name));
  const more = trial.sheets_total > 6 ? [t("more", trial.sheets_total - 6)] : [];
  offerSheets(form.sheet, file.columns, trial.columns);
  form.sheet.hidden = trial.sheet_columns.length !== 1;
  find(".sheets").replaceChildren(...(form.sheet.hidden ? [t("by", topology?.sheet ?? ""), " "] : []), ...named, ...more);
  if (problem) return; // what is shown of the trial is of another choice
  // Rows without coordinates do not make a file fit whose other rows are all rejected.
  const isEmpty = trial.rejected > 0 && (trial.written === 0 || trial.map?.points === 0);
  button.textContent = t(isEmpty ? "makeAnyway" : "make");
  button.className = isEmpty ? "secondary" : "primary";
  const current = card.choice.crs || topology?.crs?.from || "";
  const apply = ({ definition, isSwapped }) => card.choose({ crs: definition, ...(isSwapped && card.swapped()) });
  if (hasNone) showAdvice(find(".advice"), { mood: "doubt", sentences: [t("foundNone")], offers: [] });
  else if (topology?.crs) {
    const { ranking, crs_column: byRow } = inspection.suggestion;
    const advice = advise(ranking, trial.crs?.from ?? current);
    showAdvice(find(".advice"), byRow ? { ...advice, mood: "doubt", sentences: [t("crsByRow", byRow.name, byRow.systems.join(", ")), ...advice.sentences] } : advice, apply);
  }
  find(".trial").textContent = trial.failure ? "" : trialText(card);
  offerKeeping(find(".keep-blank"), trial, card.topologies(), card.choose);
  find(".trial").classList.toggle("some-rejected", trial.rejected > 0);
}

/** Why an upload would fail, led by what its reason means. */
function trialFailure(card) {
  const failure = card.inspection?.trial.failure;
  if (!failure) return null;
  const { takes_x_y: takes, x, y } = card.inspection.trial.columns;
  const isMissing = failure.reason === "column.missing";
  if (isMissing && takes && !(x && y)) return t("noColumns");
  const columns = isMissing ? ` ${t("fileHas", card.inspection.file.columns.slice(0, 20).join(", "))}` : "";
  return `${card.explain(failure.reason)}${columns} (${failure.message})`;
}

function showCoordinates(card, form, topology, trial) {
  const { find, choice, inspection } = card;
  const { x, y, coordinates, takes_x_y: takes } = trial.columns;
  find(".coordinates").hidden = !topology?.crs || coordinates === "none";
  if (!topology?.crs) {
    find(".into").textContent = t("noCoordinates");
    find(".columns .pair").hidden = true;
    return;
  }
  const own = topology.crs.from;
  const ranked = (inspection.suggestion.ranking?.families ?? []).filter((family) => !family.is_swapped).slice(0, 2).flatMap((family) => family.systems.slice(0, 3));
  const others = new Map([...ranked.map(({ definition, name }) => [definition, name]), ...usual.map(({ code, name }) => [`EPSG:${code}`, name])]);
  others.delete(own);
  if (choice.crs && trial.crs?.from === choice.crs && !others.has(choice.crs)) others.set(choice.crs, trial.crs.from_name);
  const known = others.has(choice.crs) || choice.crs === "";
  form.crs.replaceChildren(
    option("", t("asTopology", `${own} ${topology.crs.from_name}`)),
    ...[...others].map(([code, name]) => option(code, `${label(code)} ${name}`)),
    option(OTHER, t("otherCrs")));
  const types = !known || document.activeElement === form["other-crs"];
  form.crs.value = types ? OTHER : choice.crs;
  form["other-crs"].hidden = !types;
  const crs = trial.crs ?? topology.crs;
  find(".operation").textContent = card.problem ? "" : t("operation", crs.to, crs.accuracy_m);
  find(".operation").title = crs.operation;
  find(".columns .pair").hidden = !takes;
  offerColumns(form.x, inspection.file.columns, x);
  offerColumns(form.y, inspection.file.columns, y);
  if (topology.keeps_blank) offerNone(form.x, t("none"), coordinates === "none");
  find(".swap").disabled = !x || !y || coordinates === "geometry";
  find(".into").textContent = coordinates === "none" ? "" : `${t("oneCell")[coordinates] ?? ""} ${t("into", trial.coordinates.into.join(", "))}`.trim();
}

/** What the trial says. */
export function trialText({ inspection }) {
  return triedText(inspection) + remarks(inspection.trial);
}

function triedText({ trial, is_whole: isWhole }) {
  if (trial.failure) return trial.failure.message;
  if (trial.rows === 0) return t("triedNone");
  if (trial.written + trial.filtered === 0) return t("triedNoneFits", trial.rows);
  if (trial.rejected > 0) return t("triedSome", trial.rows, trial.rejected);
  return t(isWhole ? "triedAll" : "tried", trial.rows);
}
