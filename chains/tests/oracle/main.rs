//! Random programs do what their blocking twins do.
//!
//! proptest makes a program (`program.rs`, `strategy.rs`), scripts for the peers of its sockets (`peer.rs`) and ways of
//! running it (`runner.rs`: lowerings, sizes of the ring, masked capabilities, injected faults). The program is built
//! (`lower.rs`), run on a ring, and then by a naive interpreter with plain blocking system calls (`blocking.rs`) against
//! the same scripts. `judge.rs` says what must be the same. A failing case shrinks, and is printed with its program and its
//! `explain()`.
//!
//! 300 programs run by default. All 10,000 of the long run:
//!
//! ```text
//! CHAINRING_LONG=1 cargo test --release -p chainring-chains --test oracle
//! ```
//!
//! `CHAINRING_SEED=n` runs the program of one seed alone, as the message of a failure says.
//!
//! # Adding a step
//!
//! One variant and five arms, which the compiler asks for, but for the last:
//!
//! | where | what |
//! |---|---|
//! | `program.rs` | the variant of [`Kind`](program::Kind), and how it is printed |
//! | `check.rs` | what it reads and writes |
//! | `lower.rs` | the call of the builder |
//! | `blocking.rs` | the system call, and its verb if it can fail |
//! | `strategy.rs` | a fragment with it |

#[path = "../common/mod.rs"]
mod common;

mod blocking;
mod check;
mod judge;
mod lower;
mod native;
mod peer;
mod program;
mod runner;
mod strategy;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use blocking::{Ended, Failure, Report, Twin};
use check::Fault as Refusal;
use common::{scaled, watchdog};
use judge::{Known, Verdict};
use lower::Built;
use peer::{Ending, Peer, Reader, Script, connect};
use program::{Kind, Program, SOCKETS};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use runner::{Fault, Masked, Outcome, Variant};
use socket2::Socket;

/// A program with its peers, and the ways in which it is to be run.
#[derive(Clone)]
struct Case {
    program: Program,
    scripts: [Script; SOCKETS],
    variants: Vec<Variant>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "the program")?;
        write!(f, "{}", self.program)?;
        for (socket, script) in self.scripts.iter().enumerate().take(sockets(&self.program)) {
            writeln!(f, "the peer of s{socket}: {script}")?;
        }
        Ok(())
    }
}

/// How many sockets a program uses.
fn sockets(program: &Program) -> usize {
    let mut second = |step: &program::Step| match &step.kind {
        Kind::Recv { socket, .. }
        | Kind::RecvExact { socket, .. }
        | Kind::SendAll { socket, .. }
        | Kind::Shutdown { socket } => *socket > 0,
        _ => false,
    };
    if program.any(&mut second) { 2 } else { 1 }
}

