//! The side that is tried: frames of the lowered program on a ring, in one of many ways.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use chainring_chains::{ErrorKind, Exit, Lowering};
use chainring_net::TcpStream;
use chainring_runtime::{Builder, Capability, Runtime};
use socket2::Socket;

use super::common::soon;
use super::disk::{Contents, Disk};
use super::lower::{Built, Session};
use super::peer::{Peer, Script, connect, drain};
use super::program::{Event, Program, SOCKETS};
use super::report::{Ended, Failure, Strike, Verb};

/// One way of running a program.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// Entries of the submission queue; the default's if none.
    pub(crate) ring: Option<u32>,
    pub(crate) masked: Masked,
    pub(crate) single: bool,
    pub(crate) fault: Fault,
    /// As many frames at once, each with peers of its own.
    pub(crate) frames: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Masked {
    Nothing,
    SkipSuccess,
    Everything,
}

/// What the injector does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Transfers come short. Only for what is submitted alone: the kernel severs a list where a member comes short,
    /// and the injector's entry, shorter by itself, does not.
    Shorten {
        verb: &'static str,
        len: u32,
        times: u32,
    },
    /// Completions come late.
    Delay {
        verb: &'static str,
        looks: u32,
        times: u32,
    },
    /// The queue is full.
    Full(u32),
    /// After so many others, an operation fails.
    Fail {
        verb: &'static str,
        errno: i32,
        skip: u32,
    },
    /// An operation cannot be prepared. Within a list that is no fault of its own, and all of it is tried again.
    Refuse {
        verb: &'static str,
    },
}

impl Fault {
    /// The errno that a step with this verb may fail with.
    pub(crate) fn errno(self, verb: Verb) -> Option<i32> {
        let name = match verb {
            Verb::Recv | Verb::RecvExact => "recv",
            Verb::Send => "send",
            Verb::Shutdown => "shutdown",
        };
        match self {
            Fault::Fail { verb, errno, .. } if verb == name => Some(errno),
            Fault::Refuse { verb } if verb == name => Some(libc::EINVAL),
            _ => None,
        }
    }

