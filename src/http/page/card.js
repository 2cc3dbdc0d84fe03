// One file on its way to a workbook: understood, sent, followed, downloaded. `render` draws what the fields say, at any time.

import { advise, label, showAdvice } from "./advice.js";
import * as api from "./api.js";
import { NOTHING_CHOSEN, NO_COLUMN, offerColumns, offerExtras, offerKeeping, offerNone, offerSheets, search, showKept, showReading, usual } from "./choices.js";
import { PointMap } from "./map.js";
import { byReason, cellsOf, editedRows, el, option, rejectsCsv, save, showRejects, showSheets, toCsv } from "./tables.js";
import { currentLanguage, fill, size, t } from "./text.js";

const OTHER = "other";
const ENDED = new Set(["PUBLISHED", "FAILED", "ABORTED", "EXPIRED"]);
/** Least time between two looks at an upload under way. */
const PREVIEW_EVERY_MS = 2000;
/** Rows of a sheet that are shown. */
const ROWS_SHOWN = 8;

/** Least time between two searches while somebody types. */
const SEARCH_EVERY_MS = 250;

/** A problem in the reader's language, where the page has a sentence for its kind. */
const sentence = (problem) => t("problems")[problem.kind] ?? problem.message;

/** Cards so far: what their ids are made of. */
let cards = 0;

export class Card {
  /** For a file that was chosen, or for an upload that was made before (`upload`). */
  constructor({ file = null, upload = null, topologies, explain, announce, changed, closed }) {
    Object.assign(this, { file, upload, topologies, explain, announce, changed, closed });
    this.name = file?.name ?? upload.name ?? upload.id;
    this.choice = { topology: "", ...NOTHING_CHOSEN };
    this.inspection = null;
    this.problem = null; // of the file and the choice
    this.failure = null; // of the last try to send it
    this.pending = false;
    this.sent = null;
    this.sending = null;
    this.isCancelling = false;
    this.sheets = null;
    this.rejected = null;
    this.edits = new Map(); // of rejected rows that are shown: number to fields
    this.corrections = new Map(); // that the upload has: number in the file to fields
    this.turn = 0;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.element.querySelector(selector);
    this.map = new PointMap(this.find(".map"));
    this.wire();
    this.render();
    if (upload) this.follow();
    else this.inspect();
  }

