//! Tables from columns to their types and the form of their cells: `columns` of the source, and `cast`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Reader;
use super::{shared_keys, words};
use crate::page::forms::{Angle, CellForm, Thousands, zone};
use crate::record::ColumnType;

/// One column of `columns = { .. }`
pub(super) struct ColumnSpec {
    pub name: Spanned<String>,
    pub kind: ColumnType,
    /// How its cells are written, where the file says so.
    pub form: Option<CellForm>,
}

/// A table from columns to their types, the value of the key `key`.
pub(super) fn read_column_types(reader: &mut Reader<'_>, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<ColumnSpec> {
    let Some(table) = value.get_ref().as_table() else {
        reader.wrong_type(key, "a table, such as { zip = \"text\" }", value);
        return Vec::new();
    };
    let read = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name = Spanned::new(name.span(), AsRef::<str>::as_ref(name.get_ref()).to_owned());
        let (kind, form) = match value.get_ref().as_table() {
            Some(table) => read_column(reader, value.span(), table),
            None => (reader.choice(&format!("{key}.{}", name.get_ref()), value, &words::COLUMN_TYPE)?, None),
        };
        Some(ColumnSpec { name, kind, form })
    };
    table.iter().filter_map(read).collect()
}

/// `{ type = "number", decimal = "comma" }`
fn read_column(reader: &mut Reader<'_>, span: Range<usize>, table: &DeTable<'_>) -> (ColumnType, Option<CellForm>) {
    let (kind, form) = reader.table(&shared_keys::COLUMN, span.clone(), table, |reader, fields| {
        let kind = fields.choice(reader, "type", &words::COLUMN_TYPE);
        let form = CellForm {
            decimal_comma: fields.choice(reader, "decimal", &words::DECIMAL_COMMA),
            thousands: fields.choice(reader, "thousands", &words::THOUSANDS),
            angle: fields.choice(reader, "angle", &words::ANGLE),
            zone_minutes: fields.text(reader, "zone").and_then(|text| read_zone(reader, &text)),
            excel_text: fields.boolean(reader, "excel_text"),
        };
        (kind, form)
    });
    let is_number = matches!(kind, ColumnType::Number | ColumnType::Integer);
    let separators = form.decimal_comma || form.thousands != Thousands::None;
    let is_angle = form.angle != Angle::Decimal;
    if (separators || is_angle) && !is_number {
        let why = "set type = \"number\" beside them";
        reader.findings.add(span.clone(), "\"decimal\", \"thousands\" and \"angle\" are about numbers", why);
    } else if separators && is_angle {
        reader.findings.add(span.clone(), "\"angle\" excludes \"decimal\" and \"thousands\"", "choose one of them");
    }
    if form.thousands.separator() == Some(if form.decimal_comma { ',' } else { '.' }) {
        let why = "a number could be read in two ways; \"decimal\" and \"thousands\" must differ";
        reader.findings.add(span.clone(), "\"thousands\" is the decimal separator", why);
    }
    if form.zone_minutes.is_some() && kind != ColumnType::DateTime {
        reader.findings.add(span, "\"zone\" is about times", "set type = \"datetime\" beside it");
    }
    (kind, Some(form).filter(|form| *form != CellForm::default()))
}

fn read_zone(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<i32> {
    let minutes = zone(text.get_ref());
    if minutes.is_none() {
        let why = "it is \"Z\" or hours and minutes east of UTC, such as \"+09:00\"";
        reader.findings.add(text.span(), format!("\"zone\" cannot be \"{}\"", text.get_ref()), why);
    }
    minutes
}
