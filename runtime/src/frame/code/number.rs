//! Numbers: how two become one, and how they lie in bytes.

/// How two numbers become one. Arithmetic is that of `u64` and wraps, a comparison gives 1 or 0, and a shift by 64 or
/// more gives 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the operations and layouts")]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Operator {
    /// The result; `None` for a division by zero.
    #[inline(always)]
    pub fn apply(self, a: u64, b: u64) -> Option<u64> {
        let shift = |shifted: fn(u64, u32) -> Option<u64>| {
            u32::try_from(b).ok().and_then(|b| shifted(a, b)).unwrap_or(0)
        };
        Some(match self {
            Operator::Add => a.wrapping_add(b),
            Operator::Sub => a.wrapping_sub(b),
            Operator::Mul => a.wrapping_mul(b),
            Operator::Div => return a.checked_div(b),
            Operator::Rem => return a.checked_rem(b),
            Operator::And => a & b,
            Operator::Or => a | b,
            Operator::Xor => a ^ b,
            Operator::Shl => shift(u64::checked_shl),
            Operator::Shr => shift(u64::checked_shr),
            Operator::Eq => u64::from(a == b),
            Operator::Ne => u64::from(a != b),
            Operator::Lt => u64::from(a < b),
            Operator::Le => u64::from(a <= b),
            Operator::Gt => u64::from(a > b),
            Operator::Ge => u64::from(a >= b),
        })
    }

    /// The same, sooner if it is the usual one: a protocol adds up what it has taken.
    #[inline(always)]
    pub(super) fn apply_usual(self, a: u64, b: u64) -> Option<u64> {
        if self == Operator::Add { Some(a.wrapping_add(b)) } else { self.apply_unusual(a, b) }
    }

    /// Whether it compares, and holds; sooner if it is one of the usual comparisons of two registers.
    #[inline(always)]
    pub(super) fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Operator::Ne => a != b,
            Operator::Eq => a == b,
            Operator::Ge => a >= b,
            _ => self.apply_unusual(a, b) == Some(1),
        }
    }

    /// A function of its own, or its jump through a table would be everybody's.
    #[inline(never)]
    fn apply_unusual(self, a: u64, b: u64) -> Option<u64> {
        self.apply(a, b)
    }

    /// Whether it may trap.
    pub fn can_trap(self) -> bool {
        matches!(self, Operator::Div | Operator::Rem)
    }

    /// The comparison that holds where this one does not; none if it is no comparison.
    pub fn negated(self) -> Option<Operator> {
        use Operator::{Eq, Ge, Gt, Le, Lt, Ne};
        Some(match self {
            Eq => Ne,
            Ne => Eq,
            Lt => Ge,
            Ge => Lt,
            Le => Gt,
            Gt => Le,
            _ => return None,
        })
    }
}

/// Width and byte order of a number among bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the operations and layouts")]
pub enum Order {
    U8,
    Be16,
    Be32,
    Be64,
    Le16,
    Le32,
    Le64,
}

impl Order {
    /// How many bytes it takes.
    pub const fn width(self) -> u32 {
        match self {
            Order::U8 => 1,
            Order::Be16 | Order::Le16 => 2,
            Order::Be32 | Order::Le32 => 4,
            Order::Be64 | Order::Le64 => 8,
        }
    }

    /// Reads a number.
    ///
    /// # Safety
    /// `at` must be valid for reads of [`width`](Order::width) bytes.
    #[inline(always)]
    pub(in crate::frame) unsafe fn load(self, at: *const u8) -> u64 {
        // SAFETY: the caller's promise; unaligned reads of plain integers.
        unsafe {
            match self {
                Order::U8 => u64::from(at.read()),
                Order::Be16 => u64::from(u16::from_be(at.cast::<u16>().read_unaligned())),
                Order::Be32 => u64::from(u32::from_be(at.cast::<u32>().read_unaligned())),
                Order::Be64 => u64::from_be(at.cast::<u64>().read_unaligned()),
                Order::Le16 => u64::from(u16::from_le(at.cast::<u16>().read_unaligned())),
                Order::Le32 => u64::from(u32::from_le(at.cast::<u32>().read_unaligned())),
                Order::Le64 => u64::from_le(at.cast::<u64>().read_unaligned()),
            }
        }
    }

