//! Random programs do what their blocking twins do.
//!
//! proptest makes a program (`program.rs`, `strategy.rs`), scripts for the peers of its sockets (`peer.rs`) and ways of
//! running it (`case.rs`, `runner.rs`: lowerings, sizes of the ring, masked capabilities, injected faults). The program
//! is built (`lower.rs`), run on a ring, and then by a naive interpreter with plain blocking system calls
//! (`blocking.rs`) against the same scripts. `judge.rs` says what must be the same. A failing case shrinks, and is
//! printed with its program and its `explain()`.
//!
//! 300 programs run by default. All 10,000 of the long run:
//!
//! ```text
//! CHAINRING_LONG=1 cargo test -p chainring-chains --test oracle
//! ```
//!
//! `CHAINRING_SEED=n` runs the program of one seed alone, as the message of a failure says.
//!
//! # Adding a step
//!
//! One variant, and then what the compiler asks for: each row of the first table has a match without a wildcard. For what
//! is in the second table nobody asks.
//!
//! | where | what |
//! |---|---|
//! | `program.rs`, `print.rs` | the variant of [`Kind`](program::Kind), its blocks, and how it is printed |
//! | `files.rs` | if it is one on a file, the variant is one of [`FileStep`](program::FileStep); else whether it needs files |
//! | `verbs.rs` | what the injector calls it, in the list from which it takes what is to fail; or that it never fails so |
//! | `case.rs` | whether it is on a socket, and which |
//! | `arms.rs` | how it is counted if it is seldom met, in the list of which each must have been met |
//! | `facts.rs` | whether it fails, what it reads and writes |
//! | `check.rs` | what it is refused for by itself; where a chain goes on behind it, and in its blocks |
//! | `lower.rs`, `lower_coordination.rs`, `lower_numbers.rs` | the call of the builder |
//! | `blocking_sockets.rs`, `blocking_arrivals.rs`, `blocking_files.rs`, `blocking_names.rs` | the system call, behind a `strike` if it can be made to fail |
//! | `blocking.rs`, `blocking_numbers.rs`, `blocking_coordination.rs` | what else it does, or computes |
//!
//! | where | what |
//! |---|---|
//! | `strategy.rs`, `fragments.rs`, `coordinated.rs`, `branched.rs`, `arrivals.rs` | a fragment with it |
//! | `ends.rs` | what it needs to be given |
//! | `case.rs`, `coordinated.rs` | in `Case::tamed` and `is_shared`: whether something cannot be said of programs with it, or frames see each other in it |
//!
//! # Where time decides
//!
//! Of what coordinates, these programs have what comes out the same however long anything takes: deadlines that nothing
//! comes to, and such that something sleeps or waits through; branches that share nothing that shows; posts that are there
//! before they are waited for; words that are waited for until a thread wakes, that nobody wakes, or that are something else;
//! one frame at a time in a section, whoever comes first. Programs whose outcome is a matter of time run on the test clock
//! (`deadlines_random.rs`, `futexes_random.rs`), and where the kernel may be faster or slower, any of the outcomes that are
//! permitted is right (`deadlines_raced.rs`, `branches_many.rs`).

#[path = "../common/mod.rs"]
mod common;

mod arms;
mod arrivals;
mod blocking;
mod blocking_arrivals;
mod blocking_calls;
mod blocking_coordination;
mod blocking_files;
mod blocking_names;
mod blocking_numbers;
mod blocking_sockets;
mod branched;
mod case;
mod check;
mod coordinated;
mod disk;
mod ends;
mod facts;
mod files;
mod fragments;
mod judge;
mod lower;
mod lower_coordination;
mod lower_numbers;
mod native;
mod peer;
mod print;
mod program;
mod report;
mod runner;
mod shape;
mod strategy;
mod values;
mod verbs;
mod waker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use blocking::{Hints, Twin};
use case::{Case, Trouble, case, files};
use chainring_chains::Lowering;
use check::Refusal;
use common::{scaled, watchdog};
use disk::Disk;
use ends::{Settled, ends};
use judge::{TwinRun, Verdict};
use lower::Built;
use program::Kind;
use proptest::strategy::{BoxedStrategy, Strategy};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use report::{Ended, Failure, Report, Strike};
use runner::{Fault, Outcome, Variant};

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
        Err((_, Failure::Division)) => "division",
        Err((_, Failure::Ensure(_))) => "ensure",
        Err((_, Failure::Call)) => "call",
        Err((_, Failure::Deadline(_))) => "deadline",
        Err((_, Failure::NotSent)) => "not sent",
    }
}

