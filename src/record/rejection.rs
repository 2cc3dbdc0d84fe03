//! Why a row, a record or an upload was rejected: a stable code, and a message with the remedy.

use std::sync::Arc;

use super::{AnyOf, Hint, Message, Names, Reason};

/// Why a row, a record or an upload did not make it, with one sentence for the person who has to mend it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// The code of the message, stable over releases.
    pub reason: Reason,
    /// Column at fault, if one is.
    pub column: Option<Arc<str>>,
    /// The finding and the remedy; may quote the offending value.
    pub message: Box<Message>,
    /// Node that found it, once [`RowBatch::attribute_to`](super::RowBatch::attribute_to) was called.
    pub node: Option<Arc<str>>,
}

impl Rejection {
    /// A rejection that concerns no single column.
    pub fn new(message: Message) -> Rejection {
        Rejection { reason: message.reason(), column: None, message: Box::new(message), node: None }
    }
    /// None of `candidates` is among the columns of a header.
    pub fn column_missing<'a>(candidates: &[String], header: impl ExactSizeIterator<Item = &'a str>) -> Rejection {
        let header: Vec<&str> = header.collect();
        let hint = Hint::of_header(&header);
        let (any_of, header) = (AnyOf(candidates.to_vec()), Names::of(header.into_iter()));
        let rejection = Rejection::new(Message::ColumnMissing { candidates: any_of, header, hint });
        match candidates.first() {
            Some(first) => rejection.in_column(first.as_str()),
            None => rejection,
        }
    }
    /// The same, with its message as the reason of another one.
    pub fn because(self, message: impl FnOnce(Box<Message>) -> Message) -> Rejection {
        let Rejection { column, node, .. } = self;
        Rejection { column, node, ..Rejection::new(message(self.message)) }
    }
    /// Names the column at fault.
    pub fn in_column(mut self, column: impl Into<Arc<str>>) -> Rejection {
        self.column = Some(column.into());
        self
    }
}