    /// The same, sooner if it is the usual number of a protocol.
    ///
    /// # Safety
    /// As for `load`.
    #[inline(always)]
    pub(super) unsafe fn load_usual(self, at: *const u8) -> u64 {
        if self == Order::Be32 {
            // SAFETY: the caller's promise.
            return unsafe { Order::Be32.load(at) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.load_unusual(at) }
    }

    /// A function of its own, or the compiler would have one jump through a table for both.
    ///
    /// # Safety
    /// As for `load`.
    #[inline(never)]
    unsafe fn load_unusual(self, at: *const u8) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { self.load(at) }
    }

    /// As `store`, in a function of its own for what is not the usual number.
    ///
    /// # Safety
    /// As for `store`.
    #[inline(always)]
    pub(super) unsafe fn store_usual(self, at: *mut u8, value: u64) {
        if self == Order::Be32 {
            // SAFETY: the caller's promise.
            return unsafe { Order::Be32.store(at, value) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.store_unusual(at, value) };
    }

    /// # Safety
    /// As for `store`.
    #[inline(never)]
    unsafe fn store_unusual(self, at: *mut u8, value: u64) {
        // SAFETY: the caller's promise.
        unsafe { self.store(at, value) };
    }

    /// Writes the lower bytes of a number.
    ///
    /// # Safety
    /// `at` must be valid for writes of [`width`](Order::width) bytes.
    #[inline(always)]
    pub(super) unsafe fn store(self, at: *mut u8, value: u64) {
        // SAFETY: the caller's promise; unaligned writes of plain integers.
        unsafe {
            match self {
                Order::U8 => at.write(value as u8),
                Order::Be16 => at.cast::<u16>().write_unaligned((value as u16).to_be()),
                Order::Be32 => at.cast::<u32>().write_unaligned((value as u32).to_be()),
                Order::Be64 => at.cast::<u64>().write_unaligned(value.to_be()),
                Order::Le16 => at.cast::<u16>().write_unaligned((value as u16).to_le()),
                Order::Le32 => at.cast::<u32>().write_unaligned((value as u32).to_le()),
                Order::Le64 => at.cast::<u64>().write_unaligned(value.to_le()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operator, Order};

    #[test]
    fn arithmetic_wraps_and_long_shifts_give_zero() {
        assert_eq!(Operator::Add.apply(u64::MAX, 2), Some(1));
        assert_eq!(Operator::Sub.apply(0, 1), Some(u64::MAX));
        assert_eq!(Operator::Shl.apply(1, 63), Some(1 << 63));
        assert_eq!(Operator::Shl.apply(1, 64), Some(0));
        assert_eq!(Operator::Shr.apply(u64::MAX, 1 << 32), Some(0));
        assert_eq!(Operator::Div.apply(7, 2), Some(3));
    }

    #[test]
    fn division_by_zero_has_no_result() {
        assert_eq!(Operator::Div.apply(1, 0), None);
        assert_eq!(Operator::Rem.apply(1, 0), None);
    }

    #[test]
    fn a_negated_comparison_holds_where_the_other_does_not() {
        use Operator::{Add, And, Eq, Ge, Gt, Le, Lt, Ne, Shl};
        for operator in [Eq, Ne, Lt, Ge, Le, Gt] {
            let negated = operator.negated().expect("it compares");
            for (a, b) in [(0, 0), (0, 1), (1, 0), (u64::MAX, 1), (7, u64::MAX)] {
                assert_ne!(operator.apply(a, b), negated.apply(a, b), "{a} {operator:?} {b}");
                assert_eq!(operator.holds(a, b), operator.apply(a, b) == Some(1));
            }
        }
        assert!([Add, And, Shl].iter().all(|operator| operator.negated().is_none()));
    }

    #[test]
    fn numbers_are_of_either_byte_order() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        // SAFETY: eight bytes, and no order is wider.
        let load = |order: Order| unsafe { order.load(bytes.as_ptr()) };
        assert_eq!(load(Order::U8), 1);
        assert_eq!(load(Order::Be32), 0x0102_0304);
        assert_eq!(load(Order::Le32), 0x0403_0201);
        for order in [Order::U8, Order::Be16, Order::Be32, Order::Be64, Order::Le16, Order::Le32, Order::Le64]
        {
            let mut stored = [0; 8];
            // SAFETY: as above.
            unsafe { order.store(stored.as_mut_ptr(), load(order)) };
            let width = order.width() as usize;
            assert_eq!(stored[..width], bytes[..width]);
            assert!(stored[width..].iter().all(|byte| *byte == 0));
        }
    }
}
