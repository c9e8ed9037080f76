//! Steps on files.

use chainring_runtime::frame::{Order, Verb};
use chainring_runtime::op::openat2::OpenHow;

use super::super::Chain;
use super::io::TransferStep;
use crate::expr::{Expr, Node};
use crate::handle::{Buf, File, Reg, Span};
use crate::tree::{Compute, IoStep, Kind, Open};

/// The size of `struct statx`.
const STATX: u32 = 256;

impl<S: 'static> Chain<S> {
    /// Reads into the front of `span` from a position of the file, a number, register or expression. Say `.into(reg)`
    /// to learn how much; at the end of the file it is nothing, which is not an error, and which
    /// [`or_finish`](TransferStep::or_finish) takes for the end.
    pub fn read_at(&mut self, file: File, span: Span, position: impl Into<Expr>) -> TransferStep<'_> {
        self.at("read_at", Verb::ReadAt, file, [span], position)
    }

    /// Reads exactly `span` from a position of the file. An end of the file in the middle is
    /// [`ErrorKind::Short`](crate::ErrorKind::Short).
    pub fn read_exact_at(&mut self, file: File, span: Span, position: impl Into<Expr>) -> TransferStep<'_> {
        self.at("read_exact_at", Verb::ReadExactAt, file, [span], position)
    }

    /// Writes all of a span, or of several behind each other, at a position of the file.
    pub fn write_all_at(
        &mut self,
        file: File,
        spans: impl IntoIterator<Item = Span>,
        position: impl Into<Expr>,
    ) -> TransferStep<'_> {
        self.at("write_all_at", Verb::WriteAllAt, file, spans, position)
    }

    fn at(
        &mut self,
        name: &'static str,
        verb: Verb,
        file: File,
        spans: impl IntoIterator<Item = Span>,
        position: impl Into<Expr>,
    ) -> TransferStep<'_> {
        self.io(name, IoStep { position: Some(position.into()), ..IoStep::new(verb, file.0, spans) })
    }

    /// Makes a file's bytes and metadata durable (fsync(2)). The steps behind it are a submission of their own: the
    /// kernel would start them although it failed.
    pub fn fsync(&mut self, file: File) {
        self.io("fsync", IoStep::new(Verb::Fsync, file.0, None));
    }

    /// Makes a file's bytes durable, and of its metadata what is needed to read them (fdatasync(2)). The steps behind it
    /// are a submission of their own, as behind [`fsync`](Chain::fsync).
    pub fn fdatasync(&mut self, file: File) {
        self.io("fdatasync", IoStep::new(Verb::Fdatasync, file.0, None));
    }

    /// Reserves room for `len` bytes from a position on, and makes the file longer if it has to be (fallocate(2)).
    pub fn fallocate(&mut self, file: File, position: impl Into<Expr>, len: impl Into<Expr>) {
        let (position, amount) = (Some(position.into()), Some(len.into()));
        self.io("fallocate", IoStep { position, amount, ..IoStep::new(Verb::Fallocate, file.0, None) });
    }

    /// Sets the length of a file (ftruncate(2)).
    ///
    /// It takes Linux 6.9 ([`Capability::Ftruncate`](chainring_runtime::Capability::Ftruncate)): below it the program does
    /// not [start](crate::Program::start).
    pub fn ftruncate(&mut self, file: File, len: impl Into<Expr>) {
        let position = Some(len.into());
        self.io("ftruncate", IoStep { position, ..IoStep::new(Verb::Ftruncate, file.0, None) });
    }

    /// Opens a file. The path is a span of fixed place and length whose last byte is a NUL, such as [`Chain::path`]; if
    /// its last byte is something else the frame fails with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds). A file
    /// that was there before is closed. O_CLOEXEC is always added.
    pub fn open(&mut self, file: File, path: Span, how: OpenHow) -> OpenStep<'_> {
        let how = [how.flags | libc::O_CLOEXEC as u64, how.mode, how.resolve];
        let open = Some(Open { at: None, how });
        OpenStep(self.io("open", IoStep { open, ..IoStep::new(Verb::Open, file.0, path) }))
    }

    /// Asks for a file's metadata (statx(2)), which the methods of what is returned put into registers.
    pub fn statx(&mut self, file: File) -> StatxStep<'_, S> {
        let answer = match self.statx {
            Some(answer) => answer,
            None => {
                let answer = self.buffer(STATX);
                *self.statx.insert(answer)
            }
        };
        self.io("statx", IoStep::new(Verb::Statx, file.0, answer.all()));
        StatxStep { number: self.steps, answer, chain: self }
    }

    /// Closes a file. Its place is vacant then; the steps behind it cannot use it before it is opened again.
    ///
    /// Directly behind a [`read_at`](Chain::read_at) of the file it may run although that failed or was cancelled; the file
    /// then is not among those of the [`Exit`](crate::Exit).
    pub fn close_file(&mut self, file: File) {
        self.io("close_file", IoStep::new(Verb::Close, file.0, None));
    }
}

/// An `open` that was just added, to be qualified.
#[derive(Debug)]
pub struct OpenStep<'c>(TransferStep<'c>);

impl OpenStep<'_> {
    /// The path starts in this directory, and can in no way lead out of it (`RESOLVE_BENEATH` of openat2(2)).
    pub fn beneath(mut self, directory: File) -> Self {
        let io = self.0.io();
        if let Some(open) = &mut io.open {
            open.at = Some(directory.0);
            open.how[2] |= libc::RESOLVE_BENEATH;
        }
        self
    }
}

/// A `statx` that was just added: what it is to put where.
pub struct StatxStep<'c, S> {
    number: u32,
    answer: Buf,
    chain: &'c mut Chain<S>,
}

// Where the fields of `struct statx` lie (statx(2)).
impl<S: 'static> StatxStep<'_, S> {
    /// The size in bytes.
    pub fn size(self, reg: Reg) -> Self {
        self.field(reg, 40, Order::Le64)
    }

    /// Type and permissions, as in stat(2).
    pub fn mode(self, reg: Reg) -> Self {
        self.field(reg, 28, Order::Le16)
    }

    /// The inode's number.
    pub fn inode(self, reg: Reg) -> Self {
        self.field(reg, 32, Order::Le64)
    }

    /// When its bytes were last changed: seconds since the epoch.
    pub fn modified(self, reg: Reg) -> Self {
        self.field(reg, 112, Order::Le64)
    }

    /// The nanoseconds behind those seconds, below 1,000,000,000; in steps of the kernel's clock (some milliseconds), or of
    /// what the file system keeps.
    pub fn modified_nanoseconds(self, reg: Reg) -> Self {
        self.field(reg, 120, Order::Le32)
    }

    fn field(self, reg: Reg, offset: u32, order: Order) -> Self {
        let value = Expr(Node::Load { buf: self.answer, offset, order });
        self.chain.push_part(self.number, "statx", Kind::Compute(Compute::Set(reg, value)));
        self
    }
}

impl<S> std::fmt::Debug for StatxStep<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StatxStep")
    }
}
