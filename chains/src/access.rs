//! What a `call` may touch: declared beforehand, lent for its duration.
//!
//! The access of a call is a tuple of [`read`], [`write()`], [`reg`], [`value`], [`stream`] and [`outbox`]; the closure gets a tuple of the
//! views in the same order. `build()` makes sure that nothing is lent twice if one of the two may write.

use std::fmt;

use chainring_runtime::frame::{self, Frame, Registers, Views};

use crate::handle::{Outbox, Owned, Reg, Span, SpanLen, StreamBuf};

/// Lends a span as `&[u8]`.
pub fn read(span: Span) -> Read {
    Read(span)
}

/// Lends a span as `&mut [u8]`.
pub fn write(span: Span) -> Write {
    Write(span)
}

/// Lends a register as `&mut u64`. One that was never written is zero.
pub fn reg(reg: Reg) -> RegMut {
    RegMut(reg)
}

/// Passes the value of a register.
pub fn value(reg: Reg) -> Value {
    Value(reg)
}

/// Lends the bytes of a stream buffer as a [`Stream`], which can consume them.
pub fn stream(stream: StreamBuf) -> StreamMut {
    StreamMut(stream)
}

/// Lends an outbox, to put in what is to be sent: copies of what is small or does not last, shared blobs of what is not.
///
/// ```
/// use std::rc::Rc;
///
/// use chainring_chains::{Chain, Flow, outbox, read};
///
/// let mut c = Chain::<Rc<[u8]>>::new("answers");
/// let (sock, question, reply) = (c.accepted(), c.buffer(4), c.outbox());
/// c.repeat(|c| {
///     c.recv_exact(sock, question.all()).or_finish();
///     c.call((read(question.all()), outbox(reply)), |answer, (question, reply)| {
///         reply.copy(question);
///         reply.push(answer.clone());
///         Flow::Next
///     });
///     c.send_outbox(sock, reply);
/// });
/// # c.build()?;
/// # Ok::<(), chainring_chains::BuildError>(())
/// ```
pub fn outbox(outbox: Outbox) -> OutboxMut {
    OutboxMut(outbox)
}

/// Takes what has come into an owned buffer out of the frame, as a `Vec<u8>`, without a copy; nothing if nothing has come.
/// Pushed to an outbox it is sent as it is. The buffer is empty then.
pub fn take(owned: Owned) -> TakeOwned {
    TakeOwned(owned)
}

/// See [`take`].
#[derive(Clone, Copy, Debug)]
pub struct TakeOwned(Owned);

/// See [`outbox`].
#[derive(Clone, Copy, Debug)]
pub struct OutboxMut(Outbox);

/// See [`read`].
#[derive(Clone, Copy, Debug)]
pub struct Read(Span);
/// See [`write()`].
#[derive(Clone, Copy, Debug)]
pub struct Write(Span);
/// See [`reg`].
#[derive(Clone, Copy, Debug)]
pub struct RegMut(Reg);
/// See [`value`].
#[derive(Clone, Copy, Debug)]
pub struct Value(Reg);

/// See [`stream`].
#[derive(Clone, Copy, Debug)]
pub struct StreamMut(StreamBuf);

/// The bytes of a stream buffer, lent to a call.
#[derive(Debug)]
pub struct Stream<'f> {
    bytes: &'f mut [u8],
    from: &'f mut u64,
    len: &'f mut u64,
}

impl Stream<'_> {
    /// The bytes that are not consumed.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The same, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Takes bytes off the front.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn consume(&mut self, len: usize) {
        self.bytes = &mut std::mem::take(&mut self.bytes)[len..];
        *self.from += len as u64;
        *self.len -= len as u64;
    }
}

/// One thing that a call touches, as the compiler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Touch {
    Read(Span),
    Write(Span),
    RegMut(Reg),
    Value(Reg),
    Stream(StreamBuf),
    Outbox(Outbox),
}

/// A span whose length, read from a register, does not fit.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct OutOfBounds {
    pub(crate) len: u64,
    pub(crate) max: u32,
}

/// The parts of a frame that a call's views are cut from.
#[doc(hidden)]
pub struct Parts<'f> {
    views: Views<'f>,
    registers: Registers<'f>,
    constants: &'f [u8],
}

