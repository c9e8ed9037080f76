//! A random program becomes calls of the builder.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use chainring_chains::{Buf, Span as Bytes, read, reg, stream, value, write};
use chainring_chains::{BuildError, Chain, File, Flow, Lowering, OpenHow, Reg, Socket};
use chainring_chains::{
    Event as Posts, Group, Log, OpenLog, Outbox, Owned, Pipe, Shared, SpanLen, StreamBuf, Word,
};

use super::disk::Disk;
use super::lower_numbers::order;
use super::native::{self, Next};
use super::program::{
    ACCEPTED, ATOMIC, BUFS, Block, CONSTANT, Call, Event, FILES, FUTEX, FileStep, HELD, HELD_FROM, Kind, Len,
    NAMES, OWNED, POOLED, Path, Program, REGS, SIGNAL, SOCKETS, STREAM, Span, WORDS, constant,
};

/// The session of a frame: what its calls have written down.
pub(crate) type Session = Vec<Event>;

/// A program that was built, and its handles.
pub(crate) struct Built {
    /// The log, if the program has one, and the word that all threads share.
    pub(crate) log: Option<Log>,
    pub(crate) atomic: Arc<AtomicU64>,
    /// The words that can be waited for.
    pub(crate) futexes: [Arc<AtomicU32>; 2],
    pub(crate) program: chainring_chains::Program<Session>,
    pub(crate) sockets: [Socket; SOCKETS],
    pub(crate) listener: Socket,
    /// The ends of a pipe: one from which nothing comes, and one into which there is room.
    pub(crate) pipe: [Socket; 2],
    /// The file that is given, and the directory.
    pub(crate) given: File,
    pub(crate) directory: File,
    pub(crate) regs: [Reg; REGS],
}

impl Built {
    /// The program's log, in a file of that directory.
    pub(crate) fn open_log(&self, disk: Option<&Disk>) -> Option<OpenLog> {
        let log = self.log.as_ref()?;
        let disk = disk.expect("a program with a log has files");
        Some(log.open(disk.log(), 0).expect("it is not open"))
    }
}

/// What a call fails with.
const FAILURE: &str = "as its register says";

pub(crate) fn build(program: &Program, lowering: Lowering) -> Result<Built, BuildError> {
    let mut c = Chain::<Session>::new("random");
    c.lowering(lowering);
    let given = [c.accepted(), c.socket()];
    let regs = program.params.map(|given| if given.is_some() { c.param() } else { c.reg() });
    let (files, directory) = ([c.file(), c.file()], c.file());
    let sockets = [given[0], given[1], c.socket()];
    let (listener, pipe_ends) = (c.socket(), [c.socket(), c.socket()]);
    let mut bufs = BUFS[..STREAM].iter().map(|len| c.buffer(*len)).collect::<Vec<_>>();
    let stream = c.stream(BUFS[STREAM]);
    // The stream's is never asked for.
    bufs.extend([bufs[0], c.constant(&constant())]);
    debug_assert_eq!(bufs.len(), CONSTANT + 1);
    let outbox = c.outbox();
    // Few, so that frames wait for each other.
    c.pool_limit(2);
    bufs.push(c.pooled(BUFS[POOLED]));
    let owned = c.owned(BUFS[OWNED]);
    let atomic = Arc::new(AtomicU64::new(0));
    let futexes = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
    let shared = Shared::new("words", ATOMIC);
    let words = std::array::from_fn(|i| match i {
        ATOMIC => c.atomic(atomic.clone()),
        FUTEX | SIGNAL => c.atomic(futexes[i - FUTEX].clone()),
        _ => c.shared(&shared, i),
    });
    let things = Things { group: Group::new("group"), event: Posts::new("event"), log: Log::new("log") };
    let log = program.any(&mut |step| matches!(step.kind, Kind::Commit { .. })).then(|| things.log.clone());
    let pipe = c.pipe();
    let polled = [listener, pipe_ends[0], pipe_ends[1]];
    Lowerer { sockets, polled, files, directory, regs, bufs, stream, owned, words, things, pipe, outbox }
        .block(&mut c, &program.body);
    let (program, given) = (c.build()?, files[0]);
    Ok(Built { program, sockets, listener, pipe: pipe_ends, given, directory, regs, log, atomic, futexes })
}