/// What the peers and the injector are up to.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
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
    let verb = || prop_oneof![4 => Just("recv"), 4 => Just("send"), 1 => Just("shutdown")];
    let errno = select(vec![libc::EIO, libc::ENOMEM, libc::ENOBUFS]);
    let fault = match trouble {
        Trouble::Mild => prop_oneof![
            2 => Just(Fault::None),
            2 => (verb(), 0..5u32, 1..6u32).prop_map(|(verb, looks, times)| Fault::Delay { verb, looks, times }),
            1 => (1..40u32).prop_map(Fault::Full),
            4 => (select(vec!["recv", "send"]), 1..9u32, 1..20u32)
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

fn case(trouble: Trouble) -> impl Strategy<Value = Case> {
    let scripts = (script(trouble), script(trouble));
    (strategy::program(), scripts, vec(variant(trouble), 2)).prop_map(
        |(program, (first, second), mut variants)| {
            for single in [true, false] {
                let (ring, masked, fault) = (None, Masked::Nothing, Fault::None);
                variants.insert(0, Variant { ring, masked, single, fault, frames: 1 });
            }
            Case { program, scripts: [first, second], variants }
        },
    )
}

/// What has been seen so far, by name.
#[derive(Default)]
struct Tally(RefCell<BTreeMap<&'static str, usize>>);

impl Tally {
    fn count(&self, what: &'static str) {
        self.add(what, 1);
    }

    fn add(&self, what: &'static str, count: usize) {
        *self.0.borrow_mut().entry(what).or_default() += count;
    }

    fn of(&self, what: &str) -> usize {
        self.0.borrow().get(what).copied().unwrap_or(0)
    }
}

fn ending(ended: &Ended) -> &'static str {
    match ended {
        Ok(()) => "ended well",
        Err((_, Failure::Errno(_))) => "errno",
        Err((_, Failure::Short { .. })) => "short",
        Err((_, Failure::Bounds { .. })) => "bounds",
        Err((_, Failure::Ensure(_))) => "ensure",
        Err((_, Failure::Call)) => "call",
        Err((_, Failure::NotSent)) => "not sent",
    }
}

/// The twin, against peers of its own. `whole`: resets are left out.
fn twin(case: &Case, counts: &Outcome, whole: bool) -> (Outcome, Report) {
    let pairs = case.scripts[..sockets(&case.program)].iter().map(connect);
    let (ours, theirs): (Vec<Socket>, Vec<Socket>) = pairs.unzip();
    for socket in &ours {
        socket.set_read_timeout(Some(peer::PATIENCE)).expect("read timeout");
        socket.set_write_timeout(Some(peer::PATIENCE)).expect("write timeout");
    }
    let start = |(script, socket)| Peer::start(script, socket, whole);
    let peers = case.scripts.iter().zip(theirs).map(start).collect();
    let counts = counts.trace.iter().filter(|event| event.is_count).map(|event| event.values[0] as usize);
    let (ended, mut report) = Twin::run(&case.program, &ours, counts.collect());
    let (received, left) = runner::settle(&ours, peers);
    let trace = if whole { Vec::new() } else { std::mem::take(&mut report.trace) };
    (Outcome { ended, trace, received, left }, report)
}

fn run(case: &Case, tally: &Tally) -> Result<(), String> {
    let predicted = check::predict(&case.program);
    if let Some((_, Refusal::MayBeShutDown)) = predicted {
        tally.count("discarded");
        return Ok(());
    }
    if let Some((step, refusal)) = predicted {
        let Err(refused) = lower::build(&case.program, case.variants[0].lowering()) else {
            return Err(format!("it is built, but step {step} is wrong: {refusal:?}"));
        };
        let message = refusal.message().expect("looked at above");
        if refused.step() != Some(step) || !refused.to_string().contains(&message) {
            return Err(format!("refused for \"{refused}\", but step {step} is wrong: {message}"));
        }
        tally.count("refused");
        return Ok(());
    }
    tally.count("programs");
    case.variants.iter().try_for_each(|variant| {
        let built =
            lower::build(&case.program, variant.lowering()).map_err(|error| format!("not built: {error}"))?;
        run_variant(case, &built, variant, tally).map_err(|difference| {
            let mut text = difference;
            write!(text, "\nin {variant}\n{}", variant.explain(&built)).expect("a string takes it");
            text
        })
    })
}

fn run_variant(case: &Case, built: &Built, variant: &Variant, tally: &Tally) -> Result<(), String> {
    let run = runner::run(&case.program, built, &case.scripts, sockets(&case.program), variant);
    if run.lost > 0 {
        return Err(format!("{} completions were strays or lost: {:?}", run.lost, run.outcomes[0].ended));
    }
    if run.resumed {
        tally.count("resumed");
    }
    for ours in &run.outcomes {
        let (known, report) = twin(case, ours, true);
        tally.count("frames");
        tally.add("steps of I/O", report.visits.len());
        tally.count(ending(&known.ended));
        let say = |who: &str, outcome: &Outcome| {
            format!("{who} {:?}, calls {:?}, left {:?}", outcome.ended, outcome.trace, outcome.left)
        };
        // What the twin has sent is what its peers got: else the twin itself is wrong.
        for (socket, sent) in report.sent.iter().enumerate() {
            if known.received[socket] != *sent {
                return Err(format!("the twin has not sent on s{socket} what it says"));
            }
        }
        let judge = Known { ended: &known.ended, report: &report, left: &known.left, scripts: &case.scripts };
        let verdict = judge.judge(ours, variant.fault, run.spent).map_err(|difference| {
            let calls = &report.trace;
            format!(
                "{difference}\n{}\n{}\nthe twin's calls {calls:?}",
                say("ours", ours),
                say("twin", &known)
            )
        })?;
        if verdict == Verdict::Struck {
            tally.count("struck");
        }
        // The twin may be struck by a reset as well, and is then judged by the same rules.
        if case.scripts.iter().any(|script| matches!(script.ending, Ending::Reset(_))) {
            let (struck, _) = twin(case, ours, false);
            let (known, report) = twin(case, &struck, true);
            let judge =
                Known { ended: &known.ended, report: &report, left: &known.left, scripts: &case.scripts };
            judge.judge(&struck, Fault::None, true).map_err(|difference| {
                format!(
                    "the rules are wrong, a blocking run breaks them: {difference}\n{}",
                    say("it", &struck)
                )
            })?;
        }
    }
    Ok(())
}

/// Runs as many programs as asked for, each from a seed of its own.
fn programs(trouble: Trouble, count: usize) -> Tally {
    let tally = Tally::default();
    if let Ok(seed) = std::env::var("CHAINRING_SEED") {
        program(trouble, seed.parse().expect("CHAINRING_SEED is a number"), &tally);
        return tally;
    }
    for seed in 1.. {
        program(trouble, seed, &tally);
        if tally.of("programs") == count {
            break;
        }
    }
    println!("{:?}", tally.0.borrow());
    for seen in ["refused", "resumed", "ended well", "short", "bounds", "ensure", "call"] {
        assert!(tally.of(seen) > 0, "not one `{seen}`: the strategies are off");
    }
    assert!(tally.of("discarded") <= 1 + count / 50, "too many programs are of no use");
    tally
}

fn program(trouble: Trouble, seed: u64, tally: &Tally) {
    let mut bytes = [trouble as u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: 2000,
        max_shrink_time: 30_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&case(trouble), |case| run(&case, tally).map_err(TestCaseError::fail));
    if let Err(failed) = result {
        panic!("CHAINRING_SEED={seed}: {failed}");
    }
}

#[test]
fn frames_do_what_their_twins_do() {
    let _watchdog = watchdog(Duration::from_secs(3600));
    programs(Trouble::Mild, scaled(150, 5000));
}

#[test]
fn frames_fail_where_their_twins_could_when_peers_reset_and_operations_fail() {
    let _watchdog = watchdog(Duration::from_secs(3600));
    let tally = programs(Trouble::Severe, scaled(150, 5000));
    // None, where one seed is run alone.
    assert!(tally.of("programs") <= 1 || tally.of("struck") > 0, "nothing was struck");
}
