//! Several buffers, less their first bytes.

use std::mem::MaybeUninit;

use super::{IoVecBuf, IoVecBufMut};

/// Buffers of which operations see what comes behind the first bytes. Made by [`IoVecBuf::skip`];
/// [`into_inner`](Skip::into_inner) gives the whole buffers back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip<B> {
    buffers: B,
    bytes: usize,
    /// How many bytes of each room were left out when the rooms were last given.
    heads: Vec<usize>,
}

impl<B> Skip<B> {
    pub(super) fn new(buffers: B, bytes: usize) -> Self {
        Skip { buffers, bytes, heads: Vec::new() }
    }

    /// The whole buffers.
    pub fn into_inner(self) -> B {
        self.buffers
    }

    /// The whole buffers, borrowed.
    pub fn get_ref(&self) -> &B {
        &self.buffers
    }
}

/// How many of the first bytes are in each part. A part that they cover stays, with nothing left of it: so parts and
/// rooms go together by their numbers.
fn heads(bytes: usize) -> impl FnMut(usize) -> usize {
    let mut rest = bytes;
    move |len| {
        let here = rest.min(len);
        rest -= here;
        here
    }
}

impl<B: IoVecBuf> IoVecBuf for Skip<B> {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut head = heads(self.bytes);
        self.buffers.parts().map(move |part| &part[head(part.len())..])
    }
}

impl<B: IoVecBufMut> IoVecBufMut for Skip<B> {
    unsafe fn rooms(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
        let Skip { buffers, bytes, heads: given } = self;
        given.clear();
        let mut head = heads(*bytes);
        // SAFETY: the caller's promise is passed on.
        unsafe { buffers.rooms() }.map(move |room| {
            let head = head(room.len());
            given.push(head);
            &mut room[head..]
        })
    }

    unsafe fn filled(&mut self, counts: &[usize]) {
        let counted: Vec<usize> = self.buffers.parts().map(<[u8]>::len).collect();
        let mut head = heads(self.bytes);
        let same = counted.iter().map(|len| head(*len)).eq(self.heads.iter().copied());
        assert!(same, "buffers no longer have the first {} bytes", self.bytes);
        let all = counts.iter().zip(&self.heads).zip(&counted);
        // What lies behind the view of a part stays, as with a slice.
        let all: Vec<usize> = all
            .map(|((count, head), len)| if *head > 0 { (*len).max(head + count) } else { *count })
            .collect();
        // SAFETY: the heads are the same, in rooms and in parts, so for each part:
        // - the count is the length of the part, or the end of what the caller says was written, which is in the room
        //   that was last given: `rooms` passed on what lies behind the head;
        // - what lies behind the part is behind the head too, so the caller promises that it was written.
        unsafe { self.buffers.filled(&all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::IoBuf;

    #[test]
    fn what_was_sent_is_left_out_of_the_parts() {
        let of = vec!["abc", "", "de", "f"];
        let parts = |skipped| -> Vec<Vec<u8>> {
            of.clone().skip(skipped).parts().filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
        };
        assert_eq!(parts(0), [&b"abc"[..], b"de", b"f"]);
        assert_eq!(parts(2), [&b"c"[..], b"de", b"f"]);
        assert_eq!(parts(3), [&b"de"[..], b"f"]);
        assert_eq!(parts(6), [&b""[..]; 0]);
    }

    /// As the kernel fills rooms with a byte.
    fn fill(buffers: &mut impl IoVecBufMut, byte: u8, mut n: usize) {
        let mut counts = Vec::new();
        // SAFETY: only written.
        for room in unsafe { buffers.rooms() } {
            let here = n.min(room.len());
            room[..here].fill(MaybeUninit::new(byte));
            counts.push(here);
            n -= here;
        }
        // SAFETY: as many bytes of each room were just written.
        unsafe { buffers.filled(&counts) }
    }

    #[test]
    fn a_fill_goes_on_in_the_middle_of_a_room() {
        let mut buffers = (Box::new([0; 3]), [0u8; 2], Vec::from_iter([9; 4]));
        fill(&mut buffers, 1, 4);
        assert_eq!(buffers, (Box::new([1; 3]), [1, 0], vec![]));
        let mut rest = buffers.skip(4);
        fill(&mut rest, 2, 3);
        assert_eq!(rest.get_ref(), &(Box::new([1; 3]), [1, 2], vec![2, 2]));
        let mut rest = rest.into_inner().skip(6);
        fill(&mut rest, 3, 1);
        assert_eq!(rest.into_inner().2, [2, 3]);
    }

    #[test]
    #[should_panic = "no longer have the first 3 bytes"]
    fn bytes_that_were_never_there_cannot_be_skipped() {
        fill(&mut vec![Vec::<u8>::with_capacity(8)].skip(3), 1, 1);
    }

    #[test]
    fn a_skip_of_slices_leaves_alone_what_they_do() {
        let mut buffers = vec![vec![7u8; 6].slice(2..4), vec![7; 3].slice(1..)].skip(1);
        fill(&mut buffers, 0, 2);
        let parts: Vec<_> = buffers.into_inner().into_iter().map(|part| part.into_inner()).collect();
        assert_eq!(parts[0], [7, 7, 7, 0, 7, 7]);
        assert_eq!(parts[1], [7, 0, 7]);
    }
}
