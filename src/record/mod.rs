//! The nouns of the stream, a file each. Imports no sibling.

mod accounting;
pub mod address;
mod coordinate_form;
mod count;
mod cuts;
mod ids;
mod lang;
mod marker;
mod messages;
mod no_value;
mod reason;
#[allow(clippy::module_inception)]
mod record;
mod rejection;
mod row;
mod template;

pub use accounting::{Accounting, LedgerEntry, Outcome};
pub use coordinate_form::CoordinateForm;
pub use count::counted;
pub use cuts::{Cut, Cuts};
pub use ids::{LogId, Offset, SheetName, TaskId, TopicPartition, UploadHash, UploadId};
pub use lang::Lang;
pub use marker::{Announcement, Extras, Marker, MarkerRecord, StreamElement, Titles};
pub use messages::{
    AnyOf, Area, Binary, Delimiter, EarlierHeader, Hint, IdPlace, JsonFault, MapFormat, Message, MissingRows, Names,
    Nearest, OpenAttempt, Part, Parts, Place, Quoted,
};
pub use no_value::is_no_value;
pub use reason::{Concern, Reason, reasons_markdown};
pub use record::{Header, Record, SourcePlace};
pub use rejection::Rejection;
pub use row::{ColumnLook, ColumnType, NumberRange, RawRows, RowBatch, RowKey, UsedOperations, is_added_as};
pub use template::TemplatePart;
