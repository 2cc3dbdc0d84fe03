//! Every key of a topology file: type, default, example, meaning. `spec.rs` reads files by these tables, `reference.rs` makes the reference
//! and the JSON Schema of them, so that neither can say anything else.

use super::map_keys::MAP;
use super::shared_keys::{COLUMN, INPUT, NAME, key};
use super::table::{Default, Kind, Table};
use super::words;
use crate::source::OPEN_UPLOADS_MAX;

/// Most nodes of one topology.
pub(super) const NODES_MAX: usize = 64;

pub(super) static TOPOLOGY: Table = Table {
    place: "the topology",
    about: "The file as a whole. Nodes form a chain: one source, any number of maps, one aggregate, one sink. In every text `${VAR}` and \
            `${VAR:-default}` are replaced by environment variables; `$${` is a plain `${`.",
    keys: &[
        key(
            "name",
            Kind::Text,
            Default::Required,
            "\"seoul-markets\"",
            "Application id: consumer group, state directory, metrics label and the beginning of topic names. Letters, digits, dot, \
                    underscore and hyphen. Topologies of one process need different names.",
        ),
        key(
            "guarantee",
            Kind::Choice(words::GUARANTEE.names),
            Default::Derived("exactly once where the brokers can keep a transaction log, else at least once"),
            "\"at_least_once\"",
            "How often an output may appear. `\"exactly_once_v2\"`: once, for readers of committed records \
                    (`isolation.level=read_committed`), in one transaction with the offset, which needs a transaction log on the brokers; \
                    `\"at_least_once\"`: once, and after a crash or a change of owner perhaps again, with the same bytes. \
                    `run --guarantee` beats it.",
        ),
        key(
            "standby",
            Kind::Integer { min: 0, max: 100, unit: "processes" },
            Default::Integer(0),
            "1",
            "Other processes that keep the state of each partition up to date, to take it over at once when its owner fails (Kafka Streams' \
                    `num.standby.replicas`). Of no use with `placement = \"spread\"`. `run --standby` beats it.",
        ),
        key("source", Kind::Tables(&SOURCE, 1), Default::Required, "[{ name = \"rows\" }]", "Where rows come from."),
        key(
            "map",
            Kind::Tables(&MAP, NODES_MAX),
            Default::Derived("none"),
            "[{ name = \"columns\", select = [\"name\"] }]",
            "The operations on rows, one operator a node, in the order of the file.",
        ),
        key(
            "aggregate",
            Kind::Tables(&AGGREGATE, 1),
            Default::Required,
            "[{ name = \"by-city\", sheet = \"city\" }]",
            "Gathers rows in sheets.",
        ),
        key(
            "sink",
            Kind::Tables(&SINK, 1),
            Default::Required,
            "[{ name = \"workbooks\" }]",
            "Where workbooks, statuses and dead letters go.",
        ),
    ],
    one_of: &[],
};

