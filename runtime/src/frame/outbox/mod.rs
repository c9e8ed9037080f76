//! Outboxes: what a frame is about to send, in order, as copies and shared blobs.
//!
//! An outbox belongs to its frame as the buffers do: while something of the frame is in flight the kernel may read it,
//! and nobody can change it; while nothing is, the frame's token lends it. What the kernel reads (the `msghdr`, its
//! `iovec`s, the bytes) lies in allocations of the outbox that do not move when the outbox does.

mod slot;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

pub(in crate::frame) use slot::{Outboxes, Slot};

/// Parts of one message, at most (`UIO_MAXIOV` of the kernel).
const PARTS: usize = 1024;
/// What an empty outbox keeps for its next copies.
const KEPT: usize = 4096;
/// And for its next parts.
const KEPT_PARTS: usize = 64;

/// Bytes that are shared and never change.
#[derive(Clone)]
pub enum Blob {
    /// Of the program.
    Static(&'static [u8]),
    /// Of one core.
    Local(Rc<[u8]>),
    /// Of one core, in the allocation that it came in.
    Whole(Rc<Vec<u8>>),
    /// Of all cores.
    Shared(Arc<[u8]>),
    /// Of all cores, as a vector: what was put together in one need not be copied to be shared.
    Vec(Arc<Vec<u8>>),
}

impl Blob {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Blob::Static(bytes) => bytes,
            Blob::Local(bytes) => bytes,
            Blob::Whole(bytes) => bytes,
            Blob::Shared(bytes) => bytes,
            Blob::Vec(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.bytes().len())
    }
}

macro_rules! blobs {
    ($($from:ty => $variant:ident;)+) => {
        $(impl From<$from> for Blob {
            fn from(bytes: $from) -> Self {
                Blob::$variant(bytes.into())
            }
        })+
    };
}

blobs! {
    &'static [u8] => Static;
    Rc<[u8]> => Local;
    Box<[u8]> => Local;
    Arc<[u8]> => Shared;
    Arc<Vec<u8>> => Vec;
}

/// Without a copy.
impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Blob::Whole(Rc::new(bytes))
    }
}

impl From<&'static str> for Blob {
    fn from(text: &'static str) -> Self {
        Blob::Static(text.as_bytes())
    }
}

#[derive(Debug)]
enum Part {
    /// As many of the copied bytes, behind those of the parts before. Those that were copied last are no part yet: most
    /// outboxes hold nothing else, and have none.
    Copied(usize),
    Shared(Blob),
}

/// What a frame is about to send, in order. Lent to calls; sent, and empty then, by
/// [`Verb::SendOutbox`](crate::frame::Verb::SendOutbox).
#[derive(Default)]
pub struct Outbox {
    parts: Vec<Part>,
    copied: Vec<u8>,
    /// How many of the copied bytes belong to parts.
    parted: usize,
    len: usize,
    /// What the kernel reads while the outbox is sent.
    iovecs: Vec<libc::iovec>,
    header: Option<Box<libc::msghdr>>,
}

impl Outbox {
    /// Bytes that can be sent at once.
    pub(in crate::frame) const MOST: usize = i32::MAX as usize;

    /// Appends a copy of some bytes: for what is small, or does not last.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Appends shared bytes, which are kept until they are sent, and not copied; unless there are a thousand parts
    /// already, more than which one message cannot have.
    pub fn push(&mut self, blob: impl Into<Blob>) {
        let blob = blob.into();
        if blob.bytes().is_empty() {
            return;
        }
        // One part is for what was copied before it, and the last for whatever is copied.
        if self.parts.len() >= PARTS - 2 {
            return self.copy(blob.bytes());
        }
        let copied = self.copied.len() - std::mem::replace(&mut self.parted, self.copied.len());
        if copied > 0 {
            self.parts.push(Part::Copied(copied));
        }
        self.len += blob.bytes().len();
        self.parts.push(Part::Shared(blob));
    }

    /// How many bytes wait in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops what waits in it.
    #[inline]
    pub fn clear(&mut self) {
        if self.parts.is_empty() && self.copied.capacity() <= KEPT {
            self.len = 0;
            return self.copied.clear();
        }
        self.clear_all();
    }

    #[inline(never)]
    fn clear_all(&mut self) {
        self.parts.clear();
        self.copied.clear();
        self.copied.shrink_to(KEPT);
        self.parts.shrink_to(KEPT_PARTS);
        self.iovecs.clear();
        self.iovecs.shrink_to(KEPT_PARTS);
        (self.len, self.parted) = (0, 0);
    }

    /// Address and length of what is in it, if that is nothing but copies.
    #[inline]
    pub(in crate::frame) fn only_copies(&self) -> Option<(u64, usize)> {
        self.parts.is_empty().then_some((self.copied.as_ptr() as u64, self.copied.len()))
    }

