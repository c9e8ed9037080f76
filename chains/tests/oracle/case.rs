//! What is tried: a program, its peers and the ways of running it, all of it random.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::coordinated::is_shared;
use super::peer::{Ending, Reader, Script};
use super::program::{ACCEPTED, Count, End, Kind, OUT, Polled, Program, SHORT, SOCKETS, Step};
use super::runner::{Fault, Masked, Variant};
use super::strategy;
use super::verbs::{FILE_VERBS, SOCKET_VERBS, WAIT_VERBS};

/// A program with its peers, and the ways in which it is to be run.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) program: Program,
    pub(crate) scripts: [Script; SOCKETS],
    pub(crate) variants: Vec<Variant>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the program")?;
        write!(f, "{}", self.program)?;
        let used = |socket: usize| match socket {
            ACCEPTED => self.program.accepts() > 0,
            given => given < sockets(&self.program),
        };
        for (socket, script) in self.scripts.iter().enumerate().filter(|(socket, _)| used(*socket)) {
            writeln!(f, "the peer of s{socket}: {script}")?;
        }
        Ok(())
    }
}

/// How many of the sockets that are given a program uses.
pub(crate) fn sockets(program: &Program) -> usize {
    let mut second = |step: &Step| match &step.kind {
        Kind::Recv { socket, .. }
        | Kind::RecvExact { socket, .. }
        | Kind::Send { socket, .. }
        | Kind::SendAll { socket, .. }
        | Kind::SendOutbox { socket }
        | Kind::Fill { socket, .. }
        | Kind::Shutdown { socket }
        | Kind::Poll { what: Polled::Socket(socket), .. } => *socket == 1,
        Kind::Splice { from, to, .. } => [from, to].contains(&&End::Socket(1)),
        Kind::Poll { .. } | Kind::Accept | Kind::Consume { .. } | Kind::Nop | Kind::Sleep { .. } => false,
        Kind::File(_) | Kind::Rename { .. } | Kind::Remove { .. } | Kind::Commit { .. } => false,
        Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } => false,
        Kind::Append { .. } | Kind::AppendNumber { .. } => false,
        Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => false,
        Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Notify | Kind::Wait => false,
        Kind::Call(_) | Kind::Fetch { .. } | Kind::Ensure { .. } | Kind::Fail { .. } => false,
        Kind::When { .. } | Kind::Repeat { .. } | Kind::Attempt { .. } => false,
        Kind::Serial { .. } | Kind::Within { .. } | Kind::Fork { .. } | Kind::Pipelined { .. } => false,
        Kind::Again | Kind::Leave | Kind::Finish => false,
    };
    if program.any(&mut second) { 2 } else { 1 }
}

/// Whether a program has steps that need files.
pub(crate) fn files(program: &Program) -> bool {
    program.any(&mut |step| step.kind.needs_files())
}

impl Case {
    /// Whether a peer of the program resets its connection.
    pub(crate) fn resets(&self) -> bool {
        let used = &self.scripts[..sockets(&self.program)];
        used.iter().any(|script| matches!(script.ending, Ending::Reset(_)))
    }

    /// Whether the program ends with an echo of whatever comes: how many operations that takes is not the same on both
    /// sides.
    pub(crate) fn is_loose(&self) -> bool {
        self.program.any(&mut |step| matches!(step.kind, Kind::Recv { count: Count::Free, .. }))
    }

    /// Whether some of its steps run side by side: then an injected failure can strike more of them, and be used up by one
    /// that counts as never begun.
    pub(crate) fn overlaps(&self) -> bool {
        self.program.any(&mut |step| step.kind.overlaps())
    }

    /// Leaves out what nothing can be said of: see `judge.rs`.
    fn tamed(mut self) -> Case {
        let rest = |kind: &Kind| {
            kind.overlaps()
                || matches!(
                    kind,
                    Kind::Splice { .. } | Kind::Attempt { .. } | Kind::Accept | Kind::Poll { .. }
                )
        };
        if self.program.any(&mut |step| rest(&step.kind)) {
            for script in &mut self.scripts {
                script.ending = Ending::HalfClose;
                if script.reader == Reader::Never {
                    script.reader = Reader::Eager;
                }
            }
        }
        // The ring tells whoever waits for room, unasked, that the peer sends no more; poll(2) goes on waiting. There is room
        // at all times.
        let for_room = |kind: &Kind| matches!(kind, Kind::Poll { what: Polled::Socket(_), events: OUT, .. });
        if self.program.any(&mut |step| for_room(&step.kind)) {
            for script in &mut self.scripts {
                (script.narrow, script.reader) = (false, Reader::Eager);
            }
        }
        let slow = |kind: &Kind| {
            let waits =
                matches!(kind, Kind::Within { time: SHORT, .. } | Kind::Fetch { .. } | Kind::Commit { .. });
            waits || kind.overlaps()
        };
        if self.program.any(&mut |step| slow(&step.kind)) {
            // Loops take a turn for each byte.
            self.scripts.iter_mut().for_each(|script| script.bytes.truncate(600));
        }
        let (shared, overlaps) = (self.program.any(&mut is_shared), self.overlaps());
        let logs = self.program.any(&mut |step| matches!(step.kind, Kind::Commit { .. }));
        let loose = self.is_loose();
        let pools = self.program.any(&mut |step| step.kind.arm() == Some("pooled or owned"));
        for variant in &mut self.variants {
            // What frames see of each other depends on who comes first.
            if shared {
                variant.frames = 1;
            }
            let fails = matches!(variant.fault, Fault::Fail { .. } | Fault::Refuse { .. });
            // The log writes and syncs at times of its own.
            let of_log = logs && variant.fault.verb().is_some_and(|verb| ["write", "fsync"].contains(&verb));
            // To who fills a pooled buffer it says that there is none at the moment.
            if let (true, Fault::Fail { errno: errno @ libc::ENOBUFS, .. }) = (pools, &mut variant.fault) {
                *errno = libc::EIO;
            }
            // How much a turn's read brought no call says.
            let is_unknown = overlaps && variant.fault.shortens_reads();
            if fails && (of_log || overlaps && loose) || is_unknown {
                variant.fault = Fault::None;
            }
        }
        if self.resets() {
            for variant in &mut self.variants {
                if variant.fault.verb().is_some_and(|verb| !SOCKET_VERBS.contains(&verb)) {
                    variant.fault = Fault::None;
                }
            }
        }
        self
    }
}

