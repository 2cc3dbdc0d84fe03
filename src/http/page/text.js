// What the page says, in both languages; a text with a value is a function. Reasons come from the server (`GET /reasons`).

const en = {
  skip: "Skip to the page",
  language: "Language",
  title: "CSV in, Excel workbook out",
  lead: "Coordinates are converted, rows are sorted into sheets, and every row is accounted for. Nothing leaves your own servers.",
  drop: "Drop CSV files here",
  dropHint: "CP949 or UTF-8, commas, semicolons or tabs: we find out",
  chooseFile: "Choose files",
  nothingChosen: "Choose a CSV file first.",
  recent: "Recent uploads",
  file: "File", state: "State", rows: "Rows", rejected: "Rejected", when: "Last change", workbook: "Workbook",
  footer: "sheetstream turns CSV uploads into finished Excel workbooks, over Kafka.",
  tokenTitle: "This server asks for its token",
  tokenHint: "Whoever runs it knows the token (SHEETSTREAM_HTTP_TOKEN). It is asked for once.",
  tokenLabel: "Token", tokenSend: "Go on", tokenMissing: "Type the token.", tokenWrong: "That is not the token of this server.",
  understood: "Understood as", topology: "What to make of it", sourceCrs: "Coordinates are in", coordinates: "Coordinate columns", sheets: "Sheets",
  close: (name) => `Remove ${name}`, closeShort: "Remove",
  reading: "Looking at the file …",
  format: (charset, delimiter, columns) => `${charset}, ${delimiter}, ${count(columns)} columns`,
  delimiters: { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes" },
  between: (delimiter) => `"${delimiter}" between fields`,
  into: (names) => `adds ${names}`,
  noCoordinates: "none: rows are taken as they are",
  operation: (to, operation, accuracy) => `to ${to}: ${operation}${accuracy === null ? "" : `, accurate to ${accuracy} m`}`,
  asTopology: (crs) => `${crs} (as the topology says)`,
  otherCrs: "another one …",
  by: (column) => `by ${column}`,
  more: (n) => `and ${count(n)} more`,
  tried: (rows) => `Tried on the first ${count(rows)} rows: all of them fit.`,
  triedAll: (rows) => `Tried on all ${count(rows)} rows: all of them fit.`,
  triedSome: (rows, rejected) => `Tried on ${count(rows)} rows: ${count(rejected)} would be rejected, and listed with their reasons.`,
  triedNone: "The file has a header and no rows: the workbook will be empty.",
  make: "Make the workbook",
  sending: (done, all) => `Sending ${size(done)} of ${size(all)}`,
  publishing: "Putting rows on the topic",
  working: "Writing the workbook",
  waiting: "Waiting for the processor",
  pace: (rows, perSecond) => `${count(rows)} rows${perSecond ? `, ${count(Math.round(perSecond))} a second` : ""}`,
  rejectedSoFar: (n) => `${count(n)} rejected`,
  left: (seconds) => (seconds < 60 ? `about ${Math.max(1, Math.round(seconds))} s left` : `about ${Math.round(seconds / 60)} min left`),
  cancel: "Cancel",
  done: (written) => `Done: ${count(written)} rows in the workbook`,
  doneRejected: (written, rejected) => `Done: ${count(written)} rows in the workbook, ${count(rejected)} rejected`,
  download: (name, bytes) => `Download ${name} (${size(bytes)})`,
  downloadShort: "Download",
  failed: "No workbook was made",
  aborted: "Cancelled",
  expired: "Given up: nothing came for too long",
  states: { PUBLISHING: "on its way", PENDING: "waiting", RECEIVING: "in progress", INCOMPLETE: "rows are missing", STALLED: "stands still", PUBLISHED: "done", FAILED: "failed", ABORTED: "cancelled", EXPIRED: "expired" },
  previewOf: "First rows of each sheet",
  previewTrial: "What the workbook will look like",
  rejects: (n) => `${count(n)} rejected ${n === 1 ? "row" : "rows"}`,
  rejectsSome: (shown, n) => `${count(n)} rejected rows, the first ${count(shown)} of them`,
  row: "Row", column: "Column", reason: "Reason", text: "The row",
  broken: (names) => `Topology files that cannot be used now; the ones before go on:\n${names}`,
  offline: "The server does not answer. The page tries again by itself.",
  noTopology: "No topology runs on this server, so nothing can be made of a file yet.",
  lost: "The upload was interrupted; nothing was published. Try again.",
};

const ko = {
  skip: "본문으로 건너뛰기",
  language: "언어",
  title: "CSV를 올리면 엑셀 파일이 됩니다",
  lead: "좌표를 변환하고, 행을 시트별로 나누고, 모든 행의 결과를 알려 드립니다. 자료는 여러분의 서버 밖으로 나가지 않습니다.",
  drop: "CSV 파일을 여기에 놓으세요",
  dropHint: "CP949든 UTF-8이든, 쉼표든 세미콜론이든 탭이든 알아서 찾습니다",
  chooseFile: "파일 선택",
  nothingChosen: "먼저 CSV 파일을 선택하세요.",
  recent: "최근 업로드",
  file: "파일", state: "상태", rows: "행", rejected: "거절", when: "마지막 변경", workbook: "엑셀 파일",
  footer: "sheetstream은 CSV 업로드를 카프카를 거쳐 완성된 엑셀 파일로 바꿉니다.",
  tokenTitle: "이 서버는 토큰이 필요합니다",
  tokenHint: "서버를 운영하는 사람이 알고 있습니다(SHEETSTREAM_HTTP_TOKEN). 한 번만 묻습니다.",
  tokenLabel: "토큰", tokenSend: "계속", tokenMissing: "토큰을 입력하세요.", tokenWrong: "이 서버의 토큰이 아닙니다.",
  understood: "파일 형식", topology: "만들 것", sourceCrs: "원본 좌표계", coordinates: "좌표 열", sheets: "시트",
  close: (name) => `${name} 빼기`, closeShort: "빼기",
  reading: "파일을 살펴보는 중 …",
  format: (charset, delimiter, columns) => `${charset}, ${delimiter}, 열 ${count(columns)}개`,
  delimiters: { ",": "쉼표", ";": "세미콜론", "\t": "탭", "|": "세로줄" },
  between: (delimiter) => `구분 문자 "${delimiter}"`,
  into: (names) => `${names} 열이 추가됩니다`,
  noCoordinates: "없음: 행을 그대로 담습니다",
  operation: (to, operation, accuracy) => `${to}(으)로: ${operation}${accuracy === null ? "" : `, 정확도 ${accuracy} m`}`,
  asTopology: (crs) => `${crs} (토폴로지 설정)`,
  otherCrs: "직접 입력 …",
  by: (column) => `${column} 값마다 하나`,
  more: (n) => `외 ${count(n)}개`,
  tried: (rows) => `처음 ${count(rows)}행을 미리 처리해 보니 모두 맞습니다.`,
  triedAll: (rows) => `${count(rows)}행을 모두 미리 처리해 보니 모두 맞습니다.`,
  triedSome: (rows, rejected) => `${count(rows)}행을 미리 처리해 보니 ${count(rejected)}행이 거절됩니다. 거절된 행은 이유와 함께 따로 적힙니다.`,
  triedNone: "제목 행만 있고 자료 행이 없습니다. 빈 엑셀 파일이 만들어집니다.",
  make: "엑셀 파일 만들기",
  sending: (done, all) => `보내는 중: ${size(all)} 중 ${size(done)}`,
  publishing: "토픽에 행을 올리는 중",
  working: "엑셀 파일을 쓰는 중",
  waiting: "처리기를 기다리는 중",
  pace: (rows, perSecond) => `${count(rows)}행${perSecond ? `, 초당 ${count(Math.round(perSecond))}행` : ""}`,
  rejectedSoFar: (n) => `거절 ${count(n)}행`,
  left: (seconds) => (seconds < 60 ? `약 ${Math.max(1, Math.round(seconds))}초 남음` : `약 ${Math.round(seconds / 60)}분 남음`),
  cancel: "취소",
  done: (written) => `완료: ${count(written)}행이 담겼습니다`,
  doneRejected: (written, rejected) => `완료: ${count(written)}행이 담겼고 ${count(rejected)}행은 거절되었습니다`,
  download: (name, bytes) => `${name} 내려받기 (${size(bytes)})`,
  downloadShort: "내려받기",
  failed: "엑셀 파일을 만들지 못했습니다",
  aborted: "취소되었습니다",
  expired: "너무 오래 아무것도 오지 않아 포기했습니다",
  states: { PUBLISHING: "올리는 중", PENDING: "대기 중", RECEIVING: "처리 중", INCOMPLETE: "행이 모자람", STALLED: "멈춤", PUBLISHED: "완료", FAILED: "실패", ABORTED: "취소됨", EXPIRED: "기한 지남" },
  previewOf: "시트마다 처음 몇 행",
  previewTrial: "만들어질 모습",
  rejects: (n) => `거절된 행 ${count(n)}개`,
  rejectsSome: (shown, n) => `거절된 행 ${count(n)}개 중 처음 ${count(shown)}개`,
  row: "행", column: "열", reason: "이유", text: "원본",
  broken: (names) => `지금 쓸 수 없는 토폴로지 파일이 있어 이전 것으로 계속합니다:\n${names}`,
  offline: "서버가 대답하지 않습니다. 저절로 다시 시도합니다.",
  noTopology: "이 서버에서 도는 토폴로지가 없어 아직 파일을 처리할 수 없습니다.",
  lost: "업로드가 끊겼습니다. 아무것도 올라가지 않았으니 다시 시도하세요.",
};

const catalogues = { en, ko };
const KEPT = "sheetstream-language";

// The server has put the language that the browser asks for first into the document.
let language = localStorage.getItem(KEPT) ?? document.documentElement.lang;
if (!(language in catalogues)) language = "en";

export const currentLanguage = () => language;

export function chooseLanguage(chosen) {
  language = chosen;
  localStorage.setItem(KEPT, chosen);
}

/** The text of that key; with `values` where it takes some. */
export function t(key, ...values) {
  const text = catalogues[language][key];
  return typeof text === "function" ? text(...values) : text;
}

/** Puts texts where the document names them. */
export function fill(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
}

export function count(n) {
  return new Intl.NumberFormat(language).format(n);
}

export function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: bytes < 10 && unit > 0 ? 1 : 0 }).format(bytes)} ${units[unit]}`;
}

export function moment(ms) {
  return new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" }).format(new Date(ms));
}
