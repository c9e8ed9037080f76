//! What a frame of a program consists of.

/// The shape of a program's frames: how many registers, descriptors and bytes each has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Registers, `u64` each.
    pub registers: u16,
    /// Places for descriptors that the frame owns.
    pub descriptors: u16,
    /// Bytes that the kernel reads and writes.
    pub bytes: u32,
}

impl Layout {
    /// The word of a control record that holds descriptor `i`, in its upper half: where word 0 of an entry wants
    /// it.
    #[inline]
    pub(super) fn descriptor_word(&self, i: u16) -> usize {
        usize::from(i)
    }

    /// The word of a control record that holds register `i`.
    #[inline]
    pub(super) fn register_word(&self, i: u16) -> usize {
        usize::from(self.descriptors) + usize::from(i)
    }

    /// The word of a control record that is never written and always zero: a length that adds nothing.
    pub(super) fn zero_word(&self) -> usize {
        usize::from(self.descriptors) + usize::from(self.registers)
    }

    /// The word of a control record that takes counts which nobody reads.
    pub(super) fn discard_word(&self) -> usize {
        self.zero_word() + 1
    }

    /// Descriptors, registers, and the two words above.
    pub(super) fn words(&self) -> usize {
        self.discard_word() + 1
    }

    /// Whether every word has a number that fits into a template.
    pub(super) fn is_nameable(&self) -> bool {
        self.words() <= 1 << 16
    }

    /// Bytes from one frame's buffer to the next: whole cache lines.
    pub(super) fn stride(&self) -> usize {
        (self.bytes as usize).next_multiple_of(64)
    }
}
