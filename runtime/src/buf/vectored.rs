//! Several buffers given to one operation: readv, writev, sendmsg, recvmsg.
//!
//! Who owns what: as with single buffers the operation owns them all. The array of addresses and lengths that
//! the kernel reads ([`Iovecs`]) belongs to the operation too, and remembers what the kernel was told: the
//! count of bytes that came is spread over the lengths in it, not over what the buffers say later. A buffer
//! type is safe code and may change its mind; that must not make another one's memory count as initialised.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::{IoBuf, IoBufMut, Skip};
use crate::ring::transfer_len;

/// Several parts that the kernel may read: a `Vec`, boxed slice or array of buffers, or up to four of different types as a
/// tuple. At most 1024 (`IOV_MAX`); with more the operation fails with
/// EINVAL.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of buffers that the kernel can be let read",
    label = "not a list of owned buffers",
    note = "an operation owns its buffers until the kernel is done with them, so borrowed ones (`&[IoSlice]`, `&[&[u8]]`) \
            cannot be used: pass a `Vec`, array or tuple of owned buffers by value, and take it back from the result"
)]
pub trait IoVecBuf: 'static {
    /// The initialised bytes of each part, in order.
    fn parts(&self) -> impl Iterator<Item = &[u8]>;

    /// The initialised bytes of all parts together.
    fn total_len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum()
    }

    /// An owned view of what comes behind the first bytes of all parts together, for going on behind a short transfer.
    /// An operation that fills it panics if the parts do not have these bytes.
    fn skip(self, bytes: usize) -> Skip<Self>
    where
        Self: Sized,
    {
        Skip::new(self, bytes)
    }
}

/// Several parts that the kernel may write.
///
/// Its first two methods are unsafe to *call*, not to implement: only the runtime calls them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of buffers that the kernel can be let write into",
    label = "not a list of owned, writable buffers",
    note = "an operation owns its buffers until the kernel is done with them, so borrowed ones (`&mut [IoSliceMut]`) cannot \
            be used: pass a `Vec`, array or tuple of owned buffers by value, and take it back from the result"
)]
pub trait IoVecBufMut: IoVecBuf {
    /// All memory that an operation may fill, in order.
    ///
    /// # Safety
    /// The caller must not make initialised bytes uninitialised.
    unsafe fn rooms(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]>;

    /// Told after an operation how many bytes of each room hold its data.
    ///
    /// # Safety
    /// There must not be more counts than [`rooms`](IoVecBufMut::rooms) last gave rooms. For each `i`, `counts[i]` must be
    /// at most the length of the `i`th of them, or of the `i`th of the [`parts`](IoVecBuf::parts) that there are now. Of
    /// the first `counts[i]` bytes of that room those behind the length of that part must have been initialised since.
    unsafe fn filled(&mut self, counts: &[usize]);

    /// How many bytes an operation may fill, the initialised ones included.
    fn total_room(&mut self) -> usize {
        // SAFETY: they are only measured.
        unsafe { self.rooms() }.map(|room| room.len()).sum()
    }
}

macro_rules! list {
    ($([$($generics:tt)*] $type:ty),+ $(,)?) => {$(
        impl<B: IoBuf, $($generics)*> IoVecBuf for $type {
            fn parts(&self) -> impl Iterator<Item = &[u8]> {
                self.iter().map(IoBuf::as_bytes)
            }
        }

        impl<B: IoBufMut, $($generics)*> IoVecBufMut for $type {
            unsafe fn rooms(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
                // SAFETY: the caller's promise is passed on.
                self.iter_mut().map(|buffer| unsafe { buffer.room() })
            }

            unsafe fn filled(&mut self, counts: &[usize]) {
                for (buffer, &count) in self.iter_mut().zip(counts) {
                    // SAFETY: the rooms were those of these buffers, in this order.
                    unsafe { buffer.filled(count) };
                }
            }
        }
    )+};
}