    /// The name of the operations that it is about.
    pub(crate) fn verb(self) -> Option<&'static str> {
        match self {
            Fault::None | Fault::Full(_) => None,
            Fault::Shorten { verb, .. } | Fault::Delay { verb, .. } => Some(verb),
            Fault::Fail { verb, .. } | Fault::Refuse { verb } => Some(verb),
        }
    }

    /// The failures of which one may have come of it. `more` operations may have been before it here and not there, where
    /// some run side by side.
    pub(crate) fn strikes(self, more: u32) -> Vec<Strike> {
        match self {
            Fault::Fail { verb: name, errno, skip } => {
                let strike = |at| Strike { name, errno, at };
                (0..=skip).rev().chain(skip + 1..=skip + more).map(strike).collect()
            }
            Fault::Refuse { verb: name } => {
                (0..=more).map(|at| Strike { name, errno: libc::EINVAL, at }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether what is read may be less than there is.
    pub(crate) fn shortens_reads(self) -> bool {
        matches!(self, Fault::Shorten { verb: "read", .. })
    }

    fn inject(self, runtime: &Runtime) {
        let injector = runtime.handle().injector();
        match self {
            Fault::None => {}
            Fault::Shorten { verb, len, times } => injector.shorten(verb, len, times),
            Fault::Delay { verb, looks, times } => injector.delay(verb, looks, times),
            Fault::Full(times) => injector.fill_queue(times),
            Fault::Fail { verb, errno, skip } => {
                // A rule that does nothing stands in for "after so many".
                injector.delay(verb, 0, skip);
                injector.fail(verb, errno, 1);
            }
            Fault::Refuse { verb } => injector.refuse(verb, 1),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Variant { ring, masked, single, fault, frames } = self;
        let lowering = if *single { "single" } else { "chosen" };
        write!(f, "{lowering} lowering, ring {ring:?}, masked {masked:?}, {fault:?}, {frames} frames")
    }
}

impl Variant {
    pub(crate) fn lowering(&self) -> Lowering {
        if self.single { Lowering::Single } else { Lowering::Chosen }
    }

    fn runtime(&self) -> Runtime {
        let mut builder = Builder::new();
        if let Some(entries) = self.ring {
            builder = builder.submission_entries(entries);
        }
        let masked = match self.masked {
            Masked::Nothing => &[],
            Masked::SkipSuccess => &[Capability::SkipSuccess][..],
            Masked::Everything => Capability::ALL,
        };
        masked.iter().fold(builder, |builder, capability| builder.mask(*capability)).build().expect("a ring")
    }

    /// How the program is lowered in this variant.
    pub(crate) fn explain(&self, built: &Built) -> String {
        let runtime = self.runtime();
        let disk = Disk::new();
        runtime.block_on(async {
            let _log = built.open_log(Some(&disk));
            built.program.start(1).expect("it starts").explain().to_string()
        })
    }
}

/// What became of a frame, and what its peers got.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) trace: Vec<Event>,
    pub(crate) received: [Vec<u8>; SOCKETS],
    /// What it left unread.
    pub(crate) left: [Vec<u8>; SOCKETS],
    pub(crate) files: Contents,
}

/// What a run of a variant was.
pub(crate) struct Run {
    pub(crate) outcomes: Vec<Outcome>,
    /// Whether all faults were used up.
    pub(crate) spent: bool,
    /// Whether members came short and were taken up again.
    pub(crate) resumed: bool,
    /// Completions that nobody waited for, or that never came.
    pub(crate) lost: u64,
}

/// Runs the frames of a variant to their end. Only the first `sockets` are used.
pub(crate) fn run(
    program: &Program,
    built: &Built,
    scripts: &[Script; SOCKETS],
    sockets: usize,
    files: bool,
    variant: &Variant,
) -> Run {
    let runtime = variant.runtime();
    let disks: Vec<Option<Disk>> = (0..variant.frames).map(|_| files.then(Disk::new)).collect();
    let log = runtime.block_on(async { built.open_log(disks[0].as_ref()) });
    let spawner = runtime.block_on(async { built.program.start(variant.frames).expect("it starts") });
    variant.fault.inject(&runtime);
    built.atomic.store(0, Ordering::Relaxed);
    let (exits, peers) = runtime.block_on(async {
        let (mut handles, mut peers) = (Vec::new(), Vec::new());
        for disk in &disks {
            let ends: Vec<(Socket, Socket)> = scripts[..sockets].iter().map(connect).collect();
            let (ours, theirs): (Vec<Socket>, Vec<Socket>) = ends.into_iter().unzip();
            let handle = spawner.spawn(Session::new(), |frame| {
                if let Some(disk) = disk {
                    frame.file(built.given, disk.given()).file(built.directory, disk.directory());
                }
                for (handle, socket) in built.sockets.iter().zip(ours) {
                    frame.socket(*handle, TcpStream::from(OwnedFd::from(socket)));
                }
                for (reg, value) in built.regs.iter().zip(program.params) {
                    if let Some(value) = value {
                        frame.set(*reg, value);
                    }
                }
            });
            handles.push(handle.expect("there is room"));
            let start = |(script, socket)| Peer::start(script, socket, false);
            peers.push(scripts.iter().zip(theirs).map(start).collect::<Vec<_>>());
        }
        let mut exits = Vec::new();
        for handle in handles {
            exits.push(soon("the frame to end", handle).await);
        }
        drop(log);
        (exits, peers)
    });
    let (spent, counters, metrics) =
        (runtime.handle().injector().is_spent(), spawner.counters(), runtime.metrics());
    let ends = exits.into_iter().zip(peers).zip(disks);
    let outcomes = ends.map(|((exit, peers), disk)| finish(built, exit, peers, disk)).collect();
    Run { outcomes, spent, resumed: counters.short > 0, lost: metrics.strays + metrics.lost }
}

/// Lets the peers come to their end.
fn finish(built: &Built, mut exit: Exit<Session>, peers: Vec<Peer>, disk: Option<Disk>) -> Outcome {
    let mut ours = Vec::new();
    for handle in &built.sockets[..peers.len()] {
        let stream = exit.sockets.take(*handle).expect("the frame gives its sockets back");
        ours.push(Socket::from(stream.into_owned().expect("nothing is in flight")));
    }
    let (received, left) = settle(&ours, peers);
    let ended = exit.result.map_err(|error| (error.step(), failure(error.kind())));
    let files = disk.map(|disk| disk.contents()).unwrap_or_default();
    Outcome { ended, trace: exit.session, received, left, files }
}

/// Takes what is left on the sockets of a program that has ended, and what its peers got.
pub(crate) fn settle(ours: &[Socket], peers: Vec<Peer>) -> ([Vec<u8>; SOCKETS], [Vec<u8>; SOCKETS]) {
    let (mut received, mut left) = <([Vec<u8>; SOCKETS], [Vec<u8>; SOCKETS])>::default();
    ours.iter().zip(&mut left).for_each(|(socket, left)| *left = drain(socket));
    peers.into_iter().zip(&mut received).for_each(|(peer, received)| *received = peer.join());
    (received, left)
}

fn failure(kind: &ErrorKind) -> Failure {
    match kind {
        ErrorKind::Errno(errno) => Failure::Errno(*errno),
        ErrorKind::Short { done, want } => Failure::Short { done: *done, want: *want },
        ErrorKind::Bounds { len, max } => Failure::Bounds { len: *len, max: *max, plus: 0 },
        ErrorKind::Division => Failure::Division,
        ErrorKind::Ensure(code) => Failure::Ensure(*code),
        ErrorKind::Call(_) => Failure::Call,
        ErrorKind::Deadline => Failure::Deadline(0),
        other => panic!("nothing here is cancelled or panics: {other:?}"),
    }
}
