//! The side that is tried: frames of the lowered program on a ring, in one of many ways.

use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use chainring_chains::{ErrorKind, Exit};
use chainring_net::{TcpListener, TcpStream};
use chainring_runtime::{Builder, Capabilities, Capability, Runtime};
use socket2::Socket;

use super::common::soon;
use super::disk::{Contents, Disk};
use super::ends::{Ends, Peers, Settled, ends};
use super::lower::{Built, Session};
use super::peer::Script;
use super::program::{Event, FUTEX, Program, SIGNAL, SOCKETS};
use super::report::{Ended, Failure, Strike, Verb};
use super::waker::Waker;

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
            match built.program.start(1) {
                Ok(spawner) => spawner.explain().to_string(),
                Err(refused) => refused.to_string(),
            }
        })
    }
}

/// What became of a frame, and what its peers got.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) trace: Vec<Event>,
    pub(crate) settled: Settled,
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

/// Whether the kernel can wait for futexes by the ring.
pub(crate) fn has_futexes() -> bool {
    Runtime::new().expect("a ring").handle().capabilities().futex()
}

/// What a program is told that waits for futexes where the ring cannot.
const NO_FUTEX: &str =
    "the program cannot be started here: it waits for futexes or wakes them, which takes Linux 6.7";

/// What a program is told of which a step is not offered.
fn not_offered(program: &Program, built: &Built, capabilities: Capabilities) -> Vec<String> {
    if program.takes_futexes() && !capabilities.futex() {
        return vec![NO_FUTEX.to_owned()];
    }
    let steps = if capabilities.ftruncate() { Vec::new() } else { program.truncations() };
    let name = built.program.name();
    let told = |step| {
        format!(
            "the program cannot be started here: chain {name}, step {step} (ftruncate): it takes Linux 6.9"
        )
    };
    steps.into_iter().map(told).collect()
}

/// Runs the frames of a variant to their end. `None`: the ring does not offer what the program needs, and it does not
/// start.
pub(crate) fn run(
    program: &Program,
    built: &Built,
    scripts: &[Script; SOCKETS],
    files: bool,
    variant: &Variant,
) -> Option<Run> {
    let runtime = variant.runtime();
    let disks: Vec<Option<Disk>> = (0..variant.frames).map(|_| files.then(Disk::new)).collect();
    let log = runtime.block_on(async { built.open_log(disks[0].as_ref()) });
    let started = runtime.block_on(async { built.program.start(variant.frames) });
    let refusals = not_offered(program, built, runtime.handle().capabilities());
    let spawner = if refusals.is_empty() {
        started.expect("it starts")
    } else {
        let refused = started.expect_err("not everything is offered").to_string();
        assert!(refusals.contains(&refused), "{refused}");
        return None;
    };
    variant.fault.inject(&runtime);
    built.atomic.store(0, Ordering::Relaxed);
    built.futexes.iter().for_each(|futex| futex.store(0, Ordering::Relaxed));
    let waker = program.waits_for_signal().then(|| Waker::start(built.futexes[SIGNAL - FUTEX].clone()));
    let (exits, peers) = runtime.block_on(async {
        let (mut handles, mut peers) = (Vec::new(), Vec::new());
        for disk in &disks {
            let (Ends { sockets, listener, pipe }, others) = ends(program, scripts);
            let handle = spawner.spawn(Session::new(), |frame| {
                if let Some(disk) = disk {
                    frame.file(built.given, disk.given()).file(built.directory, disk.directory());
                }
                for (handle, socket) in built.sockets.iter().zip(sockets) {
                    frame.socket(*handle, TcpStream::from(OwnedFd::from(socket)));
                }
                if let Some(listener) = listener {
                    frame.listener(built.listener, TcpListener::from_std(listener));
                }
                if let Some((silent, room)) = pipe {
                    for (handle, end) in built.pipe.iter().zip([OwnedFd::from(silent), room.into()]) {
                        frame.socket(*handle, TcpStream::from(end));
                    }
                }
                for (reg, value) in built.regs.iter().zip(program.params) {
                    if let Some(value) = value {
                        frame.set(*reg, value);
                    }
                }
            });
            handles.push(handle.expect("there is room"));
            peers.push(others.start(scripts, false));
        }
        let mut exits = Vec::new();
        for handle in handles {
            exits.push(soon("the frame to end", handle).await);
        }
        drop((log, waker));
        (exits, peers)
    });
    let (spent, counters, metrics) =
        (runtime.handle().injector().is_spent(), spawner.counters(), runtime.metrics());
    let ends = exits.into_iter().zip(peers).zip(disks);
    let outcomes = ends.map(|((exit, peers), disk)| finish(built, exit, peers, disk)).collect();
    Some(Run { outcomes, spent, resumed: counters.short > 0, lost: metrics.strays + metrics.lost })
}

/// Lets the peers come to their end.
fn finish(built: &Built, mut exit: Exit<Session>, peers: Peers, disk: Option<Disk>) -> Outcome {
    let mut take = |handle| {
        let stream = exit.sockets.take(handle)?;
        Some(Rc::new(Socket::from(stream.into_owned().expect("nothing is in flight"))))
    };
    let ours = built.sockets.map(&mut take);
    drop(take(built.listener));
    let settled = peers.settle(&ours);
    let ended = exit.result.map_err(|error| (error.step(), failure(error.kind())));
    let files = disk.map(|disk| disk.contents()).unwrap_or_default();
    Outcome { ended, trace: exit.session, settled, files }
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
