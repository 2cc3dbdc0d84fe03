// What the page says; a text with a value is a function. Reasons come from the server.

const en = {
  skip: "Skip to the page",
  language: "Language",
  title: "CSV in, Excel workbook out",
  lead: "Coordinates are converted, rows are sorted into sheets, and every row is accounted for. Nothing leaves your own servers.",
  drop: "Drop CSV or Excel files here",
  dropHint: "CP949 or UTF-8, commas, semicolons or tabs: we find out",
  chooseFile: "Choose files",
  nothingChosen: "Choose a CSV file first.",
  recent: "Recent uploads",
  file: "File", state: "State", rows: "Rows", rejected: "Rejected", when: "Last change", workbook: "Workbook",
  footer: "sheetstream turns CSV files into finished Excel workbooks, over Kafka. Outlines: NGII Korea, Natural Earth.",
  recentTable: "Table of recent uploads",
  tokenTitle: "This server asks for its token",
  tokenHint: "Whoever runs it knows the token (SHEETSTREAM_HTTP_TOKEN). It is asked for once.",
  tokenLabel: "Token", tokenSend: "Go on", tokenMissing: "Type the token.", tokenWrong: "That is not the token of this server.",
  understood: "Understood as", topology: "What to make of it", sourceCrs: "Coordinates are in", coordinates: "Coordinate columns", sheets: "Sheets",
  close: (name) => `Remove ${name}`, closeShort: "Remove",
  reading: "Looking at the file …",
  format: (charset, delimiter, columns, line) => `${charset}, ${delimiter}, ${count(columns)} columns${line === 1 ? "" : line === 0 ? ", no header" : `, header in line ${line}`}`,
  bookFormat: (sheet, columns) => `Excel, sheet "${sheet}", ${count(columns)} columns`, worksheet: "Sheet of the file", packedFile: "File in the archive",
  change: "Change", headerLine: "Header", noHeader: "none: the first line is data", headerAt: (n, text) => `line ${n}: ${text}`,
  delimiter: "Between fields", charset: "Charset", oneSheet: "none: one sheet for all rows",
  kept: "Columns in the workbook", keptColumns: (kept, all) => (kept === all ? `all ${count(all)}` : `${count(kept)} of ${count(all)}`),
  extras: "Also in the workbook", summary: "a summary sheet", mapLink: (host) => `a link to a map in each row (${host})`,
  saveTopology: "Save these settings (.toml)", resend: "Send again with the corrections",
  nothingCorrected: "No field has been changed yet.", stillWrong: (row, why) => `Data row ${count(row)} is still wrong: ${why}`,
  delimiters: { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes" },
  between: (delimiter) => `"${delimiter}" between fields`,
  into: (names) => `Adds ${names}.`,
  noCoordinates: "none: rows are taken as they are",
  operation: (to, accuracy) => `→ ${to}${accuracy === null ? "" : ` · accurate to ${accuracy} m`}`,
  asTopology: (crs) => `${crs} (default)`,
  otherCrs: "another one: search…",
  takesNoFiles: (name) => `${name} (takes no files)`,
  fileHas: (names) => `The file has: ${names}.`,
  by: (column) => `by ${column}`,
  more: (n) => `and ${count(n)} more`,
  tried: (rows) => `Tried on the first ${count(rows)} rows: all of them can be converted.`,
  triedAll: (rows) => `Tried on all ${count(rows)} rows: all of them can be converted.`,
  triedNoneFits: (rows) => `Tried on ${count(rows)} rows: none of them can be converted, so the workbook would be empty.`,
  triedSome: (rows, rejected) => `Tried on ${count(rows)} rows: ${count(rejected)} would be rejected, and listed with their reasons on the sheet "Errors".`,
  triedNone: "The file has a header and no rows: the workbook will be empty.",
  make: "Make the workbook", makeAnyway: "Make it anyway", makeAll: "Make all workbooks", keepBlank: (n) => `Keep ${count(n)} without coordinates`, zipAll: "Download all (zip)",
  sending: (done, all) => `Sending ${size(done)} of ${size(all)}`,
  publishing: "Putting rows on the topic",
  working: "Writing the workbook",
  waiting: "Waiting for the processor",
  pace: (rows, perSecond) => `${count(rows)} rows${perSecond ? `, ${count(Math.round(perSecond))} a second` : ""}`,
  rejectedSoFar: (n) => `${count(n)} rejected`,
  filtered: (n) => `${count(n)} rows were left out by a filter of the topology.`,
  distant: (n) => `${count(n)} are far outside the target system's area.`,
  unplaced: (n) => `${count(n)} have no coordinates.`,
  left: (seconds) => (seconds < 60 ? `about ${Math.max(1, Math.round(seconds))} s left` : `about ${Math.round(seconds / 60)} min left`),
  cancel: "Cancel", cancelling: "Cancelling …", paused: "An operator has paused this topology. Your file is kept and goes on later.",
  done: (written, rejected) => `Done: ${count(written)} rows in the workbook${rejected ? `, ${count(rejected)} rejected` : ""}`,
  doneNone: (rejected) => `All ${count(rejected)} rows were rejected; the workbook has none`,
  earlier: (name) => `The same content was made before, under the name ${name}.`,
  closeDone: "Close",
  download: (name, bytes) => `Download ${name} (${size(bytes)})`,
  downloadShort: "Download",
  failed: "No workbook was made",
  aborted: "Cancelled",
  expired: "Given up: nothing came for too long",
  states: { PUBLISHING: "on its way", PENDING: "waiting", RECEIVING: "in progress", INCOMPLETE: "rows are missing", STALLED: "stands still", PUBLISHED: "done", FAILED: "failed", ABORTED: "cancelled", EXPIRED: "expired" },
  previewOf: "First rows of each sheet",
  previewTrial: "What the workbook will look like",
  rejects: (n) => `${count(n)} rejected ${n === 1 ? "row" : "rows"}`,
  rowCount: (n) => `${count(n)} ${n === 1 ? "row" : "rows"}:`,
  rejectRows: "Show the rows", rejectRowsSome: (shown) => `Show the first ${count(shown)} rows`,
  saveRejects: "Download rejected rows (CSV)", rejectsName: (name) => `${name} rejected.csv`, code: "Code",
  row: "Data row", column: "Column", reason: "Reason", text: "The row",
  broken: (names) => `Topology files that cannot be used now; the ones before go on:\n${names}`,
  offline: "The server does not answer. The page tries again by itself.",
  offlineFile: "The server does not answer. The file is looked at as soon as it does.",
  changed: "The file has changed since it was chosen. Choose it again.",
  emptyFile: "The file is empty.",
  packedTooLarge: "An archive or workbook can be looked at up to 64 MB. Unpack it, or save it as CSV.",
  problems: {},
  map: "Map of the points", zoomIn: "Zoom in", zoomOut: "Zoom out", zoomFit: "Show all points",
  mapKeys: "Arrow keys move the map, + and - zoom, 0 shows all points.",
  mapPoints: (n, areas, more) => `${count(n)} ${n === 1 ? "point" : "points"}${areas ? `: ${areas}` : ""}${more > 0 ? ` and ${count(more)} more regions` : ""}.`,
  mapSea: (n) => `${count(n)} at sea.`,
  mapRejects: (n, all) => `✕ marks rejected rows${n < all ? `, ${count(n)} of them` : ""}.`,
  mapGrid: "Points close together are drawn as one square.",
  atSea: "the sea",
  noColumns: "No coordinates were found in the file. Choose its columns x and y.",
  none: "none", foundNone: "No coordinates: the workbook gets the columns as they are, and there is no map. If the file has some, choose their columns.",
  crsByRow: (column, systems) => `"${column}" names a system for each row (${systems}). Here all rows are read in one; "Save these settings" makes a topology that reads each in its own.`,
  oneCell: { xy: "Both in one cell, x first.", yx: "Both in one cell, y (latitude) first.", geometry: "Points in one cell." },
  blank: (n) => `(${count(n)} blank without a name left out)`,
  fitsNothing: "No coordinate system puts these numbers on land: are these the coordinate columns?",
  alike: (codes, metres) => `${codes} differ by about ${count(metres)} m, which these places cannot tell apart.`,
  offer: (code, where) => `Try ${code}: ${where}`,
  swap: "⇄ swap", chooseColumn: "choose…",
  offerSwapped: (code, where) => `Swap x and y, ${code}: ${where}`,
  swapped: "x and y seem to be swapped: the points fit the other way round.",
  asNamed: (code, where) => `In ${code} the points are where their rows say: ${where}.`,
  ambiguous: (code, where) => `In ${code} the points are in ${where}. They fit other systems as well; the map shows which is meant.`,
  onLand: (code, where) => `In ${code} the points are on land: ${where}. Look at the map.`,
  perhaps: "Several systems fit. The map shows which is meant:",
  headerSays: (code, where) => `The column names point to ${code}, in which the points are in ${where}.`,
  headerNames: (code) => `The column names point to ${code}.`,
  declared: (code, where) => `The file names ${code}, in which the points are in ${where}.`,
  contradicted: (named, fitting) => `The file names ${named}, but the points fit ${fitting}.`,
  namedElsewhere: (code) => `Most rows name other places than where ${code} puts them.`,
  elsewhere: (code, where, current) => `In ${code} the points are in ${where}; in ${current} they are elsewhere.`,
  keyPerRow: "Somebody sends each row as an upload of its own (a key per row), so none becomes a workbook: see `upload` in the topology.",
  noTopology: "No topology runs on this server, so nothing can be made of a file yet.",
  lost: "The upload was interrupted; nothing was published. Try again.",
};

const ko = {
  skip: "본문 바로가기",
  language: "언어",
  title: "CSV를 올리면 엑셀 파일이 됩니다",
  lead: "좌표를 변환하고, 행을 시트별로 나누고, 모든 행의 결과를 알려 드립니다. 자료는 기관 서버 밖으로 나가지 않습니다.",
  drop: "CSV나 엑셀 파일을 여기로 끌어다 놓으세요",
  dropHint: "인코딩(CP949, UTF-8)과 구분 기호(쉼표, 세미콜론, 탭)는 자동으로 찾습니다",
  chooseFile: "파일 선택",
  nothingChosen: "먼저 CSV 파일을 선택하세요.",
  recent: "최근 업로드",
  file: "파일", state: "상태", rows: "행", rejected: "오류 행", when: "마지막 변경", workbook: "엑셀 파일",
  footer: "sheetstream은 CSV 파일을 받아 카프카를 거쳐 완성된 엑셀 파일로 만듭니다. 경계: 국토지리정보원, Natural Earth.",
  recentTable: "최근 업로드 표",
  tokenTitle: "접속 토큰을 입력하세요",
  tokenHint: "토큰은 서버 관리자에게 문의하세요(SHEETSTREAM_HTTP_TOKEN). 한 번만 입력하면 됩니다.",
  tokenLabel: "토큰", tokenSend: "계속", tokenMissing: "토큰을 입력하세요.", tokenWrong: "토큰이 올바르지 않습니다.",
  understood: "파일 형식", topology: "변환 설정", sourceCrs: "원본 좌표계", coordinates: "좌표 열", sheets: "시트",
  close: (name) => `${name} 목록에서 제거`, closeShort: "목록에서 제거",
  reading: "파일을 확인하는 중…",
  format: (charset, delimiter, columns, line) => `${charset}, ${delimiter}, 열 ${count(columns)}개${line === 1 ? "" : line === 0 ? ", 제목 행 없음" : `, 제목 행은 ${line}번째 줄`}`,
  bookFormat: (sheet, columns) => `엑셀, ‘${sheet}’ 시트, 열 ${count(columns)}개`, worksheet: "파일의 시트", packedFile: "압축 안의 파일",
  change: "바꾸기", headerLine: "제목 행", noHeader: "없음(첫 줄부터 자료)", headerAt: (n, text) => `${n}번째 줄: ${text}`,
  delimiter: "구분 기호", charset: "인코딩", oneSheet: "나누지 않음(시트 하나)",
  kept: "담을 열", keptColumns: (kept, all) => (kept === all ? `${count(all)}개 모두` : `${count(all)}개 중 ${count(kept)}개`),
  extras: "함께 담기", summary: "요약 시트", mapLink: (host) => `행마다 지도 링크(${host})`,
  saveTopology: "이 설정 저장(.toml)", resend: "고친 행을 합쳐 다시 보내기",
  nothingCorrected: "아직 고친 칸이 없습니다.", stillWrong: (row, why) => `자료 ${count(row)}행이 아직 잘못되었습니다. ${why}`,
  delimiters: { ",": "쉼표", ";": "세미콜론", "\t": "탭", "|": "세로줄" },
  between: (delimiter) => `구분 기호 "${delimiter}"`,
  into: (names) => `${names} 열이 추가됩니다.`,
  noCoordinates: "없음(그대로 옮깁니다)",
  operation: (to, accuracy) => `→ ${to}${accuracy === null ? "" : ` · 정확도 ${accuracy} m`}`,
  asTopology: (crs) => `${crs} (기본값)`,
  otherCrs: "직접 입력·검색…",
  takesNoFiles: (name) => `${name} (파일을 받지 않음)`,
  fileHas: (names) => `파일의 열: ${names}.`,
  by: (column) => `‘${column}’ 값별로 시트 하나씩`,
  more: (n) => `외 ${count(n)}개`,
  tried: (rows) => `처음 ${count(rows)}행을 미리 변환해 보니 모두 처리할 수 있습니다.`,
  triedAll: (rows) => `${count(rows)}행을 미리 변환해 보니 모두 처리할 수 있습니다.`,
  triedNoneFits: (rows) => `${count(rows)}행을 미리 변환해 보니 처리할 수 있는 행이 없습니다. 빈 엑셀 파일이 만들어집니다.`,
  triedSome: (rows, rejected) => `${count(rows)}행을 미리 변환해 보니 ${count(rejected)}행은 변환할 수 없어 ‘오류’ 시트에 이유와 함께 따로 담깁니다.`,
  triedNone: "제목 행만 있고 자료 행이 없습니다. 빈 엑셀 파일이 만들어집니다.",
  make: "엑셀 파일 만들기", makeAnyway: "그래도 만들기", makeAll: "모두 엑셀 파일로 만들기", keepBlank: (n) => `좌표 없는 ${count(n)}행도 담기`, zipAll: "모두 내려받기(zip)",
  sending: (done, all) => `보내는 중: ${size(all)} 중 ${size(done)}`,
  publishing: "서버에 올리는 중",
  working: "엑셀 파일을 만드는 중",
  waiting: "처리 대기 중",
  pace: (rows, perSecond) => `${count(rows)}행${perSecond ? `, 초당 ${count(Math.round(perSecond))}행` : ""}`,
  rejectedSoFar: (n) => `오류 ${count(n)}행`,
  filtered: (n) => `${count(n)}행은 변환 설정의 조건에 맞지 않아 뺐습니다.`,
  distant: (n) => `${count(n)}행은 변환 좌표계를 쓰는 지역에서 멉니다.`,
  unplaced: (n) => `${count(n)}행은 좌표가 없습니다.`,
  left: (seconds) => (seconds < 60 ? `약 ${Math.max(1, Math.round(seconds))}초 남음` : `약 ${Math.round(seconds / 60)}분 남음`),
  cancel: "취소", cancelling: "취소하는 중…", paused: "관리자가 이 변환 설정을 잠시 멈추었습니다. 파일은 보관되어 있고 다시 시작되면 이어집니다.",
  done: (written, rejected) => `완료: ${count(written)}행을 ${rejected ? `담았고 ${count(rejected)}행은 오류로 제외했습니다` : "담았습니다"}`,
  doneNone: (rejected) => `${count(rejected)}행이 모두 오류로 제외되어 빈 엑셀 파일입니다`,
  earlier: (name) => `같은 내용을 ${name} 이름으로 만든 적이 있어 그 엑셀 파일을 보여 드립니다.`,
  closeDone: "닫기",
  download: (name, bytes) => `${name} 내려받기 (${size(bytes)})`,
  downloadShort: "내려받기",
  failed: "엑셀 파일을 만들지 못했습니다",
  aborted: "취소되었습니다",
  expired: "오랫동안 자료가 오지 않아 중단했습니다",
  states: { PUBLISHING: "올리는 중", PENDING: "대기 중", RECEIVING: "처리 중", INCOMPLETE: "행 부족", STALLED: "멈춤", PUBLISHED: "완료", FAILED: "실패", ABORTED: "취소됨", EXPIRED: "시간 초과" },
  previewOf: "시트별 미리 보기",
  previewTrial: "결과 미리 보기",
  rejects: (n) => `오류 행 ${count(n)}개`,
  rowCount: (n) => `${count(n)}행:`,
  rejectRows: "행 보기", rejectRowsSome: (shown) => `처음 ${count(shown)}행 보기`,
  saveRejects: "오류 행 내려받기(CSV)", rejectsName: (name) => `${name} 오류.csv`, code: "코드",
  row: "자료 행", column: "열", reason: "이유", text: "원본",
  broken: (names) => `지금 쓸 수 없는 변환 설정 파일이 있어 이전 설정으로 계속합니다:\n${names}`,
  offline: "서버가 응답하지 않습니다. 자동으로 다시 연결합니다.",
  offlineFile: "서버가 응답하지 않습니다. 다시 연결되면 파일을 확인합니다.",
  changed: "파일을 고른 뒤에 내용이 바뀌었습니다. 파일을 다시 선택하세요.",
  emptyFile: "빈 파일입니다. 저장이 끝난 파일인지 확인하세요.",
  packedTooLarge: "압축 파일과 엑셀 파일은 64 MB까지 볼 수 있습니다. 압축을 풀거나 CSV로 저장한 뒤 올리세요.",
  problems: {
    header: "제목 행을 읽을 수 없습니다. 파일이 비어 있거나 따옴표가 닫히지 않았습니다.",
    "not-text": "CSV나 엑셀 파일이 아닙니다. CSV로 저장한 뒤 올리세요.",
    charset: "글자를 읽을 수 없습니다. 파일을 UTF-8 또는 CP949로 저장한 뒤 올리세요.",
    packed: "압축을 풀거나 엑셀 파일을 읽을 수 없습니다. CSV로 저장한 뒤 올리세요.",
    crs: "이 좌표계는 쓸 수 없습니다. EPSG 코드(예: 5186)를 입력하거나 이름으로 검색하세요.",
    "too-large": "파일이 이 서버의 한도보다 큽니다.",
    "row-too-large": "서버가 받을 수 있는 길이를 넘는 행이 있습니다.",
    spool: "서버의 임시 저장 공간이 부족합니다. 잠시 뒤에 다시 시도하세요.",
    broker: "카프카에 연결할 수 없습니다. 잠시 뒤에 다시 시도하세요.",
    topic: "카프카 토픽을 쓸 수 없습니다. 관리자에게 문의하세요.",
    busy: "서버가 바쁩니다. 잠시 뒤에 다시 시도하세요.",
    stopping: "서버가 종료되는 중입니다. 잠시 뒤에 다시 시도하세요.",
    "unknown-topology": "그 변환 설정은 지금 실행되고 있지 않습니다.",
    timeout: "응답이 너무 오래 걸립니다. 잠시 뒤에 다시 시도하세요.",
    "unknown-upload": "서버에 없는 업로드입니다. 파일을 다시 올리세요.",
    "given-up": "업로드를 취소했습니다.",
    ended: "업로드가 이미 끝나 취소할 수 없습니다.",
  },
  map: "점 지도", zoomIn: "확대", zoomOut: "축소", zoomFit: "모든 점 보기",
  mapKeys: "화살표 키로 움직이고 + 와 - 로 확대·축소하며 0 을 누르면 모든 점이 보입니다.",
  mapPoints: (n, areas, more) => `점 ${count(n)}개${areas ? `: ${areas}` : ""}${more > 0 ? ` 외 ${count(more)}개 지역` : ""}.`,
  mapSea: (n) => `바다 위 ${count(n)}개.`,
  mapRejects: (n, all) => `✕ 표시는 오류 행입니다${n < all ? `(${count(n)}개만 표시)` : ""}.`,
  mapGrid: "가까운 점은 네모 하나로 묶어 그렸습니다.",
  atSea: "바다",
  noColumns: "파일에서 좌표를 찾지 못했습니다. x와 y 열을 선택하세요.",
  none: "없음", foundNone: "좌표가 없어 지도와 좌표 변환 없이 열을 그대로 담습니다. 좌표가 든 열이 있으면 위에서 선택하세요.",
  crsByRow: (column, systems) => `‘${column}’ 열에 행마다 다른 좌표계(${systems})가 적혀 있습니다. 여기서는 한 좌표계로만 읽으니 행마다 바르게 변환하려면 ‘이 설정 저장’으로 만든 설정을 쓰세요.`,
  oneCell: { xy: "한 칸에 경도(x), 위도(y) 순서로 적힌 좌표입니다.", yx: "한 칸에 위도(y), 경도(x) 순서로 적힌 좌표입니다.", geometry: "한 칸에 적힌 점 좌표입니다." },
  blank: (n) => `(이름과 값이 모두 없는 열 ${count(n)}개는 뺐습니다)`,
  fitsNothing: "어떤 좌표계로 보아도 육지에 놓이지 않습니다. 좌표 열이 맞는지 확인하세요.",
  alike: (codes, metres) => `${codes}의 차이는 약 ${count(metres)} m여서 이 위치만으로는 구별할 수 없습니다.`,
  offer: (code, where) => `${code} 적용: ${where}`,
  swap: "⇄ 바꾸기", chooseColumn: "열 선택…",
  offerSwapped: (code, where) => `x·y 바꾸고 ${code} 적용: ${where}`,
  swapped: "x와 y 열이 서로 바뀐 것 같습니다. 바꾸어 읽으면 행에 적힌 곳에 놓입니다.",
  asNamed: (code, where) => `${code} 기준으로 행에 적힌 지역과 위치가 일치합니다: ${where}.`,
  ambiguous: (code, where) => `${code} 기준 위치: ${where}. 다른 좌표계로 보아도 육지에 놓이니 지도에서 확인하세요.`,
  onLand: (code, where) => `${code} 기준으로 모두 육지에 있습니다: ${where}. 지도에서 확인하세요.`,
  perhaps: "들어맞는 좌표계가 여럿입니다. 지도를 보고 고르세요.",
  headerSays: (code, where) => `열 이름으로 보면 ${code}이고, 그 기준 위치는 ${where}입니다.`,
  headerNames: (code) => `열 이름으로 보면 ${code}입니다.`,
  declared: (code, where) => `파일에 적힌 좌표계는 ${code}이고, 그 기준 위치는 ${where}입니다.`,
  contradicted: (named, fitting) => `파일에 적힌 좌표계는 ${named}이지만 점의 위치는 ${fitting}에 맞습니다.`,
  namedElsewhere: (code) => `${code} 기준 위치가 대부분의 행에 적힌 지명과 다릅니다.`,
  elsewhere: (code, where, current) => `${code} 기준으로 보면 위치가 ${where}입니다. ${current} 기준으로는 다른 곳에 놓입니다.`,
  keyPerRow: "행마다 키를 다르게 보내는 곳이 있어 엑셀 파일이 만들어지지 않습니다. 관리자에게 변환 설정의 upload 항목을 확인해 달라고 하세요.",
  noTopology: "이 서버에서 실행 중인 변환 설정이 없어 아직 파일을 처리할 수 없습니다.",
  lost: "업로드가 중단되었습니다. 아무것도 올라가지 않았으니 다시 시도하세요.",
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

/** What else is to be said of rows that were counted. */
export const remarks = (rows) => ["filtered", "distant", "unplaced"].map((fate) => (rows[fate] > 0 ? ` ${t(fate, rows[fate])}` : "")).join("");

/** A problem in the reader's language, where the page has a sentence for its kind. */
export const sentence = (problem) => t("problems")[problem.kind] ?? problem.message;

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
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", hour12: false }).format(new Date(ms));
}