impl<'f> Parts<'f> {
    #[inline]
    fn range(&self, span: Span) -> Result<std::ops::Range<u32>, OutOfBounds> {
        range(&span, &self.registers)
    }
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Where a span lies now among the frame's bytes, or the constants.
#[inline]
fn range(span: &Span, registers: &Registers<'_>) -> Result<std::ops::Range<u32>, OutOfBounds> {
    let max = span.room();
    let len = match span.len {
        SpanLen::Fixed(len) => u64::from(len),
        SpanLen::Reg(reg) => registers.get(reg.index),
    };
    let skipped = span.start.map_or(0, |reg| registers.get(reg.index));
    let end = skipped.saturating_add(len);
    if end > u64::from(max) {
        return Err(OutOfBounds { len: end, max });
    }
    let start = span.buf.base() + span.from + skipped as u32;
    Ok(start..start + len as u32)
}

/// The bytes of a span as it is now.
pub(crate) fn slice<'a>(frame: &'a Frame<'_>, span: &Span) -> Result<&'a [u8], OutOfBounds> {
    let range = range(span, &frame.registers())?;
    if let Some(number) = span.buf.pooled {
        let (end, bytes) = (range.end, frame.pooled(number));
        let outside = OutOfBounds { len: end.into(), max: bytes.len() as u32 };
        return bytes.get(range.start as usize..end as usize).ok_or(outside);
    }
    let bytes = if span.buf.constant { frame.constants() } else { frame.bytes() };
    let part = bytes.get(range.start as usize..range.end as usize);
    Ok(part.expect("a span that fits its buffer lies inside the frame"))
}

mod sealed {
    pub trait Sealed {}
}

/// Something that a call can be lent. Implemented by what the functions of this module return.
pub trait Item: sealed::Sealed + Copy + Send + Sync + 'static {
    /// What the closure gets.
    type View<'f>;
    /// Copies of the registers that the closure may change, which are written back after the call.
    #[doc(hidden)]
    type Local: Default;
    #[doc(hidden)]
    fn touch(self) -> Touch;
    #[doc(hidden)]
    fn view<'f>(
        self,
        parts: &mut Parts<'f>,
        local: &'f mut Self::Local,
    ) -> Result<Self::View<'f>, OutOfBounds>;
    /// Takes what the frame does not have afterwards. Only when every view is there: a call that is refused loses nothing.
    #[doc(hidden)]
    fn take<'f>(self, _: &mut Self::View<'f>, _: &mut Parts<'f>) {}
    #[doc(hidden)]
    fn write_back(self, _: Self::Local, _: &Registers<'_>) {}
}

impl sealed::Sealed for Read {}
impl Item for Read {
    type View<'f> = &'f [u8];
    type Local = ();

    fn touch(self) -> Touch {
        Touch::Read(self.0)
    }

    #[inline]
    fn view<'f>(self, parts: &mut Parts<'f>, (): &'f mut ()) -> Result<&'f [u8], OutOfBounds> {
        let range = parts.range(self.0)?;
        if self.0.buf.constant {
            let constants = parts.constants.get(range.start as usize..range.end as usize);
            return Ok(constants.expect("a constant's span lies among the constants"));
        }
        if let Some(number) = self.0.buf.pooled {
            let outside = |max| OutOfBounds { len: range.end.into(), max };
            return parts.views.read_pooled(number, range.clone()).map_err(outside);
        }
        Ok(parts.views.read(range).expect("a span that fits its buffer lies inside the frame"))
    }
}

impl sealed::Sealed for Write {}
impl Item for Write {
    type View<'f> = &'f mut [u8];
    type Local = ();

    fn touch(self) -> Touch {
        Touch::Write(self.0)
    }

    #[inline]
    fn view<'f>(self, parts: &mut Parts<'f>, (): &'f mut ()) -> Result<&'f mut [u8], OutOfBounds> {
        let range = parts.range(self.0)?;
        if let Some(number) = self.0.buf.pooled {
            let outside = |max| OutOfBounds { len: range.end.into(), max };
            return parts.views.write_pooled(number, range.clone()).map_err(outside);
        }
        Ok(parts.views.write(range).expect("a span that fits its buffer lies inside the frame"))
    }
}

impl sealed::Sealed for TakeOwned {}
impl Item for TakeOwned {
    type View<'f> = Vec<u8>;
    type Local = ();

    fn touch(self) -> Touch {
        Touch::Write(self.0.0.all())
    }

    #[inline]
    fn view<'f>(self, _: &mut Parts<'f>, (): &'f mut ()) -> Result<Vec<u8>, OutOfBounds> {
        Ok(Vec::new())
    }

    fn take<'f>(self, view: &mut Vec<u8>, parts: &mut Parts<'f>) {
        *view = parts.views.take_owned(self.0.0.pooled.expect("an owned buffer has a number"));
    }
}

impl sealed::Sealed for RegMut {}
impl Item for RegMut {
    type View<'f> = &'f mut u64;
    type Local = u64;

    fn touch(self) -> Touch {
        Touch::RegMut(self.0)
    }

