//! Why a command cannot be done, in the words of Redis.

use std::fmt;

/// Bytes of a word that a reply repeats.
pub(crate) const SHOWN: usize = 128;

/// The beginning of what a client has sent, to be repeated to it: the whole may be half a gigabyte.
pub(crate) fn shown(word: &[u8]) -> std::slice::EscapeAscii<'_> {
    word[..word.len().min(SHOWN)].escape_ascii()
}

/// A word that may be one of a few, in capitals; of one that is far too long the beginning, which is none.
pub(crate) fn upper(word: &[u8]) -> Vec<u8> {
    word[..word.len().min(SHOWN)].to_ascii_uppercase()
}

/// Shown, it is the text of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    WrongType,
    NotAnInteger,
    NotPositive,
    Overflow,
    DecrementOverflow,
    Syntax,
    TooLong,
    InvalidExpire(&'static str),
    InvalidCursor,
    OutOfMemory,
    ReadOnly(String),
    Arity(String),
    Text(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Refusal::NotAnInteger => "ERR value is not an integer or out of range",
            Refusal::NotPositive => "ERR value is out of range, must be positive",
            Refusal::Overflow => "ERR increment or decrement would overflow",
            Refusal::DecrementOverflow => "ERR decrement would overflow",
            Refusal::Syntax => "ERR syntax error",
            Refusal::TooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Refusal::InvalidExpire(command) => {
                return write!(f, "ERR invalid expire time in '{command}' command");
            }
            Refusal::InvalidCursor => "ERR invalid cursor",
            Refusal::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Refusal::ReadOnly(error) => {
                return write!(f, "MISCONF Errors writing to the AOF file: {error}");
            }
            Refusal::Arity(command) => {
                return write!(f, "ERR wrong number of arguments for '{command}' command");
            }
            Refusal::Text(text) => text,
        })
    }
}