/// The twin's run, what came of it and what is known of it.
struct Twins {
    outcome: Outcome,
    report: Report,
}

/// The twin of a frame, against peers of its own. `whole`: resets are left out.
fn twin(case: &Case, ours: &Outcome, whole: bool, shortened: bool, strike: Option<Strike>) -> Twins {
    let (ends, others) = ends(&case.program, &case.scripts);
    for socket in &ends.sockets {
        socket.set_read_timeout(Some(peer::PATIENCE)).expect("read timeout");
        socket.set_write_timeout(Some(peer::PATIENCE)).expect("write timeout");
    }
    let peers = others.start(&case.scripts, whole);
    let noted = ours.trace.iter().filter(|event| event.is_count);
    let counts = noted.map(|event| (event.step, event.values[0])).collect();
    let disk = files(&case.program).then(Disk::new);
    let hints = Hints { counts, strike, shortened, snapshots: case.resets() || case.is_loose() };
    let (ended, mut report, sockets) = Twin::run(&case.program, ends, disk.as_ref(), hints);
    let settled = peers.settle(&sockets);
    let trace = if whole { Vec::new() } else { std::mem::take(&mut report.trace) };
    let files = disk.map(|disk| disk.contents()).unwrap_or_default();
    Twins { outcome: Outcome { ended, trace, settled, files }, report }
}

impl Twins {
    /// What a frame is judged by.
    fn run<'k>(&'k self, case: &'k Case) -> TwinRun<'k> {
        let Outcome { ended, settled: Settled { left, callers, .. }, files, .. } = &self.outcome;
        TwinRun { ended, report: &self.report, left, callers, files, scripts: &case.scripts }
    }
}

fn run(case: &Case, tally: &Tally) -> Result<(), String> {
    let predicted = check::predict(&case.program);
    if let Some((step, refusals)) = predicted {
        if refusals.contains(&Refusal::MayBeShutDown) {
            tally.count("discarded");
            return Ok(());
        }
        let lowering = if case.variants[0].single { Lowering::Single } else { Lowering::Chosen };
        let Err(refused) = lower::build(&case.program, lowering) else {
            return Err(format!("it is built, but step {step} is wrong: {refusals:?}"));
        };
        let told = refused.to_string();
        let mut messages = refusals.iter().filter_map(|refusal| refusal.message());
        if refused.step() != Some(step) || !messages.any(|message| told.contains(&message)) {
            return Err(format!("refused for \"{refused}\", but step {step} is wrong: {refusals:?}"));
        }
        tally.count("refused");
        return Ok(());
    }
    tally.count("programs");
    if std::env::var_os("CHAINRING_SEED").is_some() {
        // One that hangs is not printed by anybody else.
        eprintln!("{case:?}");
    }
    let build =
        |lowering| lower::build(&case.program, lowering).map_err(|error| format!("not built: {error}"));
    let (chosen, single) = (build(Lowering::Chosen)?, build(Lowering::Single)?);
    case.variants.iter().try_for_each(|variant| {
        let built = if variant.single { &single } else { &chosen };
        run_variant(case, built, variant, tally).map_err(|difference| {
            let mut text = difference;
            write!(text, "\nin {variant}\n{}", variant.explain(built)).expect("a string takes it");
            text
        })
    })
}

