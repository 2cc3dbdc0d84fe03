//! Reads the request of an upload: a file and its fields, from a raw body with a query or from a multipart form.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Query};
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::body::{self, PART_HEAD_BYTES_MAX, Watch};
use super::problem::Problem;
use super::spool::{Spool, SpoolRoom, Spooled};
use crate::inspect::columns::ChosenColumns;
use crate::inspect::reading::Reading;
use crate::inspect::trial::Asked;
use crate::record::{CoordinateForm, Extras};
use crate::source::NAME_BYTES_MAX;

/// Parts of a form; ours has nineteen.
const PARTS_MAX: usize = 21;
/// Bytes of a field that is no file; a CRS may be given as WKT.
const FIELD_BYTES_MAX: usize = 16 << 10;
/// Bytes of the corrected rows.
const CORRECTIONS_BYTES_MAX: usize = 1 << 20;
/// Names of the fields, beside the file.
const NAMES: [&str; 18] = [
    "topology",
    "name",
    "crs",
    "x",
    "y",
    "coordinates",
    "sheet",
    "one_sheet",
    "keep",
    "skip_blank",
    "summary",
    "map_link",
    "charset",
    "delimiter",
    "header_line",
    "worksheet",
    "corrections",
    "revises",
];

/// How a file is read and what is taken from it, where a person says so. Empty text says nothing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Choices {
    /// CRS of its coordinates, where that is not the topology's.
    pub crs: Option<String>,
    /// Column of the file that holds x, where that is not the topology's.
    pub x: Option<String>,
    /// The same of y.
    pub y: Option<String>,
    /// How coordinates are written; in two columns unless it says otherwise.
    pub coordinates: Option<String>,
    /// Column of the file that names sheets, where that is not the topology's.
    pub sheet: Option<String>,
    /// `true`: no column names sheets.
    pub one_sheet: Option<String>,
    /// Columns that are kept, as a JSON array of their names.
    pub keep: Option<String>,
    /// `true`: columns with neither a name nor a value are left out.
    pub skip_blank: Option<String>,
    /// `true`: the workbook has a sheet *Summary*.
    pub summary: Option<String>,
    /// `true`: each row has a link to its place on a map.
    pub map_link: Option<String>,
    /// Charset of the file.
    pub charset: Option<String>,
    /// Delimiter of the file.
    pub delimiter: Option<String>,
    /// Line of the header, from 1; 0 without one.
    pub header_line: Option<String>,
    /// Sheet of a workbook whose rows are taken.
    pub worksheet: Option<String>,
}

/// Everything but the file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Fields {
    /// Name of the topology.
    pub topology: Option<String>,
    /// Name of the file.
    pub name: Option<String>,
    /// How the file is read.
    #[serde(flatten)]
    pub choices: Choices,
    /// Rows that were corrected, as a JSON array of `[number, [fields]]`.
    pub corrections: Option<String>,
    /// Id of the upload that this one corrects: it becomes its next revision.
    pub revises: Option<String>,
}

/// A request to upload a file.
pub(super) struct Form {
    pub fields: Fields,
    pub file: Spooled,
}

impl Choices {
    /// The same as the question that it is.
    pub(super) fn asked(&self) -> Result<Asked, Problem> {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let is = |flag: &Option<String>| flag.as_deref() == Some("true");
        let keep = said(&self.keep).map(|names| serde_json::from_str::<Vec<String>>(&names)).transpose();
        let keep = keep.map_err(|error| {
            let detail = format!("`keep` is no JSON array of names: {error}");
            Problem::bad_request("column", detail).in_field("keep")
        })?;
        let coordinates = said(&self.coordinates).map(|name| {
            CoordinateForm::of_name(&name).ok_or_else(|| {
                let detail = format!("`coordinates` is {name:?}, not columns, xy, yx, geometry or none");
                Problem::bad_request("column", detail).in_field("coordinates")
            })
        });
        let columns = ChosenColumns {
            x: said(&self.x),
            y: said(&self.y),
            coordinates: coordinates.transpose()?,
            sheet: said(&self.sheet),
            one_sheet: is(&self.one_sheet),
            keep,
            blank: Vec::new(),
        };
        let extras = Extras { summary: is(&self.summary), map_link: is(&self.map_link) };
        let reading = Reading::parse(&text(&self.charset), &text(&self.delimiter), &text(&self.header_line))?;
        Ok(Asked { reading, crs: said(&self.crs), columns, extras, lang: None })
    }
}

impl Fields {
    /// The rows that were corrected, by number.
    pub(super) fn corrected(&self) -> Result<BTreeMap<u64, Vec<String>>, Problem> {
        let Some(text) = &self.corrections else { return Ok(BTreeMap::new()) };
        let rows = serde_json::from_str::<Vec<(u64, Vec<String>)>>(text).map_err(|error| {
            let detail = format!("`corrections` is no JSON array of [number, [fields]]: {error}");
            Problem::bad_request("corrections", detail).in_field("corrections")
        })?;
        Ok(rows.into_iter().collect())
    }