  wire() {
    this.id = `card-${(cards += 1)}`;
    this.find(".name").id = this.id;
    this.element.setAttribute("aria-labelledby", this.id);
    const { topology, crs, "other-crs": other } = this.find(".plan").elements;
    for (const [label, field] of [["topology", topology], ["sourceCrs", crs]]) {
      field.id = `${this.id}-${label}`;
      this.find(`label[data-text="${label}"]`).htmlFor = field.id;
    }
    other.setAttribute("aria-labelledby", `${crs.id}-label`);
    this.find('label[data-text="sourceCrs"]').id = `${crs.id}-label`;
    topology.onchange = () => {
      this.hasChosenTopology = true;
      const { charset, delimiter, header_line: line, worksheet } = this.choice;
      this.choose({ ...NOTHING_CHOSEN, charset, delimiter, header_line: line, worksheet, topology: topology.value });
    };
    for (const name of ["x", "y", "sheet", "charset", "delimiter", "header_line", "worksheet"]) {
      const select = this.find(".plan").elements[name];
      select.id = `${this.id}-${name}`;
      select.onchange = () => this.choose(this.chosenIn(name, select.value));
    }
    for (const box of this.find(".extras").querySelectorAll("input")) box.onchange = () => this.choose({ [box.name]: box.checked ? "true" : "" });
    this.find(".draft").onclick = () => this.saveDraft();
    this.find(".resend").onclick = () => this.resend();
    this.find(".rejects").oninput = () => (this.edits = new Map(editedRows(this.find(".rejects tbody"))));
    this.find('label[data-text="sheets"]').htmlFor = `${this.id}-sheet`;
    this.find(".swap").onclick = () => this.choose(this.swapped());
    crs.onchange = () => {
      other.hidden = crs.value !== OTHER;
      if (other.hidden) this.choose({ crs: crs.value });
      else other.focus();
    };
    const list = this.find("datalist");
    list.id = `${this.id}-systems`;
    other.setAttribute("list", list.id);
    other.oninput = () => this.search(other.value.trim(), list);
    other.onchange = () => this.choose({ crs: other.value.trim() });
    // Enter in the field shows what its CRS comes to; it never sends.
    other.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (other.value.trim() !== this.choice.crs) this.choose({ crs: other.value.trim() });
    };
    this.find(".plan").onsubmit = (event) => {
      event.preventDefault();
      if (this.isReady()) this.send();
    };
    this.find(".save").onclick = () => this.saveRejects();
    this.find(".close").onclick = () => this.close();
    this.find(".cancel").onclick = () => this.cancel();
  }

  /** What the value of a list says; another reading may have other columns. */
  chosenIn(name, value) {
    const isNone = value === NO_COLUMN;
    if (name === "sheet") return { sheet: isNone ? "" : value, one_sheet: isNone ? "true" : "" };
    if (name !== "x" && name !== "y") return { x: "", y: "", coordinates: "", sheet: "", one_sheet: "", keep: "", [name]: value };
    if (isNone) return { x: "", y: "", coordinates: "none" };
    const now = (axis) => this.choice[axis] || (this.choice.coordinates !== "none" && this.inspection.trial.columns[axis]) || "";
    return { x: now("x"), y: now("y"), coordinates: "", [name]: value };
  }

  /** The choice that reads x as y. */
  swapped() {
    const { x, y, coordinates } = this.inspection.trial.columns;
    return { x: y, y: x, coordinates: { xy: "yx", yx: "xy" }[coordinates] ?? "" };
  }

  choose = (choice) => this.inspect(Object.assign(this.choice, choice));

  search(text, list) {
    clearTimeout(this.searching);
    this.searching = setTimeout(search, SEARCH_EVERY_MS, text, list);
  }

  /** Whether it can be sent as it is. */
  isReady = () => !this.upload && this.sent === null && !this.pending && this.problem === null && this.inspection?.trial.failure === null;

  /** Tries again what the network kept from happening. */
  retry() {
    if (this.problem?.kind === "offline") this.inspect();
    if (!this.isRefused) return;
    this.isRefused = false;
    api.upload(this.upload.id).then(() => this.follow(), (problem) => {
      this.failure = problem;
      if (this.file) this.upload = null; // it can be sent again
      this.render();
    });
  }

  /** Asks what would become of the file; late answers are passed over. */
  async inspect() {
    const turn = (this.turn += 1);
    this.pending = true;
    this.failure = null;
    this.render();
    try {
      const inspection = await api.inspect(this.file, this.choice, currentLanguage());
      if (turn !== this.turn) return;
      Object.assign(this, { inspection, problem: null });
      this.choice.topology ||= inspection.topology;
    } catch (problem) {
      if (turn !== this.turn) return;
      if (this.file.size === 0) problem = new api.Problem(0, { type: ":empty", detail: t("emptyFile") });
      Object.assign(this, { problem, inspection: problem.field === "crs" ? this.inspection : null });
    }
    this.pending = false;
    this.announce(this.problem ? sentence(this.problem) : `${this.name}: ${this.trialText()}`);
    this.render();
    this.changed();
  }

  /** The choice with what the trial found for it, so that all of the file is read as its beginning was. */
  settled() {
    const { trial, file } = this.inspection;
    const { x, y, coordinates, sheet } = trial.columns;
    const headerLine = this.choice.header_line || (file.header_line === 0 ? "0" : "");
    const worksheet = (file.archive ?? file.book)?.sheet ?? "";
    return { ...this.choice, worksheet, x: x ?? "", y: y ?? "", coordinates, sheet: sheet ?? "", header_line: headerLine };
  }

  async saveDraft() {
    try {
      save(new Blob([await api.draft(this.file, this.choice, currentLanguage())], { type: "application/toml" }), `${this.name.replace(/\.[^.]*$/, "")}.toml`);
    } catch (problem) {
      this.say(this.find(".plan .error"), problem.kind ? sentence(problem) : t("offlineFile"));
    }
  }

  /** Tries the corrected rows; if all are fit, sends the file with them as the next revision. */
  async resend() {
    const changed = [...this.edits].filter(([number, cells]) => cells.some((cell, at) => cell !== (this.fieldsOf(number)[at] ?? "")));
    const say = (text) => this.say(this.find(".mend-error"), text);
    if (changed.length === 0) return say(t("nothingCorrected"));
    say(null);
    const filled = changed.filter(([, cells]) => cells.some((cell) => cell)); // the others are left out
    const csv = new File([toCsv([this.kept(), ...filled.map(([, cells]) => cells)])], this.file.name);
    const { x, y, coordinates, sheet, topology, crs, one_sheet: oneSheet } = this.settled();
    const tried = await api.inspect(csv, { x, y, coordinates, sheet, topology, crs, one_sheet: oneSheet, charset: "UTF-8", delimiter: ",", header_line: "1" }, currentLanguage()).catch((problem) => problem);
    if (tried instanceof Error) return say(sentence(tried));
    const [still] = tried.trial.rejects;
    if (still) return say(t("stillWrong", filled[still.row - 1]?.[0] ?? 0, still.message));
    const { upload, rejected, sheets, points, edits } = this;
    const corrections = new Map([...this.corrections, ...changed.map(([number, cells]) => [this.inFile(number), cells])]);
    Object.assign(this, { upload: null, rejected: null, sheets: null, points: null, edits: new Map() });
    if (await this.send({ revises: upload.id, corrections: JSON.stringify([...corrections]) })) {
      this.corrections = corrections;
      return;
    }
    // What was typed is kept for another try.
    const why = this.failure && sentence(this.failure);
    Object.assign(this, { upload, rejected, sheets, points, edits, failure: null });
    this.render();
    say(why);
  }

  /** The number in the file of a row of this revision: rows that were left out count there. */
  inFile(number) {
    const gone = [...this.corrections].filter(([, cells]) => cells.every((cell) => cell === "")).map(([row]) => row);
    return gone.sort((a, b) => a - b).reduce((at, row) => at + (row <= at), number);
  }

  /** The columns that are published, by the names of the file. */
  kept() {
    const { file, trial } = this.inspection;
    return file.columns.filter((name) => !trial.columns.left_out.includes(name));
  }

  /** Rejected rows, their columns by the names of the file. */
  inOwnWords(rejects) {
    const own = new Map((this.inspection?.trial.columns.renamed ?? []).map(([name, published]) => [published, name]));
    return rejects.map((reject) => ({ ...reject, column: own.get(reject.column) ?? reject.column }));
  }

  /** The fields of a rejected row as they came. */
  fieldsOf(number) {
    const reject = (this.rejected ?? []).find(({ row }) => row === number);
    return reject ? cellsOf(reject, this.inspection?.file.delimiter) : [];
  }

  /** Sends the file; whether the server has it. */
  async send(corrected = null) {
    this.failure = null;
    this.sent = 0;
    const progress = (bytes) => {
      this.sent = bytes;
      this.render();
    };
    this.sending = api.send(this.file, this.settled(), progress, corrected);
    this.announce(`${this.name}: ${t("sending", 0, this.file.size)}`);
    this.render();
    this.find(".stage").focus();
    try {
      this.upload = await this.sending.answer;
      this.follow();
      this.changed();
    } catch (problem) {
      this.failure = problem;
      if (problem) this.announce(sentence(problem));
    }
    this.sending = null;
    this.sent = null;
    this.render();
    return this.upload !== null;
  }

  follow() {
    this.stop?.();
    this.isRefused = false;
    this.stop = api.follow(this.upload.id, currentLanguage(), (upload) => {
      this.failure = null;
      const hadEnded = ENDED.has(this.upload.state) && this.sheets;
      this.upload = upload;
      if (ENDED.has(upload.state)) {
        if (!hadEnded) this.finish();
      } else if (upload.accounting.rows_in > 0) {
        this.look();
      }
      this.render();
    }, () => (this.isRefused = true));
  }

  /** A look at the sheets while they grow; there may be nothing to see yet. */
  async look() {
    if (this.looking || Date.now() - (this.looked ?? 0) < PREVIEW_EVERY_MS) return;
    this.looking = true;
    const [seen, map] = await Promise.all([api.preview(this.upload.id), api.points(this.upload.id)].map((asked) => asked.catch(() => null)));
    Object.assign(this, { looking: false, looked: Date.now() });
    if (map && !this.inspection) this.points = map;
    if (seen) this.sheets = seen.sheets;
    this.render();
  }

  async finish() {
    const { id, state, accounting } = this.upload;
    this.announce(`${this.name}: ${this.verdict()}`);
    this.changed();
    const isThere = state === "PUBLISHED";
    const looking = isThere ? api.preview(id).catch(() => null) : null;
    const mapping = isThere ? api.points(id).catch(() => null) : null;
    if (accounting.rejected > 0) await this.retell();
    const seen = await looking;
    // Rejected rows are shown once: in their list, or on their sheet where the list cannot be had.
    const isListed = (sheet) => this.rejected?.length > 0 && sheet.name === seen.errors_sheet;
    if (seen) this.sheets = seen.sheets.filter((sheet) => !isListed(sheet));
    this.points = await mapping;
    this.render();
    if (this.element.contains(document.activeElement) || document.activeElement === document.body) this.find(".verdict").focus({ preventScroll: true });
  }

  /** The rejected rows with the file's own columns and their reasons, to be mended in a spreadsheet. */
  saveRejects() {
    const rows = this.rejected ?? this.inspection?.trial.rejects ?? [];
    save(rejectsCsv(this.inspection?.file.columns ?? [t("text")], rows, this.inspection?.file.delimiter), t("rejectsName", this.name.replace(/\.[^.]*$/, "")));
  }

  /** Rejected rows, their messages in the reader's language. */
  async retell() {
    this.rejected = (await api.rejects(this.upload.id, currentLanguage()).catch(() => null))?.rejects ?? this.rejected;
    this.render();
  }

  /** Says everything anew in the reader's language. */
  speak() {
    if (this.upload) this.follow();
    if (this.rejected) this.retell();
    else if (this.file && !this.upload && this.sent === null) {
      if (!this.hasChosenTopology) this.choice.topology = ""; // there may be one in this language
      this.inspect();
    }
  }

  async cancel() {
    this.sending?.cancel();
    if (this.upload && !ENDED.has(this.upload.state)) {
      this.isCancelling = true;
      await api.giveUp(this.upload.id).catch((problem) => {
        Object.assign(this, { failure: problem, isCancelling: false });
      });
    }
    this.render();
  }

  close() {
    this.sending?.cancel();
    this.stop?.();
    this.element.remove();
    this.closed(this);
  }

  // What it looks like

  render() {
    fill(this.element);
    const { find, upload } = this;
    const ended = upload && ENDED.has(upload.state);
    const plans = !upload && this.sent === null;
    find(".name").textContent = this.name;
    find(".size").textContent = this.file ? size(this.file.size) : "";
    find(".close").textContent = t("closeShort");
    find(".close").setAttribute("aria-label", t("close", this.name));
    find(".understanding").textContent = t("reading");
    find(".understanding").hidden = !plans || (this.inspection !== null && !this.pending) || this.problem !== null;
    this.element.setAttribute("aria-busy", String(this.pending));
    find(".plan").hidden = !plans || !(this.inspection || this.problem);
    find(".work").hidden = plans || ended;
    find(".result").hidden = !ended;
    if (plans) this.renderPlan();
    else if (ended) this.renderResult();
    else this.renderWork();
    this.renderSheets(plans);
    this.renderMap(plans);
  }

  renderPlan() {
    const { find, inspection, problem, failure } = this;
    const form = find(".plan").elements;
    const button = find("button[type=submit]");
    for (const part of [".facts", ".plan > .actions"]) find(part).hidden = !inspection;
    button.disabled = !this.isReady();
    this.say(find(".plan .error"), problem ? sentence(problem) : this.trialFailure() ?? (failure && sentence(failure)));
    find(".trial").textContent = "";
    find(".advice").hidden = true;
    if (!inspection) return;
    const { file, trial, fits } = inspection;
    const delimiter = t("delimiters")[file.delimiter] ?? t("between", file.delimiter);
    find(".format").textContent = file.book ? t("bookFormat", file.book.sheet, file.columns.length) : t("format", file.charset, delimiter, file.columns.length, file.header_line);
    showReading(form, file);
    showKept(find(".keep"), file, trial.columns, (keep) => this.choose({ keep }));
    const takesNone = this.topologies().filter((topology) => topology.no_files);
    form.topology.replaceChildren(
      ...fits.map((fit) => option(fit.topology, fit.topology)),
      ...takesNone.map(({ name, no_files: why }) => option(name, t("takesNoFiles", name), { disabled: true, title: why })));
    form.topology.value = inspection.topology;
    const topology = this.topologies().find((known) => known.name === inspection.topology);
    this.renderCoordinates(form, topology, trial);
    const hasNone = trial.columns.coordinates === "none";
    offerExtras(find(".extras"), { ...topology, ...(hasNone && { offers_map_link: null }) }, this.choice);
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
    const current = this.choice.crs || topology?.crs?.from || "";
    const apply = ({ definition, isSwapped }) => this.choose({ crs: definition, ...(isSwapped && this.swapped()) });
    if (hasNone) showAdvice(find(".advice"), { mood: "doubt", sentences: [t("foundNone")], offers: [] });
    else if (topology?.crs) {
      const { ranking, crs_column: byRow } = inspection.suggestion;
      const advice = advise(ranking, trial.crs?.from ?? current);
      showAdvice(find(".advice"), byRow ? { ...advice, mood: "doubt", sentences: [t("crsByRow", byRow.name, byRow.systems.join(", ")), ...advice.sentences] } : advice, apply);
    }
    find(".trial").textContent = trial.failure ? "" : this.trialText();
    offerKeeping(find(".keep-blank"), trial, this.topologies(), this.choose);
    find(".trial").classList.toggle("some-rejected", trial.rejected > 0);
  }

  /** Why an upload would fail, led by what its reason means. */
  trialFailure() {
    const failure = this.inspection?.trial.failure;
    if (!failure) return null;
    const { takes_x_y: takes, x, y } = this.inspection.trial.columns;
    const isMissing = failure.reason === "column.missing";
    if (isMissing && takes && !(x && y)) return t("noColumns");
    const columns = isMissing ? ` ${t("fileHas", this.inspection.file.columns.slice(0, 20).join(", "))}` : "";
    return `${this.explain(failure.reason)}${columns} (${failure.message})`;
  }

  renderCoordinates(form, topology, trial) {
    const { find, choice, inspection } = this;
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
    find(".operation").textContent = this.problem ? "" : t("operation", crs.to, crs.accuracy_m);
    find(".operation").title = crs.operation;
    find(".columns .pair").hidden = !takes;
    offerColumns(form.x, inspection.file.columns, x);
    offerColumns(form.y, inspection.file.columns, y);
    if (topology.keeps_blank) offerNone(form.x, t("none"), coordinates === "none");
    find(".swap").disabled = !x || !y || coordinates === "geometry";
    find(".into").textContent = coordinates === "none" ? "" : `${t("oneCell")[coordinates] ?? ""} ${t("into", trial.coordinates.into.join(", "))}`.trim();
  }

  trialText() {
    const { filtered } = this.inspection.trial;
    return this.triedText() + (filtered > 0 ? ` ${t("filtered", filtered)}` : "");
  }

  triedText() {
    const { trial, is_whole: isWhole } = this.inspection;
    if (trial.failure) return trial.failure.message;
    if (trial.rows === 0) return t("triedNone");
    if (trial.written + trial.filtered === 0) return t("triedNoneFits", trial.rows);
    if (trial.rejected > 0) return t("triedSome", trial.rows, trial.rejected);
    return t(isWhole ? "triedAll" : "tried", trial.rows);
  }

  renderWork() {
    const { find, upload, sent } = this;
    const progress = find("progress");
    progress.setAttribute("aria-labelledby", this.id);
    const set = (value) => (value === null ? progress.removeAttribute("value") : progress.setAttribute("value", String(value)));
    find(".refused").hidden = true; // those of the trial
    if (!upload) {
      const all = this.file.size;
      find(".stage").textContent = sent < all ? t("sending", sent, all) : t("publishing");
      set(sent < all ? sent / Math.max(1, all) : null);
      find(".pace").textContent = "";
      this.say(find(".work .error"), null);
      return;
    }
    const { state, accounting, rows_announced: announced, rows_published: published } = upload;
    const done = accounting.rows_in;
    const all = announced ?? published;
    find(".cancel").hidden = this.isCancelling;
    find(".stage").textContent = this.isCancelling ? t("cancelling") : state === "PUBLISHING" ? t("publishing") : state === "PENDING" ? t("waiting") : state === "RECEIVING" ? t("working") : t("states")[state];
    set(all ? Math.min(1, done / all) : null);
    const left = upload.estimated_end_ms ? (upload.estimated_end_ms - Date.now()) / 1000 : 0;
    const parts = [t("pace", done, upload.rows_per_second)];
    if (accounting.rejected > 0) parts.push(t("rejectedSoFar", accounting.rejected));
    if (left > 1) parts.push(t("left", left));
    if (this.topologies().find(({ name }) => name === upload.topology)?.paused) parts.push(t("paused"));
    find(".pace").textContent = parts.join(" · ");
    this.say(find(".work .error"), upload.failure?.message ?? (this.failure && sentence(this.failure)));
  }

  verdict() {
    const { state, accounting } = this.upload;
    if (state === "PUBLISHED") {
      if (accounting.written + accounting.filtered === 0 && accounting.rejected > 0) return t("doneNone", accounting.rejected);
      const done = t("done", accounting.written, accounting.rejected);
      return accounting.filtered > 0 ? `${done} ${t("filtered", accounting.filtered)}` : done;
    }
    return t({ ABORTED: "aborted", EXPIRED: "expired" }[state] ?? "failed");
  }

  renderResult() {
    const { find, upload } = this;
    find(".verdict").textContent = this.verdict();
    const isEmpty = upload.accounting.written + upload.accounting.filtered === 0 && upload.accounting.rejected > 0;
    find(".verdict").classList.toggle("some-rejected", isEmpty);
    const earlier = this.file && upload.name && upload.name !== this.file.name;
    find(".earlier").hidden = !earlier;
    find(".earlier").textContent = earlier ? t("earlier", upload.name) : "";
    find(".close").textContent = t("closeDone");
    find(".close").setAttribute("aria-label", `${t("closeDone")}: ${this.name}`);
    const failure = upload.failure;
    this.say(find(".result .error"), failure && `${this.explain(failure.reason)} ${failure.message}`.trim());
    const link = find(".download");
    link.hidden = !upload.workbook;
    if (upload.workbook) {
      link.href = api.workbookUrl(upload.id);
      link.download = upload.workbook.filename;
      link.textContent = t("download", upload.workbook.filename, upload.workbook.bytes);
    }
    const rows = (this.rejected ?? []).map((reject) => (this.edits.has(reject.row) ? { ...reject, cells: this.edits.get(reject.row) } : reject));
    // Whoever is typing is not disturbed.
    if (find(".rejects").contains(document.activeElement) && document.activeElement.matches("input")) return;
    const editing = this.file && this.inspection ? this.kept() : null;
    showRejects(find(".refused"), this.inOwnWords(rows), upload.accounting.rejected, byReason(rows), this.explain, this.inspection?.file.delimiter, editing);
  }

  /** The trial's points, then those of the workbook. */
  renderMap(plans) {
    const trial = this.inspection?.trial;
    const map = plans ? (this.problem ? null : trial?.map) : this.points ?? trial?.map;
    this.map.show(map ?? null, plans || !this.points ? trial?.rejects ?? [] : [], trial?.rejected);
  }

  renderSheets(plans) {
    const trial = this.inspection?.trial;
    const sheets = plans ? (this.problem ? [] : trial?.sheets ?? []) : this.sheets ?? trial?.sheets ?? [];
    const title = t(plans ? "previewTrial" : "previewOf");
    const marked = trial ? [...trial.coordinates.columns, ...trial.coordinates.into] : [];
    const shown = JSON.stringify([title, sheets]);
    if (shown !== this.shown) showSheets(this.find(".preview"), title, sheets, marked, ROWS_SHOWN);
    this.shown = shown;
    if (plans) showRejects(this.find(".refused"), this.inOwnWords(trial?.rejects ?? []), (!this.problem && trial?.rejected) || 0, Object.entries(trial?.reasons ?? {}).sort(([, a], [, b]) => b - a), this.explain);
  }

  say(element, text) {
    element.textContent = text ?? "";
    element.hidden = !text;
  }
}
