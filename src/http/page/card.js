// One file on its way to a workbook: understood, sent, followed, downloaded. `render` draws what the fields say, at any time.

import * as api from "./api.js";
import { NOTHING_CHOSEN, NO_COLUMN, search } from "./choices.js";
import { Corrections, tryRows } from "./corrections.js";
import { PointMap } from "./map.js";
import { OTHER, showPlan, trialText } from "./plan.js";
import { showResult, showWork, verdict } from "./progress.js";
import { rejectsCsv, save, say, showRejects, showSheets } from "./tables.js";
import { currentLanguage, fill, sentence, size, t } from "./text.js";

const ENDED = new Set(["PUBLISHED", "FAILED", "ABORTED", "EXPIRED"]);
/** Least time between two looks at an upload under way. */
const PREVIEW_EVERY_MS = 2000;
/** Rows of a sheet that are shown. */
const ROWS_SHOWN = 8;

/** Least time between two searches while somebody types. */
const SEARCH_EVERY_MS = 250;

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
    this.corrections = new Corrections();
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
    this.find(".rejects").oninput = () => this.corrections.read(this.find(".rejects tbody"));
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
    this.announce(this.problem ? sentence(this.problem) : `${this.name}: ${trialText(this)}`);
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
      say(this.find(".plan .error"), problem.kind ? sentence(problem) : t("offlineFile"));
    }
  }

  /** Tries the corrected rows; if all are fit, sends the file with them as the next revision. */
  async resend() {
    const tell = (text) => say(this.find(".mend-error"), text);
    const { upload, rejected, sheets, points, corrections } = this;
    const changed = corrections.changed(rejected ?? [], this.inspection.file.delimiter);
    if (changed.length === 0) return tell(t("nothingCorrected"));
    tell(null);
    const wrong = await tryRows(changed, this.kept(), this.settled(), this.name);
    if (wrong) return tell(wrong);
    Object.assign(this, { upload: null, rejected: null, sheets: null, points: null, corrections: new Corrections() });
    this.corrections.sent = corrections.with(changed);
    if (await this.send({ revises: upload.id, corrections: JSON.stringify([...this.corrections.sent]) })) return;
    // What was typed is kept for another try.
    const why = this.failure && sentence(this.failure);
    Object.assign(this, { upload, rejected, sheets, points, corrections, failure: null });
    this.render();
    tell(why);
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
    this.announce(`${this.name}: ${verdict(this.upload)}`);
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
      await api.giveUp(this.upload).catch((problem) => {
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
    if (plans) showPlan(this);
    else if (ended) showResult(this);
    else showWork(this);
    this.renderSheets(plans);
    this.renderMap(plans);
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
}
