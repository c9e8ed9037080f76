//! The builder: records what its methods are told. It checks nothing; `build()` does.

mod steps;

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use steps::MOST_BRANCHES;
pub use steps::{
    AttemptStep, Branches, CommitStep, FillStep, OpenStep, RenameStep, SpliceStep, StatxStep, TransferStep,
    UnlinkStep, WhenStep, WordStep,
};

use crate::compile;
use crate::error::BuildError;
use crate::future::CallAsync;
use crate::handle::{Buf, BuilderId, File, Outbox, Owned, Pipe, Place, Reg, Socket, Span, StreamBuf};
use crate::native::Native;
use crate::program::Program;
use crate::sync::Things;
use crate::tree::{Block, Kind, Step};

/// A chain under construction, for connections with a session of type `S`.
///
/// The methods that add a step may be called in any order and nested through the closures of blocks; a handle is
/// valid in the builder that made it. `build()` compiles the chain into a [`Program`].
///
/// A step may give something to qualify it with, which borrows the builder. So in the closure of a block it ends with a
/// semicolon, also if it is the only one: `c.when(cond, |c| { c.send_all(sock, sorry.all()); })`.
pub struct Chain<S> {
    pub(crate) id: BuilderId,
    pub(crate) name: Arc<str>,
    /// The blocks that are open, the outermost first.
    pub(crate) blocks: Vec<Block>,
    pub(crate) steps: u32,
    /// Places of descriptors.
    pub(crate) places: u16,
    pub(crate) accepted: Option<Socket>,
    pub(crate) regs: u16,
    pub(crate) params: Vec<Reg>,
    pub(crate) bufs: Vec<Buf>,
    /// Bytes of those that each frame has at all times.
    pub(crate) bytes: u32,
    pub(crate) pooled: Vec<Buf>,
    pub(crate) pool_limit: u16,
    /// Those of stream buffers, in which a register says what there is.
    pub(crate) streams: Vec<Buf>,
    /// Bytes that all frames share, and how many there are of them.
    pub(crate) constants: Vec<u8>,
    pub(crate) constant_bufs: u16,
    pub(crate) outboxes: u16,
    /// What `statx` answers into.
    pub(crate) statx: Option<Buf>,
    pub(crate) natives: Vec<Native<S>>,
    /// What it shares with others.
    pub(crate) things: Things,
    pub(crate) futures: Vec<CallAsync<S>>,
    pub(crate) lowering: Lowering,
    session: PhantomData<fn(S)>,
}

/// Where pooled buffers start: behind all that a frame can have of its own.
const POOLED: u32 = 1 << 31;

/// How segments are lowered to submissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lowering {
    /// As the compiler sees fit.
    #[default]
    Chosen,
    /// Every step by itself, with a round trip through the loop between any two.
    Single,
}