    /// The fields of the query.
    pub(super) fn of_query(request: &Request<Body>) -> Result<Fields, Problem> {
        let query = Query::<Fields>::try_from_uri(request.uri());
        let Query(fields) = query.map_err(|error| Problem::bad_request("query", error.body_text()))?;
        fields.check()
    }

    /// The field of that name; `None` for one that there is not.
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        let choices = &mut self.choices;
        Some(match name {
            "topology" => &mut self.topology,
            "name" => &mut self.name,
            "crs" => &mut choices.crs,
            "x" => &mut choices.x,
            "y" => &mut choices.y,
            "coordinates" => &mut choices.coordinates,
            "sheet" => &mut choices.sheet,
            "one_sheet" => &mut choices.one_sheet,
            "keep" => &mut choices.keep,
            "skip_blank" => &mut choices.skip_blank,
            "summary" => &mut choices.summary,
            "map_link" => &mut choices.map_link,
            "charset" => &mut choices.charset,
            "delimiter" => &mut choices.delimiter,
            "header_line" => &mut choices.header_line,
            "worksheet" => &mut choices.worksheet,
            "corrections" => &mut self.corrections,
            "revises" => &mut self.revises,
            _ => return None,
        })
    }

    /// A name is data and never a path, so it may look like one; but it has an end, and shows.
    fn check(mut self) -> Result<Fields, Problem> {
        for name in NAMES {
            // A tab is a delimiter.
            if let Some(field) = self.slot(name).filter(|_| name != "delimiter") {
                let trimmed = field.take().map(|text| text.trim().to_owned());
                *field = trimmed.filter(|text| !text.is_empty());
            }
        }
        if let Some(name) = &self.name {
            let problem = |detail: &str| Err(Problem::bad_request("name", detail).in_field("name"));
            if name.len() > NAME_BYTES_MAX {
                return problem("the name of the file has more than 1,024 bytes");
            }
            if name.chars().any(char::is_control) {
                return problem("the name of the file holds control characters");
            }
        }
        Ok(self)
    }
}

/// Reads the whole request. Nothing is known of the file until all of it is here.
pub(super) async fn receive(room: &Arc<SpoolRoom>, bytes_max: u64, request: Request<Body>) -> Result<Form, Problem> {
    let fields = Fields::of_query(&request)?;
    let (request, watch) = body::limit(request, bytes_max)?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let form = if kind.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        receive_parts(room, request, fields, &watch).await
    } else {
        receive_file(room, request).await.map(|file| Form { fields, file })
    };
    form.map_err(|problem| watch.problem_or(|| problem))
}

/// Reads a body that is the file.
pub(super) async fn receive_file(room: &Arc<SpoolRoom>, request: Request<Body>) -> Result<Spooled, Problem> {
    let mut pieces = request.into_body().into_data_stream();
    let mut spool = Spool::new(room.clone());
    while let Some(piece) = next_piece(&mut pieces).await {
        spool.push(&piece.map_err(|error| Problem::bad_request("body", error.to_string()))?).await?;
    }
    spool.finish().await
}

async fn next_piece(pieces: &mut axum::body::BodyDataStream) -> Option<Result<axum::body::Bytes, axum::Error>> {
    use futures_util::StreamExt;
    pieces.next().await
}

async fn receive_parts(
    room: &Arc<SpoolRoom>,
    request: Request<Body>,
    mut fields: Fields,
    watch: &Watch,
) -> Result<Form, Problem> {
    let broken = |why: String| Problem::bad_request("multipart", format!("the body is no multipart form: {why}"));
    let mut parts = Multipart::from_request(request, &()).await.map_err(|error| broken(error.body_text()))?;
    let mut file = None;
    let mut count = 0;
    loop {
        watch.allow(PART_HEAD_BYTES_MAX);
        let Some(mut part) = parts.next_field().await.map_err(|error| broken(error.body_text()))? else { break };
        count += 1;
        if count > PARTS_MAX {
            let detail = format!("the form has more than {PARTS_MAX} parts; send fields and one file");
            return Err(Problem::bad_request("multipart", detail));
        }
        let target = match part.name() {
            Some("file") => {
                if file.is_some() {
                    return Err(
                        Problem::bad_request("multipart", "the form has two files; send one by one").in_field("file")
                    );
                }
                let named = part.file_name().map(str::to_owned);
                fields.name = fields.name.take().or(named);
                watch.allow(u64::MAX);
                let mut spool = Spool::new(room.clone());
                while let Some(piece) = part.chunk().await.map_err(|error| broken(error.body_text()))? {
                    spool.push(&piece).await?;
                }
                file = Some(spool.finish().await?);
                continue;
            }
            Some(name) => name.to_owned(),
            None => String::new(),
        };
        let bytes_max = if target == "corrections" { CORRECTIONS_BYTES_MAX } else { FIELD_BYTES_MAX };
        watch.allow(bytes_max as u64 + PART_HEAD_BYTES_MAX);
        let text = read_text(part, bytes_max)
            .await
            .map_err(|error| error.unwrap_or_else(|error| broken(error.body_text())))?;
        let Some(field) = fields.slot(&target) else {
            let detail = format!("the form has a part \"{target}\"; there are {} and file", NAMES.join(", "));
            return Err(Problem::bad_request("multipart", detail));
        };
        *field = Some(text);
    }
    let Some(file) = file else {
        return Err(Problem::bad_request("multipart", "the form has no part \"file\"").in_field("file"));
    };
    Ok(Form { fields: fields.check()?, file })
}