    /// What is left of it behind the first `done` bytes, as the kernel is to read it. It stays valid until the outbox
    /// is changed or dropped.
    pub(in crate::frame) fn message(&mut self, mut done: usize) -> Message {
        let last = &self.copied[self.parted..];
        // Most have one part, which needs no list.
        let one = match self.parts.as_slice() {
            [] => Some(last),
            [Part::Shared(blob)] if last.is_empty() => Some(blob.bytes()),
            _ => None,
        };
        if let Some(bytes) = one {
            return Message::of(&bytes[done.min(bytes.len())..]);
        }
        self.iovecs.clear();
        let mut copied = self.copied.as_slice();
        let parts = self.parts.iter().map(|part| match part {
            Part::Copied(len) => {
                let (these, rest) = copied.split_at(*len);
                copied = rest;
                these
            }
            Part::Shared(blob) => blob.bytes(),
        });
        for bytes in parts.chain([last]) {
            let skipped = done.min(bytes.len());
            done -= skipped;
            let bytes = &bytes[skipped..];
            if !bytes.is_empty() {
                let base = bytes.as_ptr().cast_mut().cast();
                self.iovecs.push(libc::iovec { iov_base: base, iov_len: bytes.len() });
            }
        }
        match self.iovecs.as_slice() {
            [] => Message::Nothing,
            [one] => Message::Bytes { address: one.iov_base as u64, len: one.iov_len },
            _ => {
                let header = self.header.get_or_insert_with(|| {
                    // SAFETY: a message header of nothing but zeros is valid: no name, no parts, no control bytes.
                    Box::new(unsafe { std::mem::zeroed() })
                });
                header.msg_iov = self.iovecs.as_mut_ptr();
                header.msg_iovlen = self.iovecs.len();
                let len = self.iovecs.iter().map(|part| part.iov_len).sum();
                Message::Header { address: &raw const **header as u64, len }
            }
        }
    }
}

/// What the kernel is to send.
pub(in crate::frame) enum Message {
    Nothing,
    /// Bytes in a row.
    Bytes {
        address: u64,
        len: usize,
    },
    /// A `msghdr`, and the bytes of all its parts.
    Header {
        address: u64,
        len: usize,
    },
}

impl Message {
    fn of(bytes: &[u8]) -> Message {
        match bytes.len() {
            0 => Message::Nothing,
            len => Message::Bytes { address: bytes.as_ptr() as u64, len },
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("len", &self.len).field("parts", &self.parts.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, KEPT_PARTS, Message, Outbox, PARTS, Slot};
    use std::rc::Rc;
    use std::sync::Arc;

    /// What the kernel would read.
    fn read(outbox: &mut Outbox, done: usize) -> Vec<u8> {
        // SAFETY: the outbox has not been changed since.
        let bytes = |base: *const u8, len| unsafe { std::slice::from_raw_parts(base, len) };
        match outbox.message(done) {
            Message::Nothing => Vec::new(),
            Message::Bytes { address, len } => bytes(address as *const u8, len).to_vec(),
            Message::Header { len, .. } => {
                let parts = outbox.iovecs.iter().map(|part| bytes(part.iov_base.cast(), part.iov_len));
                let all = parts.collect::<Vec<_>>().concat();
                assert_eq!(all.len(), len);
                all
            }
        }
    }

    #[test]
    fn copies_and_blobs_keep_their_order() {
        let mut outbox = Outbox::default();
        outbox.copy(b"one ");
        outbox.copy(b"two ");
        outbox.push(Arc::new(b"three ".to_vec()));
        outbox.push("");
        outbox.copy(b"four");
        assert_eq!((outbox.len(), outbox.parts.len()), (18, 2));
        for done in 0..=18 {
            assert_eq!(read(&mut outbox, done), &b"one two three four"[done..]);
        }
        outbox.clear();
        assert!(outbox.is_empty() && read(&mut outbox, 0).is_empty());
    }

    #[test]
    fn one_part_is_sent_from_where_it_lies() {
        let (mut copied, mut shared) = (Outbox::default(), Outbox::default());
        copied.copy(b"abc");
        shared.push("abc");
        for outbox in [&mut copied, &mut shared] {
            for done in 0..=4 {
                assert_eq!(read(outbox, done), &b"abc"[done.min(3)..]);
            }
            assert!(outbox.iovecs.is_empty(), "no list was made");
        }
    }

    #[test]
    fn constants_in_an_empty_outbox_are_sent_from_where_they_lie() {
        let (constants, mut slot) = (b"constants", Slot::new());
        // SAFETY: they are never dropped.
        let put = |slot: &mut Slot| unsafe { slot.put_constants(constants.as_ptr(), constants.len()) };
        assert!(put(&mut slot));
        assert_eq!(slot.in_a_row(), Some((constants.as_ptr() as u64, 9)));
        for done in 0..=10 {
            match slot.message(done) {
                Message::Bytes { address, len } => {
                    assert_eq!((address, len), (constants[done..].as_ptr() as u64, 9 - done));
                }
                _ => assert!(done >= 9),
            }
        }
        assert!(!put(&mut slot), "it is not empty");
        slot.clear();
        assert!(slot.len() == 0 && put(&mut slot));
        slot.outbox().copy(b" and more");
        assert_eq!((slot.len(), read(slot.outbox(), 0)), (18, b"constants and more".to_vec()));
        slot.clear();
        assert_eq!(slot.len(), 0);
    }

    #[test]
    fn more_parts_than_a_message_can_have_are_copied() {
        let mut outbox = Outbox::default();
        let blob = Rc::<[u8]>::from(*b"ab");
        for _ in 0..3 * PARTS {
            outbox.push(blob.clone());
        }
        assert_eq!(read(&mut outbox, 1), &b"ab".repeat(3 * PARTS)[1..]);
        assert!((PARTS - 3..=PARTS).contains(&outbox.iovecs.len()), "{} parts", outbox.iovecs.len());
        outbox.clear();
        let kept = outbox.parts.capacity().max(outbox.iovecs.capacity());
        assert!(kept <= KEPT_PARTS && outbox.copied.capacity() <= KEPT, "a large reply is kept: {outbox:?}");
    }
}
