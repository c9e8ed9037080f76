//! Buffers that can be given to the kernel.
//!
//! Who owns what: an operation takes its buffer by value and keeps it, inside its slot, until the last
//! completion; only then it is given back (or dropped, if nobody waits any more). So the traits here need no
//! promise of their implementors, and are safe to implement: whatever memory a value lends while it is
//! borrowed, it goes on lending while the slot holds it, untouched and unmoved.
//!
//! There is no trait for borrowed buffers on purpose. A future can be leaked at any time
//! (`std::mem::forget` is safe), and the kernel would go on writing through the borrow:
//!
//! ```compile_fail,E0277
//! # async fn no(socket: &chainring_runtime::Descriptor) {
//! let mut bytes = [0u8; 64];
//! let received = chainring_runtime::op::recv::recv(socket, &mut bytes[..], 0);
//! # }
//! ```
//!
//! Nor for bytes to be sent, unless they are `'static`:
//!
//! ```compile_fail,E0521
//! # async fn no(socket: &chainring_runtime::Descriptor, bytes: &[u8]) {
//! let sent = chainring_runtime::op::send::send(socket, bytes, 0);
//! # }
//! ```
//!
//! ```compile_fail,E0277
//! # async fn no(socket: &chainring_runtime::Descriptor, bytes: &mut Vec<u8>) {
//! let sent = chainring_runtime::op::send::send(socket, bytes, 0);
//! # }
//! ```

mod aligned;
#[cfg(feature = "bytes")]
mod bytes;
mod direct;
mod fill;
mod fixed;
mod lent;
mod pages;
mod plain;
mod pool;
mod ring;
mod skip;
mod slice;
mod vectored;

use std::mem::MaybeUninit;

pub use aligned::AlignedBuf;
pub use direct::{DirectAlignment, DirectBuf};
pub(crate) use fill::Filling;
pub use fixed::{FixedBuf, FixedPool};
pub use lent::PoolBuf;
pub(crate) use pages::{PAGE, Pages};
pub(crate) use plain::Plain;
pub use pool::{BufferPool, PoolOptions, PoolUsage};
pub(crate) use pool::{Lease, Shared as PoolShared};
pub use skip::Skip;
pub use slice::Slice;
pub(crate) use vectored::{Gathered, Iovecs};
pub use vectored::{IoVecBuf, IoVecBufMut};

/// The result of an operation together with the buffer it was given, which comes back in any case.
pub type BufResult<T, B> = (std::io::Result<T>, B);

/// Bytes that the kernel may read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a buffer that the kernel can be let read",
    label = "not an owned buffer",
    note = "an operation owns its buffer until the kernel is done with it, so a borrowed one (`&[u8]`, `&Vec<u8>`) \
            cannot be used unless it is `'static`: pass a `Vec<u8>`, `String`, `Rc<[u8]>`, `bytes::Bytes` (feature \
            `bytes`) or a buffer of a pool by value, and take it back from the result; a part of one is \
            `buffer.slice(..)`"
)]
pub trait IoBuf: 'static {
    /// The initialised bytes.
    fn as_bytes(&self) -> &[u8];

    /// An owned view of a part of this buffer, for example `buffer.slice(4..)`. Whoever reads into one keeps what is before
    /// it; of a `Vec` its room goes on to the end of the capacity, so this is how to receive behind what is there:
    ///
    /// ```
    /// use chainring_runtime::buf::IoBuf;
    /// # use chainring_runtime::{Descriptor, op};
    ///
    /// # let (stream, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    /// # std::io::Write::write_all(&mut &peer, b" and more").unwrap();
    /// # let stream = Descriptor::new(stream.into());
    /// # chainring_runtime::Runtime::new().unwrap().block_on(async {
    /// let mut data = b"a part".to_vec();
    /// data.reserve(4096); // A slice without room gives 0 bytes, which looks like the end.
    /// let at = data.len();
    /// let (received, slice) = op::recv::recv(&stream, data.slice(at..), 0).await;
    /// let data = slice.into_inner();
    /// assert_eq!((received?, &data[..]), (9, &b"a part and more"[..]));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    ///
    /// # Panics
    /// If the range starts behind the initialised bytes, or ends before it starts.
    fn slice(self, range: impl std::ops::RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// Memory that the kernel may write.
///
/// Its first two methods are unsafe to *call*, not to implement: only the runtime calls them, the first once a
/// submission. What they say is believed for one operation and not beyond: a buffer that gives another room each time is
/// of no use, but does no harm.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a buffer that the kernel can be let write into",
    label = "not an owned, writable buffer",
    note = "an operation owns its buffer until the kernel is done with it, so a borrowed one (`&mut [u8]`, \
            `&mut Vec<u8>`) cannot be used: pass a `Vec<u8>`, `Box<[u8]>`, `bytes::BytesMut` (feature `bytes`) or a \
            buffer of a pool by value, and take it back from the result; a part of one is `buffer.slice(..)`"
)]
pub trait IoBufMut: IoBuf {
    /// All memory that an operation may fill, the initialised bytes included.
    ///
    /// # Safety
    /// The caller must not make initialised bytes uninitialised.
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>];

    /// Told after an operation that the first `n` bytes of the room hold its data. A growable buffer then
    /// has exactly these bytes.
    ///
    /// # Safety
    /// `n` must be at most the length of what [`room`](IoBufMut::room) last gave, or of what
    /// [`as_bytes`](IoBuf::as_bytes) gives now. Of the first `n` bytes of that room those behind the length of
    /// `as_bytes` must have been initialised since.
    unsafe fn filled(&mut self, n: usize);

    /// How many bytes an operation may fill, the initialised ones included.
    fn room_len(&mut self) -> usize {
        // SAFETY: it is only measured.
        unsafe { self.room() }.len()
    }
}

impl IoBuf for Vec<u8> {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for Vec<u8> {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        fill::whole_capacity(self)
    }

    unsafe fn filled(&mut self, n: usize) {
        // SAFETY: the caller promises that the first `n` bytes of the room, which is the whole capacity,
        // are initialised.
        unsafe { fill::set_len(self, n) }
    }
}

impl IoBuf for Box<[u8]> {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for Box<[u8]> {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        fill::as_room(self)
    }

    unsafe fn filled(&mut self, _: usize) {}
}

impl<const N: usize> IoBuf for [u8; N] {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> IoBufMut for [u8; N] {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        fill::as_room(self)
    }

    unsafe fn filled(&mut self, _: usize) {}
}

impl<const N: usize> IoBuf for Box<[u8; N]> {
    fn as_bytes(&self) -> &[u8] {
        &**self
    }
}

impl<const N: usize> IoBufMut for Box<[u8; N]> {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        fill::as_room(&mut **self)
    }

    unsafe fn filled(&mut self, _: usize) {}
}

impl IoBuf for &'static [u8] {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBuf for &'static str {
    fn as_bytes(&self) -> &[u8] {
        str::as_bytes(self)
    }
}

impl IoBuf for String {
    fn as_bytes(&self) -> &[u8] {
        str::as_bytes(self)
    }
}

impl IoBuf for std::rc::Rc<[u8]> {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBuf for std::sync::Arc<[u8]> {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}
