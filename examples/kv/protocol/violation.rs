//! What breaks the protocol.

use std::fmt;

/// Why a connection cannot go on. Shown, it is the text of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    MultibulkLength,
    BulkLength,
    ExpectedDollar(u8),
    LongCount,
    LongLength,
    LongInline,
    UnbalancedQuotes,
    NoLineEnd,
    LongCommand,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ERR Protocol error: ")?;
        match self {
            Violation::MultibulkLength => f.write_str("invalid multibulk length"),
            Violation::BulkLength => f.write_str("invalid bulk length"),
            // A byte that is not printable must not break the reply.
            Violation::ExpectedDollar(byte) => write!(f, "expected '$', got '{}'", byte.escape_ascii()),
            Violation::LongCount => f.write_str("too big mbulk count string"),
            Violation::LongLength => f.write_str("too big bulk count string"),
            Violation::LongInline => f.write_str("too big inline request"),
            Violation::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Violation::NoLineEnd => f.write_str("expected the end of a line behind a bulk"),
            Violation::LongCommand => f.write_str("too big request"),
        }
    }
}
