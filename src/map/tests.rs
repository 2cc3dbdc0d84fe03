//! Batches for the tests of maps, and their results.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

use super::*;
use crate::record::{CoordinateForm, Offset, RawRows, Reason, RowKey, UploadId};

/// A batch of text columns.
pub(super) fn batch(header: &[&str], rows: &[&[&str]]) -> RowBatch {
    let fields: Vec<_> = header.iter().map(|name| Field::new(*name, DataType::Utf8, false)).collect();
    batch_of(Arc::new(Schema::new(fields)), rows)
}

/// A batch of text columns that shares its schema with others.
pub(super) fn batch_of(schema: SchemaRef, rows: &[&[&str]]) -> RowBatch {
    let columns = (0..schema.fields().len())
        .map(|column| Arc::new(rows.iter().map(|row| Some(row[column])).collect::<StringArray>()) as ArrayRef);
    let mut raw = RawRows::default();
    rows.iter().for_each(|row| raw.push(row.join(",").as_bytes()));
    RowBatch {
        coordinates: CoordinateForm::Columns,
        map_link: false,
        upload: UploadId::new("test.csv"),
        attempt: None,
        crs: None,
        traceparent: None,
        numbered: false,
        header: schema.fields().iter().map(|field| field.name().clone()).collect(),
        types: vec![ColumnType::Auto; schema.fields().len()].into(),
        columns: RecordBatch::try_new(schema, columns.collect()).unwrap(),
        keys: (0..rows.len() as u64).map(|index| RowKey { index, line: 0 }).collect(),
        offsets: (0..rows.len() as i64).map(Offset).collect(),
        raw,
        delimiter: b',',
        published: None,
        rejected: Vec::new(),
        filtered: Vec::new(),
        operations: Vec::new(),
        distant: Vec::new(),
        unplaced: Vec::new(),
        record_keys: Vec::new(),
        passed_from: Vec::new(),
    }
}

/// The texts of a column.
pub(super) fn column(batch: &RowBatch, name: &str) -> Vec<String> {
    let column = batch.columns.column_by_name(name).unwrap();
    column.as_string::<i32>().iter().map(|cell| cell.unwrap().to_owned()).collect()
}

/// The numbers of a computed column.
pub(super) fn numbers(batch: &RowBatch, name: &str) -> Vec<f64> {
    batch.columns.column_by_name(name).unwrap().as_primitive::<Float64Type>().values().to_vec()
}

/// Which rows failed, and why.
pub(super) fn reasons(batch: &RowBatch) -> Vec<(u32, Reason)> {
    batch.rejected.iter().map(|(row, rejection)| (*row, rejection.reason)).collect()
}

#[test]
fn a_missing_column_names_what_was_looked_for_and_what_is_there() {
    let schema = Schema::new((0..30).map(|n| Field::new(format!("c{n}"), DataType::Utf8, false)).collect::<Vec<_>>());
    assert_eq!(find(&schema, &["x".into(), "c7".into(), "c1".into()]), Ok(7));
    let rejection = find(&schema, &["x".into(), "X좌표".into()]).unwrap_err();
    let message = rejection.message.to_string();
    assert!(message.starts_with("no column \"x\" or \"X좌표\"; the header has \"c0\", \"c1\", "));
    assert!(message.ends_with("\"c19\", 10 more"), "{message}");
    assert_eq!(rejection.column.as_deref(), Some("x"));
}
