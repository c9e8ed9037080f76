//! Replies that wait: to be sent by a task, or to travel to another core.

use super::sink::{Shared, Sink};
use chainring::buf::IoVecBuf;
use chainring::chains::OutboxView;

/// Parts of a message, at most (`UIO_MAXIOV` of the kernel).
const PARTS: usize = 1024;
/// What is kept for the next replies.
const KEPT: usize = 16 << 10;

/// From how many bytes on they should be sent.
const FULL: usize = 256 << 10;

/// Copied bytes, and shared ones between them.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    copied: Vec<u8>,
    /// Blobs, each with how many of the copied bytes come before it.
    blobs: Vec<(usize, Shared)>,
    shared: usize,
    /// Bytes that are sent.
    sent: usize,
    /// Of the copied bytes, those that were moved into an outbox.
    taken: usize,
}

impl Replies {
    /// The bytes of all that were not sent.
    pub(crate) fn len(&self) -> usize {
        self.copied.len() + self.shared - self.sent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets them, and most of the memory that many have taken.
    pub(crate) fn clear(&mut self) {
        self.copied.clear();
        self.copied.shrink_to(KEPT);
        self.blobs.clear();
        self.blobs.shrink_to(KEPT / size_of::<(usize, Shared)>());
        (self.shared, self.sent, self.taken) = (0, 0, 0);
    }

    /// So many bytes more are sent.
    pub(crate) fn advance(&mut self, sent: usize) {
        self.sent += sent;
    }

    /// The bytes of all, if none of them are shared or sent.
    pub(crate) fn take_plain(&mut self) -> Option<Vec<u8>> {
        let plain = self.blobs.is_empty() && self.sent == 0;
        plain.then(|| std::mem::take(&mut self.copied))
    }

    /// Gives the vector back that was taken.
    pub(crate) fn put_plain(&mut self, sent: Vec<u8>) {
        self.copied = sent;
        self.clear();
    }

    /// Where the next reply will begin.
    pub(crate) fn end(&self) -> End {
        End { copied: self.copied.len(), blobs: self.blobs.len() }
    }

    /// Passes on what lies between two ends.
    pub(crate) fn part(&self, from: End, to: End, sink: &mut impl Sink) {
        let mut at = from.copied;
        for (before, blob) in &self.blobs[from.blobs..to.blobs] {
            sink.copy(&self.copied[at..*before]);
            sink.push(blob.clone());
            at = *before;
        }
        sink.copy(&self.copied[at..to.copied]);
    }

    /// Moves replies, of as many shared parts at most, into an outbox.
    pub(crate) fn take_front(&mut self, parts: usize, outbox: &mut OutboxView) {
        let taken = self.blobs.drain(..parts.min(self.blobs.len()));
        let mut at = self.taken;
        for (before, blob) in taken {
            outbox.copy(&self.copied[at..before]);
            self.shared -= blob.len();
            outbox.push(blob);
            at = before;
        }
        let end = self.blobs.first().map_or(self.copied.len(), |(before, _)| *before);
        outbox.copy(&self.copied[at..end]);
        self.sent += end - self.taken;
        self.taken = end;
        if self.is_empty() {
            self.clear();
        }
    }

    /// The copied bytes of a part.
    pub(crate) fn text(&self, from: End, to: End) -> &[u8] {
        &self.copied[from.copied..to.copied]
    }
}

/// A place between two replies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    copied: usize,
    blobs: usize,
}

impl End {
    /// A few copied bytes further.
    pub(crate) fn skip(self, bytes: usize) -> End {
        End { copied: self.copied + bytes, ..self }
    }
}

impl Sink for Replies {
    #[inline]
    fn copy(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    fn push(&mut self, blob: Shared) {
        self.shared += blob.len();
        self.blobs.push((self.copied.len(), blob));
    }

    fn forget(&mut self) {
        self.clear();
    }

    fn is_full(&self) -> bool {
        self.len() >= FULL
    }

    fn waiting(&self) -> usize {
        self.copied.len()
    }
}

/// What is not sent, as far as one message can take it.
impl IoVecBuf for Replies {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.blobs.iter().map(|(before, _)| *before));
        let ends = self.blobs.iter().map(|(before, _)| *before).chain([self.copied.len()]);
        let blobs = self.blobs.iter().map(|(_, blob)| blob.as_slice()).chain([&[][..]]);
        let parts =
            starts.zip(ends).zip(blobs).flat_map(|((start, end), blob)| [&self.copied[start..end], blob]);
        let mut sent = self.sent;
        let left = parts.map(move |part| {
            let skipped = sent.min(part.len());
            sent -= skipped;
            &part[skipped..]
        });
        left.filter(|part| !part.is_empty()).take(PARTS)
    }
}
