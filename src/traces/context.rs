//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): which trace an upload belongs to, and what caused it.

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceContext {
    pub(super) trace: [u8; 16],
    /// The publisher's span.
    pub(super) parent: Option<[u8; 8]>,
    /// Whether the trace is kept at all; who began it has decided.
    pub(super) is_sampled: bool,
}

impl TraceContext {
    /// A trace that begins here.
    pub(super) fn new() -> TraceContext {
        TraceContext { trace: uuid::Uuid::new_v4().into_bytes(), parent: None, is_sampled: true }
    }

    /// Reads a `traceparent`; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<TraceContext> {
        let mut parts = text.split('-');
        let [version] = bytes(parts.next()?)?;
        let (trace, parent) = (bytes(parts.next()?)?, bytes(parts.next()?)?);
        let [flags] = bytes(parts.next()?)?;
        // Later versions may have more parts.
        let is_whole = version != 0xff && (version != 0 || parts.next().is_none());
        let is_one = is_whole && trace != [0; 16] && parent != [0; 8];
        is_one.then_some(TraceContext { trace, parent: Some(parent), is_sampled: flags & 1 == 1 })
    }
}

/// A span's id.
pub(super) fn span_id() -> [u8; 8] {
    let [id @ .., _, _, _, _, _, _, _, _] = uuid::Uuid::new_v4().into_bytes();
    id
}

/// As OTLP's JSON and logs write ids.
pub(super) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hexadecimal digits, two for each byte.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return None;
    }
    let mut found = [0; N];
    for (at, byte) in found.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_the_w3c_writes_it() {
        let found = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("it is one");
        assert_eq!((hex(&found.trace), found.is_sampled), ("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), true));
        assert_eq!(found.parent.map(|parent| hex(&parent)).as_deref(), Some("00f067aa0ba902b7"));
        let unsampled = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        assert!(unsampled.is_some_and(|context| !context.is_sampled));
        assert!(TraceContext::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for text in [
            "",
            "00-ab-cd-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        assert_ne!(span_id(), span_id());
    }
}
