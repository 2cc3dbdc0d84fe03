//! Records of any kind through a source, with every setting of it: envelopes, markers, CSV, JSON, charsets. Each row that comes out is
//! as wide as its header.
#![no_main]

mod any_record;

use std::sync::Arc;

use any_record::AnyRecord;
use libfuzzer_sys::fuzz_target;
use sheetstream::record::StreamElement;
use sheetstream::source::{Admission, Format, HeaderFrom, Source, SourceConfig};

fn config(settings: u8) -> SourceConfig {
    let is_set = |bit: u8| settings & (1 << bit) != 0;
    let plain = SourceConfig::of_topic("rows");
    let names = ["name", "x", "y"].map(str::to_owned);
    SourceConfig {
        header: if is_set(0) { HeaderFrom::Declared(Arc::from(names)) } else { plain.header.clone() },
        format: if is_set(1) { Format::Json } else { plain.format },
        ignores_unknown_keys: is_set(2),
        backslash_escapes: is_set(3),
        lenient_quotes: is_set(4),
        pad_fields: is_set(5),
        strip_control: is_set(6),
        delimiter: is_set(7).then_some(b'|'),
        ..plain
    }
}

fuzz_target!(|input: (u8, Vec<AnyRecord<'_>>)| {
    let (settings, records) = input;
    let mut source = Source::new(Arc::new(config(settings)), Some(3));
    for (offset, record) in (0..).zip(&records) {
        source.push(record.at(offset), &mut |_| Admission::Read);
        if offset % 3 == 0 {
            source.flush();
        }
    }
    source.flush();
    source.tick(1);
    source.tick(u64::MAX / 2);
    for element in std::iter::from_fn(|| source.pop()) {
        if let StreamElement::Rows(batch) = element {
            assert_eq!(batch.columns.num_columns(), batch.header.len());
            assert_eq!((batch.columns.num_rows(), batch.keys.len()), (batch.len(), batch.len()));
        }
    }
});
