//! The form in which messages are declared.

/// Declares [`Message`]: for each text its reason, then the text in the form of [`texts!`].
macro_rules! messages {
    ($(
        $reason:expr => $Variant:ident { $($field:ident: $kind:ty),* $(,)? }
            en $en:literal
            ko $ko:literal $([$($particle:ident($of:ident)),*])?;
    )*) => {
        texts! {
            /// The finding and the remedy; quotes the values that offended.
            ///
            /// In state, in the header `ss-message` and in the status a message is data, `{"field_count":{"have":3,"want":5}}`, so that it
            /// can be read in any language.
            pub enum Message { $(
                $Variant { $($field: $kind),* } en $en ko $ko $([$($particle($of)),*])?;
            )* }
        }

        impl Message {
            /// The code that it belongs to.
            #[allow(unused_variables)] // few codes depend on a value
            pub fn reason(&self) -> Reason {
                match self { $(Message::$Variant { $($field),* } => $reason,)* }
            }
        }
    };
}
pub(super) use messages;
