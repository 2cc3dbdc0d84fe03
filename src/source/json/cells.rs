//! The cells of a JSON row under the columns of its upload: keys into columns, values into fields.
//!
//! An object within an object names its cells by path, `addr.city`. Where no column has such a path, but one the name of the object, its JSON
//! text is the cell, as that of an array is. The cells of a GeoJSON feature are its properties and its geometry, see [`is_feature`]. Numbers are the text that was written. Null, and a key that is not there, are blank.

use std::collections::{HashMap, HashSet};

use super::elements::{Element, ElementKind};
use super::scan::{behind_blanks, compact, string_end, unescape, value, value_of_key};
use crate::record::{Message, Quoted, Rejection};
use crate::source::csv::Fields;
use crate::source::names::clean_name;

/// Keys that are remembered beside those of columns: a publisher may have any number of them.
const KNOWN_MAX: usize = 4_096;

/// Reads the rows of uploads that have the same columns.
#[derive(Debug, Default)]
pub struct CellReader {
    columns: HashMap<String, usize>,
    /// Paths of the objects that columns lie in.
    parents: HashSet<String>,
    width: usize,
    exact_names: bool,
    ignores_unknown: bool,
    /// No column has the path of a property of a feature.
    reads_features: bool,
    /// A column may be a property of a feature.
    has_properties: bool,
    /// The row before was a feature.
    in_feature: bool,
    /// The meaning of keys, by path as it is written.
    known: HashMap<Vec<u8>, [Option<Target>; 2]>,
    /// The keys of the row before, in their order: most rows have the same.
    expected: Vec<Expected>,
    /// Keys of this row so far.
    seen: usize,
    /// Path of the object that is being read, with a dot behind it.
    path: Vec<u8>,
    /// By column: the row that filled it last.
    filled: Vec<u64>,
    row: u64,
    scratch: Vec<u8>,
}

/// The meaning of a key of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Column(usize),
    /// Its keys are read.
    Object,
    /// Says that the row is a feature, and no more.
    OfFeature,
    Unknown,
}

#[derive(Debug)]
struct Expected {
    depth: usize,
    key: Box<[u8]>,
    is_object: bool,
    target: Target,
}

/// Whether the cells could hold what the text of their record does not: a character that was written as an escape sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escapes(pub bool);

impl CellReader {
    /// A reader for rows of these columns, cleaned and unique. A key that is no column rejects its row unless `ignores_unknown`.
    pub fn new(columns: &[String], exact_names: bool, ignores_unknown: bool) -> CellReader {
        CellReader {
            columns: columns.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect(),
            parents: columns.iter().flat_map(|name| parents(name)).map(str::to_owned).collect(),
            width: columns.len(),
            exact_names,
            ignores_unknown,
            reads_features: !columns.iter().any(|name| name.starts_with(PROPERTIES)),
            has_properties: columns.iter().any(|name| !matches!(&**name, "properties" | "geometry" | "@id")),
            filled: vec![0; columns.len()],
            ..CellReader::default()
        }
    }

    /// Makes the cells of a row `fields` of its text. A row that is blank or broken has none.
    pub fn read(&mut self, text: &[u8], row: &Element, fields: &mut Fields) -> Result<Escapes, Rejection> {
        let mut escapes = Escapes(false);
        match row.kind {
            ElementKind::Object => {
                fields.reset(self.width);
                self.row += 1;
                self.seen = 0;
                self.path.clear();
                let in_feature = self.reads_features && is_feature(text, row.start);
                if std::mem::replace(&mut self.in_feature, in_feature) != in_feature {
                    self.known.clear();
                    self.expected.clear();
                }
                self.object(text, row.start, 0, fields, &mut escapes)?;
            }
            ElementKind::Array => {
                fields.reset(0);
                self.array(text, row.start, fields, &mut escapes);
            }
            ElementKind::Broken(_) | ElementKind::Blank => fields.reset(0),
        }
        Ok(escapes)
    }

    /// Reads the object that begins at `at`; returns the place behind it.
    fn object(
        &mut self,
        text: &[u8],
        at: usize,
        depth: usize,
        fields: &mut Fields,
        escapes: &mut Escapes,
    ) -> Result<usize, Rejection> {
        let mut at = behind_blanks(text, at + 1);
        while let Ok((key_end, value_at)) = value_of_key(text, at) {
            let key = &text[at + 1..key_end - 1];
            let is_object = text.get(value_at) == Some(&b'{');
            let target = self.target(key, depth, is_object);
            let end = match target {
                Target::Object => {
                    let parent = self.path.len();
                    unescape(key, &mut self.path);
                    self.path.push(b'.');
                    let end = self.object(text, value_at, depth + 1, fields, escapes)?;
                    self.path.truncate(parent);
                    end
                }
                Target::Column(column) => {
                    if std::mem::replace(&mut self.filled[column], self.row) == self.row {
                        return Err(self.fault(key, |key| Message::JsonDuplicateKey { key }));
                    }
                    self.cell(text, value_at, column, fields, escapes)
                }
                Target::OfFeature => end_of(text, value_at),
                Target::Unknown => {
                    let end = end_of(text, value_at);
                    if !self.ignores_unknown && !is_blank(&text[value_at..end]) {
                        return Err(self.fault(key, |key| Message::JsonUnknownKey { key }));
                    }
                    end
                }
            };
            at = behind_blanks(text, end);
            match text.get(at) {
                Some(b',') => at = behind_blanks(text, at + 1),
                Some(_) | None => break,
            }
        }
        Ok(at + 1)
    }

