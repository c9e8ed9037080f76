//! A program started on a core, and the frames that are spawned on it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::frame::{Frame, Frames, Plans};
use chainring_runtime::{Handle, Key};

use super::exit::{Awaited, Entry, Exit, GoesTo};
use super::place::Place;
use super::runner::{Counted, Counters, Runner};
use super::sessions::Sessions;
use crate::compile::Lowered;
use crate::error::Refused;
use crate::explain::Explain;
use crate::handle::{self, Buf, File, Reg, Socket};
use crate::program::Program;

/// A program started on one core. Clones share its frames; once the last clone is gone, the frames that still run
/// do so to their end.
///
/// ```
/// use chainring_chains::Chain;
///
/// let mut c = Chain::<()>::new("read ahead");
/// let (file, from, len, data) = (c.file(), c.param(), c.reg(), c.buffer(16));
/// c.read_at(file, data.all(), from).into(len);
/// let program = c.build()?;
///
/// chainring_runtime::Runtime::new()?.block_on(async {
///     let spawner = program.start(64)?;
///     let open = std::fs::File::open("/proc/self/stat")?;
///     let handle = spawner.spawn((), |frame| {
///         frame.file(file, open).set(from, 3);
///     });
///     let mut exit = handle.expect("one of 64 frames is free").await;
///     exit.result?;
///     assert!(exit.sockets.take_file(file).is_some());
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Spawner<S: 'static>(Rc<Started<S>>);

struct Started<S: 'static> {
    frames: Rc<Frames<Runner<S>>>,
    longest_list: usize,
    skips: bool,
}

impl<S: 'static> Drop for Started<S> {
    fn drop(&mut self) {
        self.frames.retire();
    }
}

impl<S: 'static> Clone for Spawner<S> {
    fn clone(&self) -> Self {
        Spawner(self.0.clone())
    }
}

impl<S: 'static> Spawner<S> {
    pub(crate) fn new(program: Program<S>, lowered: Lowered, limit: u32) -> Result<Self, Refused> {
        let plans =
            lowered.plans(&program.0.flow, &program.0.constants, program.0.outboxes, &program.0.pooled);
        let layout = program.0.layout;
        let core = Handle::current();
        let plans = Plans { words: program.0.things.words(&core), ..plans };
        let (states, sessions) = (program.0.things.start(&core)?, Sessions::new());
        let (counted, forks) = (Counted::default(), Sessions::new());
        let runner = Runner { program, lowered, sessions, states, counted, forks };
        let frames = Frames::with_strands(layout, plans, limit, runner).map_err(Refused::Frames)?;
        let (longest_list, skips) = (core.longest_list() as usize, core.capabilities().skip_success());
        Ok(Spawner(Rc::new(Started { frames, longest_list, skips })))
    }

    /// Spawns a frame. `init` moves sockets into it and sets its parameters; it starts with the next turn of the
    /// loop. A socket or file that it is not given is vacant: a step on it fails with EBADF.
    ///
    /// # Errors
    /// Gives the session back if all frames are in use, no memory can be had for more, or the runtime is ending.
    pub fn spawn(&self, session: S, init: impl FnOnce(&mut Init<'_, '_>)) -> Result<ChainHandle<S>, Full<S>> {
        let awaited = Rc::new(Awaited {
            exit: RefCell::new(None),
            ended: Cell::new(false),
            waker: Cell::new(None),
            detached: Cell::new(false),
        });
        let goes_to = GoesTo::Handle(awaited.clone());
        let key = self.launch(Entry::new(session, goes_to), init).map_err(|entry| Full(entry.session))?;
        Ok(ChainHandle { awaited, frames: self.0.frames.clone(), key })
    }

    pub(super) fn launch(
        &self,
        entry: Entry<S>,
        init: impl FnOnce(&mut Init<'_, '_>),
    ) -> Result<Key, Entry<S>> {
        let runner = self.0.frames.runner();
        let Some(mut frame) = self.0.frames.allocate() else { return Err(entry) };
        let key = frame.key();
        runner.sessions.put(key.index(), entry);
        // Foreign code: should it panic, the frame ends like any other, and the panic goes on.
        let program = &runner.program;
        let init =
            std::panic::AssertUnwindSafe(|| init(&mut Init { frame: &mut frame, builder: program.0.id }));
        match std::panic::catch_unwind(init) {
            Ok(()) => {
                runner.park(frame, Place::Op(0));
                Ok(key)
            }
            Err(panic) => {
                let kind = crate::ErrorKind::Panic("in the init of spawn".to_owned());
                let error = runner.error(0, kind);
                runner.end(frame, Err(error));
                std::panic::resume_unwind(panic)
            }
        }
    }

    pub(super) fn frames(&self) -> &Rc<Frames<Runner<S>>> {
        &self.0.frames
    }

    /// Frames that have not ended.
    pub fn live(&self) -> u32 {
        self.0.frames.live()
    }

    /// Whether a frame can be spawned now.
    pub fn has_room(&self) -> bool {
        self.0.frames.has_room()
    }

    /// What the program's frames on this core have done.
    pub fn counters(&self) -> Counters {
        self.0.frames.runner().counters(self.0.frames.advanced())
    }

    /// How the program was lowered for this core's ring.
    pub fn explain(&self) -> Explain<'_> {
        self.0.frames.runner().program.explain_for(self.0.longest_list, self.0.skips)
    }
}