list! { [] Vec<B>, [] Box<[B]>, [const N: usize] [B; N] }

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: IoBuf),+> IoVecBuf for ($($name,)+) {
            fn parts(&self) -> impl Iterator<Item = &[u8]> {
                [$(self.$index.as_bytes()),+].into_iter()
            }
        }

        impl<$($name: IoBufMut),+> IoVecBufMut for ($($name,)+) {
            unsafe fn rooms(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
                // SAFETY: the caller's promise is passed on.
                unsafe { [$(self.$index.room()),+] }.into_iter()
            }

            unsafe fn filled(&mut self, counts: &[usize]) {
                $(if let Some(&count) = counts.get($index) {
                    // SAFETY: the rooms were those of these buffers, in this order.
                    unsafe { self.$index.filled(count) };
                })+
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);

/// Parts whose addresses an operation keeps without allocating.
const INLINE: usize = 4;
const NOTHING: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

/// The array of addresses and lengths that the kernel reads. Part of an operation, filled when it is prepared.
pub(crate) enum Iovecs {
    Inline([libc::iovec; INLINE], u8),
    Many(Vec<libc::iovec>),
}

impl Iovecs {
    pub(crate) fn new() -> Self {
        Iovecs::Inline([NOTHING; INLINE], 0)
    }

    fn push(&mut self, start: *mut u8, len: usize) {
        let entry = libc::iovec { iov_base: start.cast(), iov_len: transfer_len(len) as usize };
        match self {
            Iovecs::Inline(entries, count) if usize::from(*count) < INLINE => {
                entries[usize::from(*count)] = entry;
                *count += 1;
            }
            Iovecs::Inline(entries, _) => {
                let mut many = entries.to_vec();
                many.push(entry);
                *self = Iovecs::Many(many);
            }
            Iovecs::Many(many) => many.push(entry),
        }
    }

    fn entries(&self) -> &[libc::iovec] {
        match self {
            Iovecs::Inline(entries, count) => &entries[..usize::from(*count)],
            Iovecs::Many(many) => many,
        }
    }

    /// Has the kernel read from `parts`.
    pub(crate) fn gather<'a>(&'a mut self, parts: &'a impl IoVecBuf) -> Gathered<'a> {
        *self = Iovecs::new();
        parts.parts().for_each(|part| self.push(part.as_ptr().cast_mut(), part.len()));
        Gathered { entries: self.entries(), memory: PhantomData }
    }

    /// Has the kernel write into `parts`.
    pub(crate) fn scatter<'a>(&'a mut self, parts: &'a mut impl IoVecBufMut) -> Gathered<'a> {
        *self = Iovecs::new();
        // SAFETY: the kernel only ever writes bytes, and bytes that it wrote are initialised.
        unsafe { parts.rooms() }.for_each(|room| self.push(room.as_mut_ptr().cast(), room.len()));
        Gathered { entries: self.entries(), memory: PhantomData }
    }

    /// Tells `parts` that the kernel wrote `n` bytes into them, having checked that they fit.
    ///
    /// To be called once, with the count of a completion of an operation that was prepared with
    /// [`scatter`](Iovecs::scatter) of these parts.
    pub(crate) fn filled(&self, parts: &mut impl IoVecBufMut, n: usize) {
        let mut rest = n;
        let spread = |room: &libc::iovec| {
            let count = rest.min(room.iov_len);
            rest -= count;
            count
        };
        let counts: Vec<usize> = self.entries().iter().map(spread).collect();
        assert!(rest == 0, "the kernel reports {n} bytes, {rest} more than there was room for");
        // SAFETY: these are the rooms that `scatter` got, and the kernel has filled them in this order.
        unsafe { parts.filled(&counts) }
    }
}

/// An array of parts together with the borrow of all of them.
pub(crate) struct Gathered<'a> {
    entries: &'a [libc::iovec],
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> Gathered<'a> {
    /// What the kernel is given.
    pub(crate) fn iovecs(self) -> &'a [libc::iovec] {
        self.entries
    }
}

impl std::fmt::Debug for Iovecs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries().iter().map(|part| part.iov_len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_spread_over_the_rooms_in_order() {
        let mut parts = vec![Vec::<u8>::with_capacity(4), Vec::with_capacity(4), Vec::with_capacity(4)];
        let rooms: Vec<usize> = parts.iter().map(Vec::capacity).collect();
        let mut iovecs = Iovecs::new();
        for (i, part) in iovecs.scatter(&mut parts).iovecs().iter().enumerate() {
            // SAFETY: the room of a vector, written inside its length.
            unsafe { part.iov_base.cast::<u8>().write_bytes(i as u8, part.iov_len) };
        }
        iovecs.filled(&mut parts, rooms[0] + 1);
        assert_eq!((parts[0].len(), parts[1].len(), parts[2].len()), (rooms[0], 1, 0));
        assert_eq!(parts[1], [1]);
    }

    #[test]
    fn many_parts_keep_their_order() {
        let parts: Vec<Vec<u8>> = (0..9).map(|i| vec![i; usize::from(i)]).collect();
        let mut iovecs = Iovecs::new();
        let lens: Vec<usize> = iovecs.gather(&parts).iovecs().iter().map(|part| part.iov_len).collect();
        assert_eq!(lens, (0..9).collect::<Vec<_>>());
        assert_eq!(parts.total_len(), 36);
    }

    #[test]
    #[should_panic = "more than there was room for"]
    fn a_count_beyond_the_rooms_is_refused() {
        let mut parts = [[0u8; 4], [0; 4]];
        let mut iovecs = Iovecs::new();
        let _ = iovecs.scatter(&mut parts);
        iovecs.filled(&mut parts, 9);
    }
}