/// What frames share.
#[derive(Clone)]
pub(super) struct Things {
    pub(super) group: Group,
    pub(super) event: Posts,
    pub(super) log: Log,
}

#[derive(Clone)]
pub(super) struct Lowerer {
    pub(super) owned: Owned,
    pub(super) words: [Word; WORDS],
    pub(super) things: Things,
    pub(super) pipe: Pipe,
    pub(super) sockets: [Socket; SOCKETS],
    /// The listener, and the ends of a pipe.
    pub(super) polled: [Socket; 3],
    pub(super) files: [File; FILES],
    pub(super) directory: File,
    pub(super) regs: [Reg; REGS],
    pub(super) bufs: Vec<Buf>,
    pub(super) stream: StreamBuf,
    outbox: Outbox,
}

impl Lowerer {
    pub(super) fn block(&self, c: &mut Chain<Session>, block: &Block) {
        for step in block {
            self.step(c, step.number, &step.kind);
        }
    }

    fn step(&self, c: &mut Chain<Session>, number: u32, kind: &Kind) {
        match kind {
            Kind::Recv { socket, span, into, or_finish, .. } => {
                let step = c.recv(self.sockets[*socket], self.span(span));
                let step = if let Some(reg) = into { step.into(self.regs[*reg]) } else { step };
                if *or_finish {
                    step.or_finish();
                }
            }
            Kind::RecvExact { socket, span, into, or_finish } => {
                let step = c.recv_exact(self.sockets[*socket], self.span(span));
                let step = if let Some(reg) = into { step.into(self.regs[*reg]) } else { step };
                if *or_finish {
                    step.or_finish();
                }
            }
            Kind::Send { socket, span, into } => {
                c.send(self.sockets[*socket], self.span(span)).into(self.regs[*into]);
            }
            Kind::Fill { socket, or_finish } => {
                let step = c.fill(self.sockets[*socket], self.stream);
                if *or_finish {
                    step.or_finish();
                }
            }
            Kind::Consume { len } => c.consume(self.stream, self.expr(len)),
            Kind::SendAll { socket, spans, into } => {
                let spans = spans.iter().map(|span| self.span(span));
                let step = c.send_all(self.sockets[*socket], spans);
                if let Some(reg) = into {
                    step.into(self.regs[*reg]);
                }
            }
            Kind::Shutdown { socket } => c.shutdown(self.sockets[*socket]),
            Kind::Set { reg, value } => c.set(self.regs[*reg], self.expr(value)),
            Kind::Store { buf, at, width, big, value } => {
                c.store(self.bufs[*buf], self.expr(at), order(*width, *big), self.expr(value));
            }
            Kind::Copy { to, from } => c.copy(self.span(to), self.span(from)),
            Kind::Append { span } => c.append(self.outbox, self.span(span)),
            Kind::AppendNumber { width: None, value, .. } => c.append_decimal(self.outbox, self.expr(value)),
            Kind::AppendNumber { width: Some(width), big, value } => {
                c.append_number(self.outbox, order(*width, *big), self.expr(value));
            }
            Kind::SendOutbox { socket } => c.send_outbox(self.sockets[*socket], self.outbox),
            Kind::Sleep { time } => c.sleep(self.expr(time)),
            Kind::Attempt { body, errno, handler } => {
                let step = c.attempt(|c| self.block(c, body));
                if let Some(errno) = errno {
                    step.on_error(self.regs[*errno], |c| self.block(c, handler));
                }
            }
            Kind::File(step) => self.file(c, step),
            Kind::Splice { from, to, len, into, or_finish } => {
                self.splice(c, from, to, *len, *into, *or_finish);
            }
            Kind::Nop => c.nop(),
            Kind::Accept => c.accept(self.polled[0], self.sockets[ACCEPTED]),
            Kind::Poll { what, events, into } => self.poll(c, *what, *events, *into),
            Kind::Rename { from, to } => {
                let (from, to) = (self.path(c, from), self.path(c, to));
                c.rename(from, to).from_directory(self.directory).to_directory(self.directory);
            }
            Kind::Remove { path, directory } => {
                let path = self.path(c, path);
                let step = if *directory { c.remove_dir(path) } else { c.unlink(path) };
                step.in_directory(self.directory);
            }
            Kind::SetWord { word, value } => c.set(self.words[*word], self.expr(value)),
            Kind::FetchAdd { word, value, into } => {
                self.taken(c.fetch_add(self.words[*word], self.expr(value)), *into);
            }
            Kind::Exchange { word, current, new, into } => {
                let (current, new) = (self.expr(current), self.expr(new));
                self.taken(c.compare_exchange(self.words[*word], current, new), *into);
            }
            Kind::FutexWait { word, expected } => c.futex_wait(self.words[*word], self.expr(expected)),
            Kind::FutexWake { word, count, into } => {
                self.taken(c.futex_wake(self.words[*word], self.expr(count)), *into);
            }
            Kind::Notify => c.notify(&self.things.event),
            Kind::Wait => c.wait(&self.things.event),
            Kind::Commit { spans, into } => {
                let spans: Vec<_> = spans.iter().map(|span| self.span(span)).collect();
                let step = c.commit(&self.things.log, spans);
                if let Some(reg) = into {
                    step.into(self.regs[*reg]);
                }
            }
            Kind::Serial { body } => c.serial(&self.things.group, |c| self.block(c, body)),
            Kind::Within { time, body } => {
                c.within(Duration::from_nanos(*time), |c| self.block(c, body));
            }
            Kind::Fork { need, branches } => self.fork(c, *need, branches),
            Kind::Pipelined { depth, ahead, in_order } => self.pipelined(c, *depth, ahead, in_order),
            Kind::Fetch { from, to, reg, ready } => self.fetch(c, from, to, *reg, *ready),
            Kind::Ensure { cond, code } => c.ensure(self.expr(cond), *code),
            Kind::When { cond, then, otherwise } => {
                let step = c.when(self.expr(cond), |c| self.block(c, then));
                if !otherwise.is_empty() {
                    step.otherwise(|c| self.block(c, otherwise));
                }
            }
            Kind::Repeat { body } => c.repeat(|c| self.block(c, body)),
            Kind::Again => c.again(),
            Kind::Leave => c.leave(),
            Kind::Finish => c.finish(),
            Kind::Fail { errno } => c.fail(self.expr(errno)),
            Kind::Call(call) => self.call(c, number, call),
        }
    }