    fn array(&mut self, text: &[u8], at: usize, fields: &mut Fields, escapes: &mut Escapes) {
        let mut at = behind_blanks(text, at + 1);
        while text.get(at) != Some(&b']') {
            let column = fields.len();
            fields.resize(column + 1);
            at = behind_blanks(text, self.cell(text, at, column, fields, escapes));
            match text.get(at) {
                Some(b',') => at = behind_blanks(text, at + 1),
                Some(_) | None => break,
            }
        }
    }

    /// Puts the value at `at` into a field; returns the place behind it.
    fn cell(&mut self, text: &[u8], at: usize, field: usize, fields: &mut Fields, escapes: &mut Escapes) -> usize {
        match text.get(at) {
            Some(b'"') => {
                let end = string_end(text, at).unwrap_or(text.len());
                let inside = at + 1..end - 1;
                if text[inside.clone()].contains(&b'\\') {
                    self.scratch.clear();
                    unescape(&text[inside], &mut self.scratch);
                    fields.replace(field, &self.scratch);
                    escapes.0 = true;
                } else {
                    fields.set(field, inside);
                }
                end
            }
            Some(b'n') => at + b"null".len(),
            Some(b'{' | b'[') => {
                let end = end_of(text, at);
                self.scratch.clear();
                compact(&text[at..end], &mut self.scratch);
                fields.replace(field, &self.scratch);
                end
            }
            Some(_) | None => {
                let end = end_of(text, at);
                fields.set(field, at..end);
                end
            }
        }
    }

    /// The meaning of a key. It is looked up only when it is not the one that the row before had here.
    fn target(&mut self, key: &[u8], depth: usize, is_object: bool) -> Target {
        let place = self.seen;
        self.seen += 1;
        if let Some(expected) = self.expected.get(place)
            && (expected.depth, expected.is_object, &*expected.key) == (depth, is_object, key)
        {
            return expected.target;
        }
        let target = self.look_up(key, is_object);
        self.expected.truncate(place);
        if place == self.expected.len() && place < KNOWN_MAX {
            self.expected.push(Expected { depth, key: key.into(), is_object, target });
        }
        target
    }

    fn look_up(&mut self, key: &[u8], is_object: bool) -> Target {
        let parent = self.path.len();
        self.path.extend_from_slice(key);
        let known = self.known.get(&self.path).and_then(|known| known[usize::from(is_object)]);
        let target = known.unwrap_or_else(|| {
            let target = self.resolve(parent, key, is_object);
            if self.known.len() < KNOWN_MAX {
                self.known.entry(self.path.clone()).or_default()[usize::from(is_object)] = Some(target);
            }
            target
        });
        self.path.truncate(parent);
        target
    }

    fn resolve(&self, parent: usize, key: &[u8], is_object: bool) -> Target {
        let path = path_of(&self.path[..parent], key);
        let holds_properties = self.in_feature && self.has_properties && path == "properties";
        let name = match self.in_feature {
            false => path,
            true => match name_in_feature(path) {
                Some(name) => name,
                None => return Target::OfFeature,
            },
        };
        let name = if self.exact_names { name } else { clean_name(&name).into_owned() };
        let is_parent = is_object && (holds_properties || self.parents.contains(&name));
        match self.columns.get(&name).filter(|_| !is_parent) {
            Some(column) => Target::Column(*column),
            None if is_object => Target::Object,
            None => Target::Unknown,
        }
    }

    fn fault(&self, key: &[u8], message: impl Fn(Quoted) -> Message) -> Rejection {
        let name = path_of(&self.path, key);
        Rejection::new(message(Quoted::new(&name))).in_column(name)
    }
}

/// The beginning of the paths of a feature's properties.
const PROPERTIES: &str = "properties.";

/// Whether the object that begins at `at` is a GeoJSON feature (RFC 7946, 3.2): its type says so, and before it are no members but those
/// that features have.
fn is_feature(text: &[u8], at: usize) -> bool {
    let mut member = behind_blanks(text, at + 1);
    while let Ok((key_end, value)) = value_of_key(text, member) {
        match &text[member + 1..key_end - 1] {
            b"type" => return text[value..].starts_with(b"\"Feature\""),
            b"properties" | b"geometry" | b"id" | b"bbox" => {}
            _ => return false,
        }
        member = behind_blanks(text, end_of(text, value));
        if text.get(member) == Some(&b',') {
            member = behind_blanks(text, member + 1);
        }
    }
    false
}

