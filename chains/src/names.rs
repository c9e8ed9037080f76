//! How handles read in errors and in `explain()`: `s0` is a socket, `f1` a file, `r0` a register, `b0` a buffer, `p1` a
//! pooled one, `v2` an owned one, `k0` a constant, `o0` an outbox, `w0` a word that others see too.

use std::fmt;

use crate::handle::{Buf, Place, Reg, Span, SpanLen, Word};

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.index)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.index)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.file { "f" } else { "s" }, self.index)
    }
}

impl fmt::Display for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.pooled {
            Some(_) if self.owned => "v",
            Some(_) => "p",
            None if self.constant => "k",
            None => "b",
        };
        write!(f, "{kind}{}", self.index)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { buf, from, start, len } = self;
        let start = match start {
            Some(start) if *from == 0 => start.to_string(),
            Some(start) => format!("{from}+{start}"),
            None => from.to_string(),
        };
        match len {
            SpanLen::Fixed(len) if self.start.is_none() => write!(f, "{buf}[{start}..{}]", from + len),
            SpanLen::Reg(reg) if start == "0" => write!(f, "{buf}[0..{reg}]"),
            SpanLen::Fixed(len) => write!(f, "{buf}[{start}..{start}+{len}]"),
            SpanLen::Reg(reg) => write!(f, "{buf}[{start}..{start}+{reg}]"),
        }
    }
}
