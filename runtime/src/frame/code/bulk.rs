//! What moves or looks at many bytes.

use super::{OnWord, Order, Trap};
use crate::frame::plan::Len;

/// Bytes of a frame, or of a program's constants, whose place or length may come from registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Where its room starts.
    pub offset: u32,
    /// The register that is added to the start, if one is.
    pub start: Option<u16>,
    /// What start and length may come to together.
    pub room: u32,
    /// How many bytes.
    pub len: Len,
    /// Among the constants, and not the frame's bytes. Such an area is only read.
    pub constant: bool,
    /// In this pooled buffer, as far as the frame has filled it.
    pub pooled: Option<u16>,
}

/// An op on many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bulk {
    /// Copies; the areas may overlap. Traps unless they are of the same length.
    Copy {
        /// To here.
        to: Area,
        /// From here.
        from: Area,
    },
    /// `to` = 1 if both areas hold the same bytes, else 0.
    Equal {
        /// The register of the answer.
        to: u16,
        /// One area.
        a: Area,
        /// The other.
        b: Area,
    },
    /// `to` = where the byte first is in the area, or the area's length.
    Find {
        /// The register of the answer.
        to: u16,
        /// Where to look.
        area: Area,
        /// The register whose lowest byte is looked for.
        byte: u16,
    },
    /// `to` = where the bytes of the other area first are in the area, or the area's length.
    FindBytes {
        /// The register of the answer.
        to: u16,
        /// Where to look.
        area: Area,
        /// What is looked for. If it is among the constants, and always the same part of them, the search is prepared
        /// when the code is checked.
        bytes: Area,
    },
    /// `to` = how many of the numbers in the area are less than a register, or not greater than it. They are sorted, and
    /// start `stride` bytes apart; of others the answer is a number between none and all of them.
    Partition {
        /// The register of the answer.
        to: u16,
        /// Where they lie. What is left over at its end is nobody's.
        area: Area,
        /// How each is written, at the start of its stride.
        order: Order,
        /// The distance between two, not less than the width of one.
        stride: u32,
        /// The register that they are compared with.
        key: u16,
        /// Those that are equal to it count, too.
        or_equal: bool,
    },
    /// Puts a copy of the area behind what is in the outbox. Traps if that becomes more than can be sent at once.
    Append {
        /// Which of the frame's outboxes.
        outbox: u16,
        /// What is copied.
        area: Area,
    },
    /// The same with a register.
    AppendNumber {
        /// Which of the frame's outboxes.
        outbox: u16,
        /// The register.
        from: u16,
        /// How it is written, its lower bytes; none is for decimal digits, as many as it needs.
        order: Option<Order>,
    },
    /// `to` = the FNV-1a hash (64 bits) of the area.
    Hash {
        /// The register of the answer.
        to: u16,
        /// What is hashed.
        area: Area,
    },
    /// Makes room behind the bytes of a stream, which lie in a buffer from where a register says: if there are none,
    /// they start at its front; if they end where the buffer does, they are moved there. It never traps, so that it may
    /// be done before a transfer that it comes behind: what does not work out is a span that does not fit, when one is
    /// submitted from `end` on of `left` bytes.
    Compact {
        /// Where the buffer starts.
        offset: u32,
        /// Its size.
        room: u32,
        /// The register that says where in it the bytes start.
        from: u16,
        /// The register that says how many there are.
        len: u16,
        /// The register that is told where in the buffer they end now.
        end: u16,
        /// The register that is told how much room there is behind them: 1 if there is none, and the greatest number if
        /// they do not lie inside the buffer.
        left: u16,
    },
    /// `to` = the number in the area, whose length is the order's width.
    Load {
        /// How it is written.
        order: Order,
        /// The register.
        to: u16,
        /// Where it is.
        area: Area,
    },
    /// The area, whose length is the order's width, becomes the register, cut to the width.
    Store {
        /// How it is written.
        order: Order,
        /// The register.
        from: u16,
        /// Where it is.
        area: Area,
    },
    /// Gives back those of the frame's pooled buffers that have a bit here.
    GiveBack(u64),
    /// Works on a word that is not the frame's own; no bytes, but as rare.
    Word(OnWord),
}

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): chosen because it is defined byte by byte.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Where an area starts and how long it is, from what its registers say.
#[inline]
pub(super) fn place(area: &Area, start: u64, len: u64) -> Result<(usize, usize), Trap> {
    let end = start.checked_add(len).filter(|end| *end <= u64::from(area.room));
    match end {
        Some(_) => Ok((area.offset as usize + start as usize, len as usize)),
        None => Err(Trap::Bounds { end: start.saturating_add(len), room: area.room }),
    }
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn the_hash_is_fnv_1a() {
        // The published test vectors of the algorithm.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