/// The column of a path in a feature: properties by their own names, and its id beside them as `@id`; `None` for what all features have.
fn name_in_feature(path: String) -> Option<String> {
    match path.as_str() {
        "type" | "bbox" => None,
        "id" => Some("@id".to_owned()),
        _ => Some(path.strip_prefix(PROPERTIES).map(str::to_owned).unwrap_or(path)),
    }
}

/// The paths of the objects that a path leads through.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(dot, _)| &path[..dot])
}

/// Whether a value is null, or an empty text, object or array.
fn is_blank(value: &[u8]) -> bool {
    value == b"null"
        || (matches!(value, [b'"' | b'{' | b'[', .., _]) && value[1..value.len() - 1].trim_ascii().is_empty())
}

/// The names that the cells of a row have by themselves: the keys of an object, its objects by path unless `is_whole`; the cells of an
/// array; the properties of a feature and its geometry, unless a property's path `is_whole`.
pub fn names_of(text: &[u8], row: &Element, is_whole: &dyn Fn(&str) -> bool) -> Vec<String> {
    read_names(text, row, is_whole).in_order
}

fn read_names(text: &[u8], row: &Element, is_whole: &dyn Fn(&str) -> bool) -> Names {
    match row.kind {
        ElementKind::Array => {
            let mut fields = Fields::default();
            CellReader::default().array(text, row.start, &mut fields, &mut Escapes(false));
            let in_order = fields.iter(text).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            Names { in_order, ..Names::default() }
        }
        ElementKind::Object => {
            let read = |in_feature| {
                let mut names = Names { in_feature, ..Names::default() };
                names.read(text, row.start, &mut Vec::new(), is_whole);
                names
            };
            let by_path = read(false);
            let is_known = |name: &String| name.starts_with(PROPERTIES) && is_whole(name);
            if is_feature(text, row.start) && !by_path.in_order.iter().any(is_known) { read(true) } else { by_path }
        }
        ElementKind::Broken(_) | ElementKind::Blank => Names::default(),
    }
}

/// The names of the cells of rows, each once, in the order in which they came.
#[derive(Debug, Default)]
pub struct Names {
    in_feature: bool,
    in_order: Vec<String>,
    taken: HashSet<String>,
    /// Those whose cell is not blank.
    filled: HashSet<String>,
}

impl Names {
    /// Adds those of a row.
    pub fn add(&mut self, text: &[u8], row: &Element, is_whole: &dyn Fn(&str) -> bool) {
        let row = read_names(text, row, is_whole);
        self.in_feature |= row.in_feature;
        self.filled.extend(row.filled);
        self.in_order.extend(row.in_order.into_iter().filter(|name| self.taken.insert(name.clone())));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.in_order.len()
    }

    /// The names of columns. A name that is blank in all rows is none if others have cells within: `"addr": null` among objects with a
    /// city, and the properties of a feature that has none.
    pub fn columns(mut self) -> Vec<String> {
        let parents: HashSet<String> = self.in_order.iter().flat_map(|name| parents(name)).map(str::to_owned).collect();
        let holds_cells = |name: &String| parents.contains(name) || (self.in_feature && name == "properties");
        self.in_order.retain(|name| self.filled.contains(name) || !holds_cells(name));
        self.in_order
    }

    /// Reads the object that begins at `at`; returns the place behind it.
    fn read(&mut self, text: &[u8], at: usize, path: &mut Vec<u8>, is_whole: &dyn Fn(&str) -> bool) -> usize {
        let mut at = behind_blanks(text, at + 1);
        while let Ok((key_end, value_at)) = value_of_key(text, at) {
            let key = &text[at + 1..key_end - 1];
            let name = path_of(path, key);
            let is_whole_here = is_whole(&name) || (self.in_feature && name == "geometry");
            let end = if text.get(value_at) == Some(&b'{') && !is_whole_here {
                let parent = path.len();
                unescape(key, path);
                path.push(b'.');
                let end = self.read(text, value_at, path, is_whole);
                path.truncate(parent);
                end
            } else {
                let end = end_of(text, value_at);
                let name = if self.in_feature { name_in_feature(name) } else { Some(name) };
                self.filled.extend(name.clone().filter(|_| !is_blank(&text[value_at..end])));
                self.in_order.extend(name.filter(|name| self.taken.insert(name.clone())));
                end
            };
            at = behind_blanks(text, end);
            match text.get(at) {
                Some(b',') => at = behind_blanks(text, at + 1),
                Some(_) | None => break,
            }
        }
        at + 1
    }
}

fn path_of(parent: &[u8], key: &[u8]) -> String {
    let mut path = parent.to_vec();
    unescape(key, &mut path);
    String::from_utf8_lossy(&path).into_owned()
}

/// The end of a value that was found to be well-formed.
fn end_of(text: &[u8], at: usize) -> usize {
    value(text, at).map_or(text.len(), |extent| extent.end)
}