pub(super) static SOURCE: Table = Table {
    place: "[[source]]",
    about: "The topic of rows, and how its records are read, as CSV or as JSON.",
    keys: &[
        NAME,
        INPUT,
        key(
            "topic",
            Kind::Text,
            Default::Derived("`<name of the topology>.rows`"),
            "\"seoul-markets.rows\"",
            "Topic that rows are read from.",
        ),
        key(
            "topics",
            Kind::Topics,
            Default::Derived("the one of `topic`"),
            "[\"seoul.shops\", \"seoul.parks\"]",
            "Topics that rows are read from, several in the place of `topic`. An upload has an end-of-file marker in each of them and one \
                    workbook. Needs `placement = \"spread\"`; `sheet = \"topic\"` makes a sheet of each topic. A pattern of names cannot be written: an \
                    upload is complete when each topic has its end, so the topics have to be known before its first row. A further topic is \
                    named here, and `run` started again.",
        ),
        key(
            "placement",
            Kind::Choice(words::SPREAD.names),
            Default::Text("keyed"),
            "\"spread\"",
            "The partitions that the rows of an upload lie in. `\"keyed\"`: in one partition, chosen by the record key; `\"spread\"`: in \
                    any partition, with or without keys. Spread rows go through the topic \
                    `<name of the topology>-<name of the aggregate>-repartition`. A spread upload is complete when each partition is read \
                    up to the end that it had when the end-of-file marker was read.",
        ),
        key(
            "header",
            Kind::Header,
            Default::Text("first"),
            "[\"id\", \"name\", \"city\"]",
            "`\"first\"`: the first row of each upload names its columns. A list: these are the names, so that they are checked before \
                    anything runs, and every row is data but a first one that is a header line, with half of the names or more. A \
                    header marker beats both.",
        ),
        key(
            "columns",
            Kind::ColumnTypes(words::COLUMN_TYPE.names, &COLUMN),
            Default::Derived("`\"auto\"` for every column"),
            "{ zip = \"text\", opened = \"date\", price = { type = \"number\", decimal = \"comma\" } }",
            "Types of columns by name. `\"auto\"` decides cell by cell: a plain number of at most 15 digits becomes a number, \
                    everything else stays text as it is. The other types are strict: a cell that is not of the type rejects its row. An empty \
                    cell is empty in every type.",
        ),
        key(
            "upload",
            Kind::Text,
            Default::Text("auto"),
            "\"header:file-name\"",
            "Where the upload id of a record comes from. `\"auto\"`: header `ss-upload`, else the key, else the partition; \
                    `\"key\"`: the key; `\"header:NAME\"`: that header; `\"partition\"`: each partition holds one upload after the other.",
        ),
        key(
            "markers",
            Kind::Choice(words::MARKERS.names),
            Default::Text("all"),
            "\"headers\"",
            "Spellings of markers that are read. `\"all\"`: record headers and text such as `#EOF`; `\"headers\"`: record headers \
                    only, where text that begins with `#EOF` is data.",
        ),
        key(
            "format",
            Kind::Choice(words::FORMAT.names),
            Default::Text("auto"),
            "\"json\"",
            "How rows are written. `\"auto\"`: a value that is a JSON object or array is JSON, any other one is CSV; `\"csv\"` and \
                    `\"json\"`: every value is that. The header `ss-format` of a record comes first.",
        ),
        key(
            "unknown_keys",
            Kind::Choice(words::UNKNOWN_KEYS.names),
            Default::Derived("`\"ignore\"` where `header` lists the columns, else `\"reject\"`"),
            "\"ignore\"",
            "Effect of a key of a JSON row that is not a column and not blank. `\"ignore\"`: it is left out; `\"reject\"`: it rejects its row, \
                    so that nothing is lost unseen.",
        ),
        key(
            "encoding",
            Kind::Text,
            Default::Derived("UTF-8 on the topic, as found in a file"),
            "\"cp949\"",
            "Charset of the rows, under any name that the WHATWG Encoding Standard, Windows, Java or Python has for it. The header \
                    `ss-encoding` of a record comes first, for a file `--charset` and its byte order mark.",
        ),
        key(
            "delimiter",
            Kind::Text,
            Default::Derived("`\",\"` on the topic, as found in a file"),
            "\"|\"",
            "Character between fields: one ASCII character, neither a quote nor a line end. The header `ss-delimiter` of a record \
                    comes first, for a file `--delimiter` and a line `sep=;` at its beginning.",
        ),
        key(
            "escape",
            Kind::Choice(words::ESCAPES.names),
            Default::Text("none"),
            "\"backslash\"",
            "Escapes in rows of CSV beside doubled quotes. `\"backslash\"`, with a `delimiter`: as MySQL and MariaDB write files, where `\\N` is \
                    blank, a backslash in front of a quote, a delimiter or a line end makes it text, and `\\t` and `\\n` are tab and line end. The \
                    header `ss-escape` of a record, `none` or `backslash`, comes first.",
        ),
        key(
            "names",
            Kind::Choice(words::EXACT_NAMES.names),
            Default::Text("alike"),
            "\"exact\"",
            "How names of columns are compared. `\"alike\"`: in Unicode's composed form, without blanks around them and without \
                    characters that cannot be seen; `\"exact\"`: character by character.",
        ),
        key(
            "skip_lines",
            Kind::Integer { min: 0, max: 1_000, unit: "lines" },
            Default::Integer(0),
            "2",
            "Lines above the header of a file that are left out. Without it, lines above the first row that names the columns which \
                    the topology needs are found and left out, in a file and in a record that holds a whole one.",
        ),
        key(
            "quotes",
            Kind::Choice(words::LENIENT_QUOTES.names),
            Default::Text("strict"),
            "\"lenient\"",
            "Quotes where RFC 4180 allows none, as in `24\" Pizza`. `\"strict\"` rejects the row, `\"lenient\"` takes them as text.",
        ),
        key(
            "excel_text",
            Kind::Flag,
            Default::Flag(false),
            "true",
            "Reads `=\"0012\"`, with which files make Excel keep leading zeros, as the text `0012`, in every column. An option of the same \
                    name in `columns` does it for one.",
        ),
        key(
            "field_count",
            Kind::Choice(words::PAD_FIELDS.names),
            Default::Text("strict"),
            "\"pad\"",
            "Rows with another number of fields than the header. `\"strict\"` rejects them; `\"pad\"` fills a short row with empty \
                    fields and drops surplus empty fields.",
        ),
        key(
            "blank",
            Kind::Texts,
            Default::Derived("none; a cell without a text is empty"),
            "[\"NULL\", \"-\"]",
            "Texts that mean no value. A cell that is one of them, blanks around it aside, is an empty cell.",
        ),
        key(
            "totals",
            Kind::Choice(words::TOTALS.names),
            Default::Text("keep"),
            "\"reject\"",
            "Rows that sum up others, as spreadsheets have them below a table: a word such as `합계`, `소계` or `Total`, numbers, and nothing \
                    in a column that the topology needs for coordinates or sheets. `\"keep\"` takes them as any other row; `\"reject\"` \
                    rejects them as `row.total`, so that they are in no sheet but on the one of *Errors*.",
        ),
        key(
            "control",
            Kind::Choice(words::STRIP_CONTROL.names),
            Default::Text("reject"),
            "\"strip\"",
            "Control characters, which no workbook can hold. `\"reject\"` rejects the row, `\"strip\"` takes them out.",
        ),
        key(
            "long_cells",
            Kind::Choice(words::TRUNCATE_CELLS.names),
            Default::Text("reject"),
            "\"truncate\"",
            "Cells above Excel's 32,767 characters. `\"reject\"` rejects the row, `\"truncate\"` cuts the cell.",
        ),
        key(
            "on_error",
            Kind::Choice(words::ON_ERROR.names),
            Default::Text("continue"),
            "\"fail\"",
            "Effect of a rejected row. `\"continue\"`: it goes to the dead letters and to the *Errors* sheet, and the upload \
                    continues. `\"fail\"`: its upload fails.",
        ),
        key(
            "rejected_max",
            Kind::RowsOrShare,
            Default::Derived("any number of rows"),
            "\"1%\"",
            "The most rejected rows of an upload, as a number of rows or as a percentage of all its rows. With more, the upload fails as \
                    `rejected.too_many` instead of being published: with a number at the row that is one too many, with a percentage at its \
                    end. Its rejected rows are in the dead letters.",
        ),
        key(
            "idle_timeout",
            Kind::Duration,
            Default::Text("24h"),
            "\"90m\"",
            "An upload for which no record comes for so long expires. A whole number above 0 with its unit `ms`, `s`, `m`, `h` or `d`; \
                    365 days at most.",
        ),
        key(
            "open_uploads_max",
            Kind::Integer { min: 1, max: 1_000_000, unit: "uploads" },
            Default::Integer(OPEN_UPLOADS_MAX as u64),
            "1000",
            "Uploads that may be open in a partition at once. For another one the oldest of a single record is turned away, or else the new \
                    one: it fails as `upload.too_many`, and its records go to the dead letters.",
        ),
        key(
            "incomplete",
            Kind::Choice(words::INCOMPLETE.names),
            Default::Text("hold"),
            "\"fail\"",
            "An end-of-file marker whose row count or checksum is not met. `\"hold\"` waits for the missing rows until the idle \
                    timeout, `\"emit\"` publishes the workbook and flags it, `\"fail\"` fails the upload.",
        ),
        key(
            "eof_settle",
            Kind::Duration,
            Default::Text("2s"),
            "\"500ms\"",
            "With `placement = \"keyed\"`: how long an end-of-file marker without `rows` waits for rows that it came before, for producers \
                    reorder records over connections. Nothing of the upload comes for so long, by the timestamps of records or on a silent \
                    partition by the clock: then it ends, or without any row its marker goes to the dead letters.",
        ),
        key(
            "clock_tolerance",
            Kind::Duration,
            Default::Derived("timestamps of publishers decide nothing alone"),
            "\"500ms\"",
            "With `placement = \"spread\"`: the largest difference between the clocks of publishers. Where two publications of one id are \
                    on the topic, without `rows` on their end-of-file markers, timestamps further apart than this show which row belongs \
                    to which; otherwise both uploads fail as `upload.ambiguous`. With `message.timestamp.type=LogAppendTime` on the topic the \
                    brokers' timestamps show it without this key.",
        ),
    ],
    one_of: &[],
};