/// The text of a part; the error is ours, or the reader's.
async fn read_text(
    mut part: Field<'_>,
    bytes_max: usize,
) -> Result<String, Result<Problem, axum::extract::multipart::MultipartError>> {
    let mut bytes = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(Err)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > bytes_max {
            let detail = format!("a field of the form has more than {bytes_max} bytes");
            return Err(Ok(Problem::bad_request("multipart", detail)));
        }
    }
    String::from_utf8(bytes).map_err(|_| Ok(Problem::bad_request("multipart", "a field of the form is not UTF-8")))
}

/// Forms as they come from a network, for tests and for fuzz/.
#[cfg(any(test, feature = "fuzz"))]
pub(super) mod in_pieces {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures_util::stream;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const BYTES_MAX: u64 = 1 << 20;

    /// A form with this body, which comes in pieces of `piece` bytes.
    pub(super) fn receive_form(room: &Arc<SpoolRoom>, body: &[u8], piece: usize) -> Result<Form, Problem> {
        thread_local! {
            static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        }
        let pieces: Vec<_> =
            body.chunks(piece).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
        let request = Request::post("/uploads").header(CONTENT_TYPE, "multipart/form-data; boundary=b");
        let request = request.body(Body::from_stream(stream::iter(pieces))).expect("a request");
        RUNTIME.with(|runtime| runtime.block_on(receive(room, BYTES_MAX, request)))
    }

    pub(super) fn room() -> Arc<SpoolRoom> {
        Arc::new(SpoolRoom::new(std::env::temp_dir(), BYTES_MAX))
    }

    /// The body is a form, or a problem of the one who sent it, and the room for files is given back.
    pub(in crate::http) fn read_any_form(body: &[u8], piece: usize) {
        let room = room();
        match receive_form(&room, body, piece) {
            Ok(form) => assert!(form.file.bytes <= body.len() as u64),
            Err(problem) => assert!(problem.status.is_client_error(), "{problem:?}"),
        }
        assert_eq!(room.taken(), 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However the body is cut into pieces, the file is the bytes that were sent, and the fields are theirs.
        #[test]
        fn a_form_is_read_as_it_was_written(
            crs in "E[ -~가-힣]{0,30}",
            name in "[a-z가-힣][a-z가-힣 ]{0,20}",
            content in prop::collection::vec(prop::sample::select(vec!["a,b", "\r\n", "--", "-", "\r", "가", "\r\n-"]), 1..40),
            piece in 1_usize..50,
        ) {
            let content = format!("x{}", content.concat());
            let body = format!(
                "--b\r\ncontent-disposition: form-data; name=\"crs\"\r\n\r\n{crs}\r\n--b\r\n\
                 content-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--b--\r\n"
            );
            let form = in_pieces::receive_form(&in_pieces::room(), body.as_bytes(), piece).map_err(|problem| TestCaseError::fail(problem.detail))?;
            prop_assert_eq!((form.fields.choices.crs.as_deref(), form.fields.name.as_deref()), (Some(crs.trim()), Some(name.trim())));
            prop_assert_eq!(form.file.sha256, <[u8; 32]>::from(Sha256::digest(&content)));
            prop_assert_eq!(form.file.bytes, content.len() as u64);
        }

        /// Any bytes at all are a form or a problem of the one who sent them; the room for files is given back.
        #[test]
        fn any_bytes_are_read_or_refused(
            parts in prop::collection::vec(prop::sample::select(vec![
                "--b", "--b--", "\r\n", "\n", "content-disposition: form-data; ", "name=\"file\"", "name=\"crs\"", "name=", "; filename=\"a\"",
                "content-disposition:", "x: y", "a,b\n1,2", "\"", "\0", "PK\u{3}\u{4}", "\u{feff}",
            ]), 0..40),
            tail in prop::collection::vec(any::<u8>(), 0..20),
            piece in 1_usize..50,
        ) {
            in_pieces::read_any_form(&[parts.concat().as_bytes(), &tail].concat(), piece);
        }
    }
}