impl<S> fmt::Debug for Spawner<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").field("live", &self.0.frames.live()).finish_non_exhaustive()
    }
}

/// What a frame is given before it starts.
pub struct Init<'i, 'f> {
    frame: &'i mut Frame<'f>,
    builder: crate::handle::BuilderId,
}

impl Init<'_, '_> {
    /// Moves a socket into the frame, which closes it at its end, or gives it back with its [`Exit`].
    ///
    /// # Panics
    /// If the handle is another program's, the frame has a socket there already, or operations on the stream are
    /// still in flight (the frame must own it alone).
    pub fn socket(&mut self, socket: Socket, stream: TcpStream) -> &mut Self {
        let fd = stream.into_owned().expect("no operation on the stream is in flight");
        self.put(socket.0, fd)
    }

    /// Moves a listening socket into the frame, for [`accept`](crate::Chain::accept).
    ///
    /// # Panics
    /// As [`socket`](Init::socket).
    pub fn listener(&mut self, socket: Socket, listener: TcpListener) -> &mut Self {
        let listener = listener.into_std().expect("a listener is a socket");
        self.put(socket.0, listener.into())
    }

    /// Moves a file into the frame, which closes it at its end, or gives it back with its [`Exit`]: a
    /// [`std::fs::File`], or any descriptor (`into_owned` of chainring's own files).
    ///
    /// # Panics
    /// If the handle is another program's, or the frame has a file there already.
    pub fn file(&mut self, file: File, open: impl Into<OwnedFd>) -> &mut Self {
        self.put(file.0, open.into())
    }

    fn put(&mut self, place: handle::Place, fd: OwnedFd) -> &mut Self {
        assert!(place.builder == self.builder, "a handle of another builder");
        self.frame.put_descriptor(place.index, fd);
        self
    }

    /// Sets a register.
    ///
    /// # Panics
    /// If the handle is another program's.
    pub fn set(&mut self, reg: Reg, value: u64) -> &mut Self {
        assert!(reg.builder == self.builder, "a handle of another builder");
        self.frame.registers().set(reg.index, value);
        self
    }

    /// Fills the front of a buffer.
    ///
    /// # Panics
    /// If the handle is another program's, the buffer is a pooled one, or the bytes do not fit.
    pub fn fill(&mut self, buf: Buf, bytes: &[u8]) -> &mut Self {
        assert!(buf.builder == self.builder && !buf.constant, "a handle of another builder, or a constant");
        assert!(buf.pooled.is_none(), "a pooled buffer is filled by what comes");
        assert!(bytes.len() <= buf.len as usize, "{} bytes into a buffer of {}", bytes.len(), buf.len);
        let (mut views, _) = self.frame.parts();
        let room = views.write(buf.start..buf.start + bytes.len() as u32);
        room.expect("a buffer lies inside the frame").copy_from_slice(bytes);
        self
    }
}

impl fmt::Debug for Init<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Init").field(&self.frame).finish()
    }
}

/// No frame could be had; the session comes back.
pub struct Full<S>(pub S);

impl<S> fmt::Debug for Full<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full")
    }
}

impl<S> fmt::Display for Full<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all frames of the program are in use, or its runtime is ending")
    }
}

impl<S> std::error::Error for Full<S> {}

/// The exit of a frame, to be awaited. Dropping it lets the frame go on by itself; its session and sockets are
/// dropped at its end.
#[must_use = "dropping the handle detaches the frame; say so with `drop` or `let _ =`"]
pub struct ChainHandle<S: 'static> {
    awaited: Rc<Awaited<S>>,
    frames: Rc<Frames<Runner<S>>>,
    key: Key,
}

impl<S> ChainHandle<S> {
    /// Cancels the frame: what it has in flight is cancelled, and it ends with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), unless it ends by itself before. Only asks; await
    /// the handle to know when it has happened.
    pub fn cancel(&self) {
        if !self.awaited.ended.get() {
            self.frames.cancel(self.key);
        }
    }

    /// Whether the frame has ended.
    pub fn is_finished(&self) -> bool {
        self.awaited.ended.get()
    }
}

impl<S> Future for ChainHandle<S> {
    type Output = Exit<S>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit<S>> {
        if let Some(exit) = self.awaited.exit.borrow_mut().take() {
            return Poll::Ready(exit);
        }
        drop(self.awaited.waker.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}

impl<S> Drop for ChainHandle<S> {
    fn drop(&mut self) {
        self.awaited.detached.set(true);
        drop(self.awaited.waker.take());
    }
}

impl<S> fmt::Debug for ChainHandle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainHandle").field("frame", &self.key).finish_non_exhaustive()
    }
}