    fn file(&self, c: &mut Chain<Session>, step: &FileStep) {
        match step {
            FileStep::Read { file, span, position, into, exact, or_finish } => {
                let (file, span, position) = (self.files[*file], self.span(span), self.expr(position));
                let step = if *exact {
                    c.read_exact_at(file, span, position)
                } else {
                    c.read_at(file, span, position)
                };
                let step = if let Some(reg) = into { step.into(self.regs[*reg]) } else { step };
                if *or_finish {
                    step.or_finish();
                }
            }
            FileStep::Write { file, spans, position, into } => {
                let spans = spans.iter().map(|span| self.span(span));
                let step = c.write_all_at(self.files[*file], spans, self.expr(position));
                if let Some(reg) = into {
                    step.into(self.regs[*reg]);
                }
            }
            FileStep::Sync { file, data: false } => c.fsync(self.files[*file]),
            FileStep::Sync { file, data: true } => c.fdatasync(self.files[*file]),
            FileStep::Fallocate { file, position, len } => {
                c.fallocate(self.files[*file], self.expr(position), self.expr(len));
            }
            FileStep::Truncate { file, len } => c.ftruncate(self.files[*file], self.expr(len)),
            FileStep::Open { file, path, flags } => {
                let path = self.path(c, path);
                let mode = if flags & libc::O_CREAT != 0 { 0o600 } else { 0 };
                let how = OpenHow { flags: *flags as u64, mode, resolve: 0 };
                c.open(self.files[*file], path, how).beneath(self.directory);
            }
            FileStep::CloseFile { file } => c.close_file(self.files[*file]),
            FileStep::Statx { file, size, mode } => {
                let step = c.statx(self.files[*file]);
                let step = if let Some(reg) = size { step.size(self.regs[*reg]) } else { step };
                if let Some(reg) = mode {
                    step.mode(self.regs[*reg]);
                }
            }
        }
    }