pub(super) static AGGREGATE: Table = Table {
    place: "[[aggregate]]",
    about: "Gathers the rows of an upload in the sheets of its workbook.",
    keys: &[
        NAME,
        INPUT,
        key(
            "sheet",
            Kind::Text,
            Default::Required,
            "\"{city} {kind}\"",
            "Name of a row's sheet: a column, or a template with columns in braces, or with several `topics` the word `topic`. `\"{city|all}\"` is the column `city`, and a \
                    sheet `all` for uploads without that column; `{{` and `}}` are braces. Names are made valid for Excel and kept apart.",
        ),
        key(
            "sheet_order",
            Kind::Choice(words::SHEET_ORDER.names),
            Default::Text("first"),
            "\"name\"",
            "Order of the sheets: by the first row of each, or by name.",
        ),
        key(
            "sheets_max",
            Kind::Integer { min: 1, max: 10_000, unit: "sheets" },
            Default::Integer(2_048),
            "500",
            "An upload whose rows make more sheets fails as `sheet.too_many`.",
        ),
    ],
    one_of: &[],
};

pub(super) static SINK: Table = Table {
    place: "[[sink]]",
    about: "The topics that are written, and the look of workbooks.",
    keys: &[
        NAME,
        INPUT,
        key(
            "topic",
            Kind::Text,
            Default::Derived("`<name of the topology>.workbooks`"),
            "\"seoul-markets.workbooks\"",
            "Topic of workbooks.",
        ),
        key(
            "partitions",
            Kind::Integer { min: 1, max: 10_000, unit: "partitions" },
            Default::Derived("the broker's `num.partitions`"),
            "3",
            "Partitions with which `topics create` creates the topics.",
        ),
        key(
            "record_bytes_max",
            // A larger record than 100 MiB (socket.request.max.bytes) no broker takes.
            Kind::Integer { min: 1_024, max: 104_857_600, unit: "bytes" },
            Default::Integer(921_600),
            "4000000",
            "Largest record of a workbook; a larger workbook is sent in chunks. Keep it below `max.message.bytes` of the topic.",
        ),
        key(
            "workbook",
            Kind::Table(&WORKBOOK),
            Default::Derived("the defaults of its keys"),
            "{ autofilter = false, lang = \"ko\" }",
            "Look of the workbooks.",
        ),
        key(
            "status_topic",
            Kind::Text,
            Default::Derived("`<name of the topology>.status`"),
            "\"seoul-markets.status\"",
            "Topic of statuses, which is also the ledger of ended uploads. It belongs to this topology alone.",
        ),
        key(
            "dead_letter_topic",
            Kind::Text,
            Default::Derived("`<name of the topology>.dead-letters`"),
            "\"seoul-markets.dead-letters\"",
            "Topic of rejected rows and records.",
        ),
    ],
    one_of: &[],
};