    #[inline]
    fn view<'f>(self, parts: &mut Parts<'f>, local: &'f mut u64) -> Result<&'f mut u64, OutOfBounds> {
        *local = parts.registers.get(self.0.index);
        Ok(local)
    }

    #[inline]
    fn write_back(self, local: u64, registers: &Registers<'_>) {
        registers.set(self.0.index, local);
    }
}

impl sealed::Sealed for Value {}
impl Item for Value {
    type View<'f> = u64;
    type Local = ();

    fn touch(self) -> Touch {
        Touch::Value(self.0)
    }

    #[inline]
    fn view<'f>(self, parts: &mut Parts<'f>, (): &'f mut ()) -> Result<u64, OutOfBounds> {
        Ok(parts.registers.get(self.0.index))
    }
}

impl sealed::Sealed for StreamMut {}
impl Item for StreamMut {
    type View<'f> = Stream<'f>;
    type Local = (u64, u64);

    fn touch(self) -> Touch {
        Touch::Stream(self.0)
    }

    #[inline]
    fn view<'f>(
        self,
        parts: &mut Parts<'f>,
        (from, len): &'f mut (u64, u64),
    ) -> Result<Stream<'f>, OutOfBounds> {
        let range = parts.range(self.0.bytes())?;
        let bytes = parts.views.write(range).expect("a span that fits its buffer lies inside the frame");
        *from = parts.registers.get(self.0.from.index);
        *len = parts.registers.get(self.0.len.index);
        Ok(Stream { bytes, from, len })
    }

    #[inline]
    fn write_back(self, (from, len): (u64, u64), registers: &Registers<'_>) {
        registers.set(self.0.from.index, from);
        registers.set(self.0.len.index, len);
    }
}

impl sealed::Sealed for OutboxMut {}
impl Item for OutboxMut {
    type View<'f> = &'f mut frame::Outbox;
    type Local = ();

    fn touch(self) -> Touch {
        Touch::Outbox(self.0)
    }

    #[inline]
    fn view<'f>(self, parts: &mut Parts<'f>, (): &'f mut ()) -> Result<&'f mut frame::Outbox, OutOfBounds> {
        Ok(parts.views.outbox(self.0.index))
    }
}

/// The access of a call: a tuple of up to eight [`Item`]s.
pub trait Access: sealed::Sealed + Copy + Send + Sync + 'static {
    /// What the closure gets.
    type Views<'f>;
    #[doc(hidden)]
    type Locals: Default;
    #[doc(hidden)]
    fn touches(self) -> Vec<Touch>;
    #[doc(hidden)]
    fn views<'f>(
        self,
        parts: &mut Parts<'f>,
        locals: &'f mut Self::Locals,
    ) -> Result<Self::Views<'f>, OutOfBounds>;
    #[doc(hidden)]
    fn write_back(self, locals: Self::Locals, registers: &Registers<'_>);
}

macro_rules! tuples {
    ($(($($item:ident $field:tt),*))+) => {
        $(impl<$($item: Item),*> sealed::Sealed for ($($item,)*) {}
        #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no parts")]
        impl<$($item: Item),*> Access for ($($item,)*) {
            type Views<'f> = ($($item::View<'f>,)*);
            type Locals = ($($item::Local,)*);

            fn touches(self) -> Vec<Touch> {
                vec![$(self.$field.touch()),*]
            }

            #[inline]
            #[allow(unused_mut, unused_variables, clippy::let_unit_value, reason = "the empty tuple has no parts")]
            fn views<'f>(
                self,
                parts: &mut Parts<'f>,
                locals: &'f mut Self::Locals,
            ) -> Result<Self::Views<'f>, OutOfBounds> {
                let mut views = ($(self.$field.view(parts, &mut locals.$field)?,)*);
                $(self.$field.take(&mut views.$field, parts);)*
                Ok(views)
            }

            #[inline]
            fn write_back(self, locals: Self::Locals, registers: &Registers<'_>) {
                $(self.$field.write_back(locals.$field, registers);)*
            }
        })+
    };
}

tuples! {
    ()
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// Cuts the views of `access` out of `frame`, runs `body` with them, and writes the registers back.
#[inline]
pub(crate) fn lend<A: Access, T>(
    access: A,
    frame: &mut Frame<'_>,
    body: impl FnOnce(A::Views<'_>) -> T,
) -> Result<T, OutOfBounds> {
    let mut locals = A::Locals::default();
    let constants = frame.constants();
    let (views, registers) = frame.parts();
    let mut parts = Parts { views, registers, constants };
    let result = body(access.views(&mut parts, &mut locals)?);
    access.write_back(locals, &registers);
    Ok(result)
}