    fn call(&self, c: &mut Chain<Session>, step: u32, call: &Call) {
        match call {
            Call::Log(count) => c.call((value(self.regs[*count]),), move |session, (count,)| {
                session.push(native::log(step, count));
                Flow::Next
            }),
            Call::Observe => {
                let [a, b, d, e, f, g, h, i] = self.regs.map(reg);
                c.call((a, b, d, e, f, g, h, i), move |session, (a, b, d, e, f, g, h, i)| {
                    session.push(native::observe(step, &[*a, *b, *d, *e, *f, *g, *h, *i]));
                    Flow::Next
                });
            }
            Call::Look(span, reg) => {
                let access = (read(self.span(span)), value(self.regs[*reg]));
                c.call(access, move |session, (bytes, value)| {
                    session.push(native::look(step, bytes, value));
                    Flow::Next
                });
            }
            Call::Fill(span, seed) => {
                let seed = *seed;
                c.call((write(self.span(span)),), move |_, (bytes,)| {
                    native::fill(bytes, seed);
                    Flow::Next
                });
            }
            Call::Mix { from, to, reg: register } => {
                let access = (read(self.span(from)), write(self.span(to)), reg(self.regs[*register]));
                c.call(access, |_, (from, to, register)| {
                    native::mix(from, to, register);
                    Flow::Next
                });
            }
            Call::Take(register) => {
                let access = (stream(self.stream), value(self.regs[*register]));
                c.call(access, move |session, (mut held, value)| {
                    let (event, taken) = native::take(step, held.bytes(), value);
                    session.push(event);
                    held.consume(taken);
                    Flow::Next
                });
            }
            Call::Decide(register) => {
                c.call((value(self.regs[*register]),), |_, (value,)| match native::decide(value) {
                    Next::On => Flow::Next,
                    Next::Finish => Flow::Finish,
                    Next::Fail => Flow::Fail(Box::<dyn Error + Send + Sync>::from(FAILURE)),
                })
            }
        }
    }

    pub(super) fn path(&self, c: &mut Chain<Session>, path: &Path) -> Bytes {
        match path {
            Path::Name(name) => c.path(NAMES[*name]),
            Path::Bytes(span) => self.span(span),
        }
    }

    pub(super) fn span(&self, span: &Span) -> Bytes {
        let len = match span.len {
            Len::Fixed(len) => SpanLen::Fixed(len),
            Len::Reg(HELD) => return self.stream.bytes(),
            Len::Reg(reg) => SpanLen::Reg(self.regs[reg]),
        };
        if span.buf == OWNED {
            return match (span.start, len) {
                (Some(start), len) => self.owned.part(self.regs[start], len),
                (None, SpanLen::Fixed(len)) => self.owned.range(span.from..span.from + len),
                (None, len) => self.owned.to(len),
            };
        }
        let buf = self.bufs[span.buf];
        match (span.start, len) {
            (Some(HELD_FROM), len) => self.stream.first(len),
            (Some(start), len) => buf.part(self.regs[start], len),
            (None, SpanLen::Fixed(len)) => buf.range(span.from..span.from + len),
            (None, len) => buf.to(len),
        }
    }
}