pub(super) static WORKBOOK: Table = Table {
    place: "workbook",
    about: "Look of the workbooks.",
    keys: &[
        key("freeze_header", Kind::Flag, Default::Flag(true), "false", "The header row stays in sight."),
        key("autofilter", Kind::Flag, Default::Flag(true), "false", "The header row has filter buttons."),
        key(
            "cell_refs",
            Kind::Flag,
            Default::Flag(true),
            "false",
            "Cells carry their reference (`A1`). Without it a workbook is smaller; a few readers need it.",
        ),
        key(
            "about",
            Kind::Flag,
            Default::Flag(true),
            "false",
            "The sheet *About* says where the rows come from and what was done to them.",
        ),
        key(
            "summary",
            Kind::Flag,
            Default::Flag(false),
            "true",
            "The first sheet is *Summary*: a line for each sheet, with a link to it, its rows, and the least and the greatest coordinates that \
             the last `reproject` computed; and a line for all of them.",
        ),
        key(
            "summary_numbers",
            Kind::Columns,
            Default::Derived("none"),
            "[\"area\", \"rent\"]",
            "With `summary`: columns of whose numbers the least and the greatest are shown as well, under their names in the workbook. A \
             column that a workbook does not have is left out.",
        ),
        key(
            "lang",
            Kind::Choice(words::LANG.names),
            Default::Text("en"),
            "\"ko\"",
            "Language of the sheets *Summary*, *About* and *Errors*, and of links: English or Korean.",
        ),
    ],
    one_of: &[],
};
