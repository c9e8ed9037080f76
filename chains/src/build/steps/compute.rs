//! Steps that compute: portable ones, which the compiler can see through, and calls of native code.

use chainring_runtime::frame::Order;

use super::super::Chain;
use crate::access::Access;
use crate::expr::{Cond, Expr, Node};
use crate::future::CallAsync;
use crate::handle::{Buf, Outbox, Span, StreamBuf, Target};
use crate::native::{Flow, Native};
use crate::tree::{Compute, Kind};

impl<S: 'static> Chain<S> {
    /// Sets a register, or a word that others see too.
    pub fn set(&mut self, target: impl Into<Target>, value: impl Into<Expr>) {
        let value = value.into();
        self.push(
            "set",
            Kind::Compute(match target.into() {
                Target::Reg(reg) => Compute::Set(reg, value),
                Target::Word(word) => Compute::SetWord(word, value),
            }),
        );
    }

    /// Stores a number into a buffer at an offset, a number or expression, in the width and byte order given. What does
    /// not fit the width is cut off.
    pub fn store(&mut self, buf: Buf, offset: impl Into<Expr>, order: Order, value: impl Into<Expr>) {
        let (at, value) = (offset.into(), value.into());
        self.push("store", Kind::Compute(Compute::Store { buf, at, order, value }));
    }

    /// Copies bytes from one span to another of the same length. They may overlap. If the lengths differ the frame
    /// fails with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds).
    pub fn copy(&mut self, to: Span, from: Span) {
        self.push("copy", Kind::Compute(Compute::Copy { to, from }));
    }

    /// Puts a copy of a span behind what is in an outbox, to be sent by [`send_outbox`](Chain::send_outbox). No call is
    /// needed for a reply that is made of constants, of what was received, and of numbers:
    ///
    /// ```
    /// use chainring_chains::Chain;
    ///
    /// let mut c = Chain::<()>::new("lines");
    /// let (sock, input, reply, len) = (c.accepted(), c.stream(1024), c.outbox(), c.reg());
    /// let (end, answer) = (c.constant(b"\r\n"), c.constant(b"bytes: "));
    /// c.fill(sock, input).or_finish();
    /// c.repeat(|c| {
    ///     c.repeat(|c| {
    ///         c.set(len, input.bytes().find_bytes(end.all()));
    ///         c.when(len.eq(input.len()), |c| c.leave());
    ///         c.append(reply, answer.all());
    ///         c.append_decimal(reply, len);
    ///         c.append(reply, end.all());
    ///         c.consume(input, len + 2);
    ///     });
    ///     c.send_outbox(sock, reply);
    ///     c.fill(sock, input).or_finish();
    /// });
    /// # c.build()?;
    /// # Ok::<(), chainring_chains::BuildError>(())
    /// ```
    ///
    /// If the outbox would hold more than 2 GiB, the frame fails with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds). Not
    /// in branches that run side by side.
    pub fn append(&mut self, outbox: Outbox, span: Span) {
        self.push("append", Kind::Compute(Compute::Append(outbox, span)));
    }

    /// Puts a number behind what is in an outbox, in the width and byte order given; what does not fit the width is cut off.
    /// See [`append`](Chain::append).
    pub fn append_number(&mut self, outbox: Outbox, order: Order, value: impl Into<Expr>) {
        let value = value.into();
        self.push("append_number", Kind::Compute(Compute::AppendNumber(outbox, Some(order), value)));
    }

    /// Puts a number behind what is in an outbox, as decimal digits, as many as it needs. See [`append`](Chain::append).
    pub fn append_decimal(&mut self, outbox: Outbox, value: impl Into<Expr>) {
        let value = value.into();
        self.push("append_decimal", Kind::Compute(Compute::AppendNumber(outbox, None, value)));
    }

    /// Takes bytes off the front of a stream buffer. If there are not as many the frame fails with
    /// [`ErrorKind::Ensure`](crate::ErrorKind::Ensure) and `EMSGSIZE`.
    pub fn consume(&mut self, stream: StreamBuf, len: impl Into<Expr>) {
        let mut taken = len.into();
        self.steps += 1;
        let number = self.steps;
        // Computed once, because it may look at the bytes that are then taken. A number or register says the same.
        if !matches!(taken.0, Node::Const(_) | Node::Reg(_)) {
            self.push_part(number, "consume", Kind::Compute(Compute::Set(stream.end, taken)));
            taken = stream.end.into();
        }
        let left = Kind::Ensure(taken.clone().le(stream.len), libc::EMSGSIZE);
        self.push_part(number, "consume", left);
        let from = Compute::Set(stream.from, stream.from + taken.clone());
        self.push_part(number, "consume", Kind::Compute(from));
        self.push_part(number, "consume", Kind::Compute(Compute::Set(stream.len, stream.len - taken)));
    }

    /// Fails the frame with [`ErrorKind::Ensure`](crate::ErrorKind::Ensure) and `code` (an errno) unless `cond`
    /// holds.
    pub fn ensure(&mut self, cond: Cond, code: i32) {
        self.push("ensure", Kind::Ensure(cond, code));
    }

    /// Fails the frame with [`ErrorKind::Errno`](crate::ErrorKind::Errno): what [`on_error`](crate::AttemptStep::on_error) has
    /// put into a register, once a handler has cleaned up, or any number. One that is no errno (1 to 4095) becomes EINVAL.
    pub fn fail(&mut self, errno: impl Into<Expr>) {
        self.push("fail", Kind::Fail(errno.into()));
    }

    /// Runs `body` in submission context, with the session and exactly what `access` declares; nothing of the frame is
    /// in flight meanwhile. It must not block. A panic fails this frame alone.
    ///
    /// The body goes to every core with the program, and must be `Send`. What is a core's own (an `Rc`, a table in a
    /// `RefCell`) goes into the session, which is made on the core: `program.serve(listener, move |_peer| table.clone())`.
    pub fn call<A, F>(&mut self, access: A, body: F)
    where
        A: Access,
        F: Fn(&mut S, A::Views<'_>) -> Flow + Send + Sync + 'static,
    {
        let index = self.natives.len();
        self.natives.push(Native::new(access, body));
        self.push("call", Kind::Call(index, access.touches()));
    }

    /// Runs a future as a step. `fetch` makes it, and runs like a [`call`](Chain::call); the frame is parked while it runs
    /// as a task, beside everything else on the core; `store` is given its output, and runs like a call too.
    ///
    /// ```
    /// use std::time::Duration;
    /// use chainring_chains::{Chain, Flow, read, write};
    ///
    /// let mut c = Chain::<()>::new("slow shout");
    /// let (sock, word) = (c.accepted(), c.buffer(5));
    /// c.recv_exact(sock, word.all());
    /// c.call_async(
    ///     (read(word.all()),),
    ///     |(), (word,)| {
    ///         let word = word.to_owned();
    ///         async move {
    ///             chainring_runtime::time::sleep(Duration::from_millis(1)).await;
    ///             word.to_ascii_uppercase()
    ///         }
    ///     },
    ///     (write(word.all()),),
    ///     |(), (word,), shouted: Vec<u8>| {
    ///         word.copy_from_slice(&shouted);
    ///         Flow::Next
    ///     },
    /// );
    /// c.send_all(sock, word.all());
    /// # c.build()?;
    /// # Ok::<(), chainring_chains::BuildError>(())
    /// ```
    ///
    /// The future borrows nothing of the frame: `fetch` copies what it needs. It costs three allocations. If the frame is
    /// cancelled, or a deadline around the step strikes, the future is dropped; a frame whose future never ends waits for
    /// it, if there is no deadline. A panic in `fetch`, the future, `store`, or where one of their values is dropped, fails
    /// this frame alone.
    pub fn call_async<A, F, Fut, B, G>(&mut self, access: A, fetch: F, outputs: B, store: G)
    where
        A: Access,
        F: Fn(&mut S, A::Views<'_>) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
        B: Access,
        G: Fn(&mut S, B::Views<'_>, Fut::Output) -> Flow + Send + Sync + 'static,
    {
        let index = self.futures.len();
        let kind = Kind::CallAsync(index, access.touches(), outputs.touches());
        self.futures.push(CallAsync::new(access, fetch, outputs, store));
        self.push("call_async", kind);
    }
}