impl<S: 'static> Chain<S> {
    /// An empty chain. The name is for messages.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Chain {
            id: BuilderId(NEXT.fetch_add(1, Ordering::Relaxed)),
            name: name.into(),
            blocks: vec![Block::new()],
            steps: 0,
            places: 0,
            accepted: None,
            regs: 0,
            params: Vec::new(),
            bufs: Vec::new(),
            bytes: 0,
            pooled: Vec::new(),
            pool_limit: 0,
            streams: Vec::new(),
            constants: Vec::new(),
            constant_bufs: 0,
            outboxes: 0,
            statx: None,
            natives: Vec::new(),
            things: Things::default(),
            futures: Vec::new(),
            lowering: Lowering::Chosen,
            session: PhantomData,
        }
    }

    /// The socket of the connection: the one that was accepted when the program is served.
    pub fn accepted(&mut self) -> Socket {
        match self.accepted {
            Some(socket) => socket,
            None => {
                let socket = self.socket();
                *self.accepted.insert(socket)
            }
        }
    }

    /// A further socket of each frame, to be given when the frame is spawned, or made by
    /// [`connect`](Chain::connect).
    pub fn socket(&mut self) -> Socket {
        Socket(self.place(false))
    }

    /// A file of each frame, to be given when the frame is spawned, or opened by [`open`](Chain::open).
    pub fn file(&mut self) -> File {
        File(self.place(true))
    }

    /// A pipe of each frame, for [`splice`](Chain::splice): see [`Pipe`].
    pub fn pipe(&mut self) -> Pipe {
        Pipe { read: self.place(true), write: self.place(true), used: self.param() }
    }

    fn place(&mut self, file: bool) -> Place {
        let index = self.places;
        self.places = self.places.saturating_add(1);
        Place { builder: self.id, index, file }
    }

    /// A register of each frame. It must be written before it is read.
    pub fn reg(&mut self) -> Reg {
        let index = self.regs;
        self.regs = self.regs.saturating_add(1);
        Reg { builder: self.id, index }
    }

    /// A register that is given when the frame is spawned, and zero otherwise.
    pub fn param(&mut self) -> Reg {
        let reg = self.reg();
        self.params.push(reg);
        reg
    }

    /// A buffer of `len` bytes of each frame, all zero when its connection is new. Buffers lie behind each other in the order in which they are made, so
    /// spans of neighbours can be transferred as one.
    pub fn buffer(&mut self, len: u32) -> Buf {
        let start = self.bytes;
        self.bytes = self.bytes.saturating_add(len);
        self.buf(start, len, None)
    }

    /// A buffer of `len` bytes that each frame has only while it uses it: from the step that receives or reads into its
    /// front, to the last step or call that looks at what came. Meanwhile, and above all while it waits for bytes, the frame
    /// costs no such memory. Buffers come from a pool of the core, which grows as they are needed; those used last are used
    /// first.
    ///
    /// Only what has come can be looked at: a span or load that reaches further fails the frame with
    /// [`ErrorKind::Bounds`](crate::ErrorKind::Bounds), so say `.into(reg)` and look at [`to`](Buf::to) that. What comes from
    /// the front on replaces all that was there; steps behind it can put in more where it ends. It can be received and
    /// read into, sent and written, and used by computations and calls.
    ///
    /// If the pool has reached its [limit](Chain::pool_limit), a frame for which bytes have come waits until another gives a
    /// buffer back. Frames that hold one of a pool and wait for a second can wait for each other: a deadline ends that.
    pub fn pooled(&mut self, len: u32) -> Buf {
        let number = self.pooled.len() as u16;
        // Apart from all others, so that no two lie behind each other.
        let start = self.pooled.last().map_or(POOLED, |last| last.start.saturating_add(last.len));
        let buf = self.buf(start.saturating_add(64), len, Some(number));
        self.pooled.push(buf);
        buf
    }

    /// A buffer for large values: see [`Owned`]. When a step receives or reads into its front, as much memory is allocated
    /// as the step asks for, `limit` bytes at the most; it is freed behind the last step or call that looks at it. Otherwise
    /// it is as a [pooled](Chain::pooled) one, and there are 64 of both.
    pub fn owned(&mut self, limit: u32) -> Owned {
        let Buf { builder, index, start, len, constant, pooled, .. } = self.pooled(limit);
        let buf = Buf { builder, index, start, len, constant, pooled, owned: true };
        for all in [&mut self.bufs, &mut self.pooled] {
            *all.last_mut().expect("it was just added") = buf;
        }
        Owned(buf)
    }

    /// How many pooled buffers of one size there may be for all frames of the program on a core: 4096 unless told
    /// otherwise. At least 1.
    pub fn pool_limit(&mut self, buffers: u16) {
        self.pool_limit = buffers.max(1);
    }

    fn buf(&mut self, start: u32, len: u32, pooled: Option<u16>) -> Buf {
        let index = u16::try_from(self.bufs.len()).unwrap_or(u16::MAX);
        let buf = Buf { builder: self.id, index, start, len, constant: false, pooled, owned: false };
        self.bufs.push(buf);
        buf
    }

    /// A buffer of `len` bytes of each frame that is filled at one end and consumed at the other.
    pub fn stream(&mut self, len: u32) -> StreamBuf {
        let (from, held) = (self.param(), self.param());
        let buf = self.buffer(len);
        self.streams.push(buf);
        StreamBuf { buf, from, len: held, end: self.reg(), room: self.reg() }
    }

    /// What each frame is about to send: see [`Outbox`].
    pub fn outbox(&mut self) -> Outbox {
        let index = self.outboxes;
        self.outboxes = self.outboxes.saturating_add(1);
        Outbox { builder: self.id, index }
    }

    /// Bytes that all frames share, and can only read: a greeting, a table, a key.
    pub fn constant(&mut self, bytes: &[u8]) -> Buf {
        let start = u32::try_from(self.constants.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.constants.extend_from_slice(bytes);
        let index = self.constant_bufs;
        self.constant_bufs = self.constant_bufs.saturating_add(1);
        Buf { builder: self.id, index, start, len, constant: true, pooled: None, owned: false }
    }

    /// A path for [`open`](Chain::open), known now: its bytes, and a NUL behind them.
    pub fn path(&mut self, path: impl AsRef<std::path::Path>) -> Span {
        let mut bytes = path.as_ref().as_os_str().as_encoded_bytes().to_vec();
        bytes.push(0);
        self.constant(&bytes).all()
    }

    /// Forces a lowering, for comparing them.
    pub fn lowering(&mut self, lowering: Lowering) {
        self.lowering = lowering;
    }

    /// Compiles the chain.
    ///
    /// # Errors
    /// If a handle is another builder's, a span or load can never fit, a register or buffer is read before it is
    /// written on some path, or a step can never be reached. The error names chain and step.
    pub fn build(self) -> Result<Program<S>, BuildError> {
        compile::compile(self)
    }

    fn push(&mut self, name: &'static str, kind: Kind) -> &mut Step {
        self.steps += 1;
        let number = self.steps;
        let block = self.blocks.last_mut().expect("the outermost block stays open");
        block.push(Step { number, name, kind });
        block.last_mut().expect("a step was just pushed")
    }

    /// Adds what belongs to the step `number`, which consists of several.
    fn push_part(&mut self, number: u32, name: &'static str, kind: Kind) {
        let block = self.blocks.last_mut().expect("the outermost block stays open");
        block.push(Step { number, name, kind });
    }

    /// Records what `body` adds as a block of its own.
    fn block(&mut self, body: impl FnOnce(&mut Self)) -> Block {
        self.blocks.push(Block::new());
        body(self);
        self.blocks.pop().expect("a block that was opened is still there")
    }
}

impl<S> std::fmt::Debug for Chain<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("name", &self.name).field("steps", &self.steps).finish_non_exhaustive()
    }
}