/// What the peers and the injector are up to.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    /// They are slow, late and short.
    Mild,
    /// They reset, and fail operations.
    Severe,
}

fn script(trouble: Trouble) -> impl Strategy<Value = Script> {
    let byte = prop_oneof![3 => 0..12u8, 1 => any::<u8>()];
    let bytes = prop_oneof![8 => vec(byte, 0..250), 1 => vec(any::<u8>(), 5000..14_000)];
    let pause = prop_oneof![4 => Just(0u16), 1 => 10..400u16];
    let chunks = vec((prop_oneof![3 => 1..20usize, 1 => 1..8000usize], pause), 1..6);
    let reader = prop_oneof![
        5 => Just(Reader::Eager),
        1 => Just(Reader::Slow),
        1 => Just(Reader::Late),
    ];
    let resets = prop::bool::weighted(if trouble == Trouble::Severe { 0.4 } else { 0.0 });
    let never = prop::bool::weighted(0.2);
    let reset = prop_oneof![Just(0), 1..1000u16];
    (bytes, chunks, reader, prop::bool::weighted(0.3), prop::bool::weighted(0.25), (resets, reset, never))
        .prop_map(|(bytes, chunks, reader, tcp, narrow, (resets, pause, never))| {
            // A narrow TCP connection that is stuck is probed at intervals of 200 ms.
            let (tcp, narrow) = (tcp || resets, narrow && !tcp && !resets);
            let reader = if resets && never { Reader::Never } else { reader };
            let ending = if resets { Ending::Reset(pause) } else { Ending::HalfClose };
            Script { tcp, bytes, chunks, reader, narrow, ending }
        })
}

fn variant(trouble: Trouble) -> impl Strategy<Value = Variant> {
    let files = || prop_oneof![3 => select(vec!["read", "write", "fsync"]), 1 => select(FILE_VERBS.to_vec())];
    let waits = || select(WAIT_VERBS.to_vec());
    let verb = || prop_oneof![8 => Just("recv"), 8 => Just("send"), 2 => Just("shutdown"), 1 => waits(), 10 => files()];
    let errno = select(vec![libc::EIO, libc::ENOMEM, libc::ENOBUFS]);
    let fault = match trouble {
        Trouble::Mild => prop_oneof![
            2 => Just(Fault::None),
            2 => (verb(), 0..5u32, 1..6u32).prop_map(|(verb, looks, times)| Fault::Delay { verb, looks, times }),
            1 => (1..40u32).prop_map(Fault::Full),
            4 => (select(vec!["recv", "send", "read", "write"]), 1..9u32, 1..20u32)
                .prop_map(|(verb, len, times)| Fault::Shorten { verb, len, times }),
        ]
        .boxed(),
        Trouble::Severe => prop_oneof![
            3 => Just(Fault::None),
            4 => (verb(), errno, 0..5u32).prop_map(|(verb, errno, skip)| Fault::Fail { verb, errno, skip }),
            2 => verb().prop_map(|verb| Fault::Refuse { verb }),
        ]
        .boxed(),
    };
    let ring = select(vec![None, Some(1), Some(2), Some(8)]);
    let masked = select(vec![Masked::Nothing, Masked::SkipSuccess, Masked::Everything]);
    let frames = prop_oneof![4 => Just(1), 1 => 2..4u32];
    (ring, masked, any::<bool>(), fault, frames).prop_map(|(ring, masked, single, fault, frames)| {
        let single = single || matches!(fault, Fault::Shorten { .. });
        // Which frame a failure strikes is anybody's guess.
        let frames = if matches!(fault, Fault::Fail { .. } | Fault::Refuse { .. }) { 1 } else { frames };
        Variant { ring, masked, single, fault, frames }
    })
}

pub(crate) fn case(trouble: Trouble) -> impl Strategy<Value = Case> {
    // Whoever is accepted comes over TCP.
    let accepted = script(Trouble::Mild).prop_map(|script| Script { tcp: true, narrow: false, ..script });
    let scripts = (script(trouble), script(trouble), accepted);
    (strategy::program(), scripts, vec(variant(trouble), 2)).prop_map(
        |(program, (first, second, third), mut variants)| {
            for single in [true, false] {
                let (ring, masked, fault) = (None, Masked::Nothing, Fault::None);
                variants.insert(0, Variant { ring, masked, single, fault, frames: 1 });
            }
            Case { program, scripts: [first, second, third], variants }.tamed()
        },
    )
}