fn run_variant(case: &Case, built: &Built, variant: &Variant, tally: &Tally) -> Result<(), String> {
    let Some(run) = runner::run(&case.program, built, &case.scripts, files(&case.program), variant) else {
        tally.count("not started");
        return Ok(());
    };
    if run.lost > 0 {
        return Err(format!("{} completions were strays or lost: {:?}", run.lost, run.outcomes[0].ended));
    }
    if run.resumed {
        tally.count("resumed");
    }
    for ours in &run.outcomes {
        let shortened = variant.fault.shortens_reads();
        let twin = |strike| twin(case, ours, true, shortened, strike);
        let more = if case.overlaps() { 12 } else { 0 };
        let strikes = if run.spent && !case.resets() { variant.fault.strikes(more) } else { Vec::new() };
        let struck = strikes.into_iter().any(|strike| {
            let struck = twin(Some(strike));
            struck.run(case).equal(ours, Fault::None, true).is_ok()
        });
        if struck {
            tally.count("struck");
            tally.count("frames");
            continue;
        }
        let twin = twin(None);
        let (known, report) = (&twin.outcome, &twin.report);
        tally.count("frames");
        tally.add("steps of I/O", report.visits.len());
        tally.add("handled", report.handled);
        for (arm, times) in &report.arms {
            assert!(
                Kind::ARMS.iter().chain(&arms::FUTEXES).any(|known| known == arm),
                "`{arm}` is not among the arms"
            );
            tally.add(arm, *times);
        }
        tally.count(ending(&known.ended));
        let say = |who: &str, outcome: &Outcome| {
            format!("{who} {:?}, calls {:?}, left {:?}", outcome.ended, outcome.trace, outcome.settled.left)
        };
        // What the twin has sent is what its peers got: else the twin itself is wrong.
        for (socket, sent) in report.sent.iter().enumerate() {
            if known.settled.received[socket] != *sent {
                return Err(format!("the twin has not sent on s{socket} what it says"));
            }
        }
        let verdict = if case.resets() || case.is_loose() {
            twin.run(case).judge(ours, variant.fault, run.spent)
        } else {
            let spent = run.spent && !case.overlaps();
            twin.run(case).equal(ours, variant.fault, spent).map(|()| Verdict::Equal)
        };
        let verdict = verdict.map_err(|difference| {
            let calls = &report.trace;
            format!("{difference}\n{}\n{}\nthe twin's calls {calls:?}", say("ours", ours), say("twin", known))
        })?;
        if verdict == Verdict::Struck {
            tally.count("struck");
        }
        // The twin may be struck by a reset as well, and is then judged by the same rules.
        if case.resets() {
            let struck = self::twin(case, ours, false, shortened, None).outcome;
            let known = self::twin(case, &struck, true, shortened, None);
            known.run(case).judge(&struck, Fault::None, true).map_err(|difference| {
                format!(
                    "the rules are wrong, a blocking run breaks them: {difference}\n{}",
                    say("it", &struck)
                )
            })?;
        }
    }
    Ok(())
}

/// Strategies are deep, and in a debug build their frames are large.
const STACK: usize = 32 << 20;

/// Runs as many programs as asked for, each from a seed of its own.
fn programs(trouble: Trouble, count: usize) -> Tally {
    let thread = std::thread::Builder::new().stack_size(STACK);
    let tally = thread.spawn(move || run_programs(trouble, count)).expect("a thread").join();
    tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run_programs(trouble: Trouble, count: usize) -> Tally {
    let tally = Tally::default();
    // It takes as long to make as many programs do.
    let cases = case(trouble).boxed();
    if let Ok(seed) = std::env::var("CHAINRING_SEED") {
        program(trouble, &cases, seed.parse().expect("CHAINRING_SEED is a number"), &tally);
        return tally;
    }
    for seed in 1.. {
        program(trouble, &cases, seed, &tally);
        if tally.of("programs") == count {
            break;
        }
    }
    println!("{:?}", tally.0.borrow());
    for seen in ["refused", "resumed", "ended well", "short", "bounds", "ensure", "errno", "handled"]
        .into_iter()
        .chain(Kind::ARMS)
        .chain(arms::FUTEXES.into_iter().filter(|_| runner::has_futexes()))
    {
        assert!(tally.of(seen) > 0, "not one `{seen}`: the strategies are off");
    }
    assert!(tally.of("discarded") <= 1 + count / 50, "too many programs are of no use");
    tally
}

fn program(trouble: Trouble, cases: &BoxedStrategy<Case>, seed: u64, tally: &Tally) {
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
    let result = runner.run(cases, |case| run(&case, tally).map_err(TestCaseError::fail));
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
