//! Random programs of sleeps, blocks with deadlines, loops and handlers, beside an interpreter that knows nothing of alarms:
//! it has a clock, and a stack of deadlines to look at before every step.
//!
//! `CHAINRING_LONG=1` runs 20,000.

mod common;

use std::ops::ControlFlow;
use std::time::Duration;

use chainring_chains::{Chain, ErrorKind, Flow, Reg};
use chainring_runtime::{Builder, time};
use common::{scaled, watchdog};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
enum Step {
    /// As many milliseconds.
    Sleep(u64),
    Mark,
    Within(u64, Vec<Step>),
    Attempt(Vec<Step>, Vec<Step>),
    Repeat(u64, Vec<Step>),
    /// In this turn of the innermost loop.
    At(u64, Way),
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Leave,
    Again,
    Finish,
    Fail,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let way = prop_oneof![Just(Way::Leave), Just(Way::Again), Just(Way::Finish), Just(Way::Fail)];
    let leaf = prop_oneof![
        4 => (0u64..6).prop_map(Step::Sleep),
        2 => Just(Step::Mark),
        2 => (0u64..4, way).prop_map(|(turn, way)| Step::At(turn, way)),
    ];
    let step = leaf.prop_recursive(5, 40, 4, |step| {
        let block = || prop::collection::vec(step.clone(), 0..4);
        prop_oneof![
            4 => (0u64..12, block()).prop_map(|(time, block)| Step::Within(time, block)),
            2 => (block(), block()).prop_map(|(body, handler)| Step::Attempt(body, handler)),
            2 => (1u64..4, block()).prop_map(|(turns, block)| Step::Repeat(turns, block)),
        ]
    });
    prop::collection::vec(step, 1..5)
}

/// What is seen of a run: when its marks were passed, how it ended, and when.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    marks: Vec<(u64, u64)>,
    end: &'static str,
    at: u64,
}

// ---- the chain ----

struct Lowering {
    start: std::time::Instant,
    marks: u64,
    turn: Option<Reg>,
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis() as u64
}

impl Lowering {
    fn block(&mut self, c: &mut Chain<Seen>, steps: &[Step]) {
        steps.iter().for_each(|step| self.step(c, step));
    }

    fn step(&mut self, c: &mut Chain<Seen>, step: &Step) {
        match step {
            Step::Sleep(time) => c.sleep(*time as u32 * MS),
            Step::Mark => {
                let (mark, start) = (self.marks, self.start);
                self.marks += 1;
                c.call((), move |seen, ()| {
                    seen.marks.push((mark, milliseconds(time::now() - start)));
                    Flow::Next
                });
            }
            Step::Within(time, body) => c.within(*time as u32 * MS, |c| self.block(c, body)),
            Step::Attempt(body, handler) => {
                let errno = c.reg();
                let this = std::cell::RefCell::new(self);
                c.attempt(|c| this.borrow_mut().block(c, body))
                    .on_error(errno, |c| this.borrow_mut().block(c, handler));
            }
            Step::Repeat(turns, body) => {
                let turn = c.reg();
                let outer = self.turn.replace(turn);
                c.set(turn, 0);
                c.repeat(|c| {
                    c.when(turn.eq(*turns), |c| c.leave());
                    c.set(turn, turn + 1);
                    self.block(c, body);
                });
                self.turn = outer;
            }
            Step::At(at, way) => {
                let Some(turn) = self.turn else { return };
                match way {
                    Way::Leave => drop(c.when(turn.eq(*at), |c| c.leave())),
                    Way::Again => drop(c.when(turn.eq(*at), |c| c.again())),
                    Way::Finish => drop(c.when(turn.eq(*at), |c| c.finish())),
                    Way::Fail => c.ensure(turn.ne(*at), libc::EPROTO),
                }
            }
        }
    }
}

fn run(steps: &[Step]) -> Result<(Seen, String), TestCaseError> {
    let runtime = Builder::new().hold_clock(true).build().expect("a ring");
    runtime.block_on(async {
        let mut c = Chain::new("random");
        let start = time::now();
        c.sleep(0);
        Lowering { start, marks: 0, turn: None }.block(&mut c, steps);
        let program = match c.build() {
            Ok(program) => program,
            Err(error) => return Err(TestCaseError::reject(error.to_string())),
        };
        let spawner = program.start(1).expect("it starts");
        let mut handle = spawner.spawn(Seen::default(), |_| {}).expect("there is room");
        let (exit, at) = loop {
            if let std::task::Poll::Ready(exit) = futures::poll!(&mut handle) {
                break (exit, milliseconds(time::now() - start));
            }
            time::advance(Duration::ZERO).await;
            if !handle.is_finished() {
                time::advance(MS).await;
            }
        };
        assert_eq!(runtime.metrics().timers, 0, "an alarm has outlived its frame");
        let end = match exit.result.as_ref().map_err(|error| error.kind()) {
            Ok(()) => "finished",
            Err(ErrorKind::Deadline) => "deadline",
            Err(ErrorKind::Ensure(_)) => "failed",
            Err(other) => panic!("{other:?}"),
        };
        Ok((Seen { end, at, ..exit.session }, program.explain().to_string()))
    })
}

// ---- the interpreter ----

/// Why a block does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Loop,
    Turn,
    Chain,
    Failed,
    /// The deadline with this number, counted from the outermost, has struck.
    Late(usize),
}

type Went = ControlFlow<Left>;

#[derive(Default)]
struct Interpreter {
    now: u64,
    seen: Vec<(u64, u64)>,
    deadlines: Vec<u64>,
    turn: Option<u64>,
    marks: u64,
}

impl Interpreter {
    /// A step is about to be done.
    fn look(&self) -> Went {
        match self.deadlines.iter().position(|deadline| *deadline <= self.now) {
            Some(outermost) => Went::Break(Left::Late(outermost)),
            None => Went::Continue(()),
        }
    }

    fn block(&mut self, steps: &[Step]) -> Went {
        // Marks have the numbers in which they are written.
        for (i, step) in steps.iter().enumerate() {
            let went = self.step(step);
            if went.is_break() {
                self.marks += steps[i + 1..].iter().map(marks).sum::<u64>();
                return went;
            }
        }
        Went::Continue(())
    }

    fn step(&mut self, step: &Step) -> Went {
        match step {
            Step::At(..) if self.turn.is_none() => Went::Continue(()),
            Step::Attempt(body, handler) => {
                let first = self.marks;
                let depth = self.deadlines.len();
                let went = self.block(body);
                self.marks = first + body.iter().map(marks).sum::<u64>();
                let handled = match went {
                    Went::Break(Left::Failed) => true,
                    // Of a block inside of the attempt.
                    Went::Break(Left::Late(deadline)) => deadline >= depth,
                    _ => false,
                };
                let went = if handled { self.block(handler) } else { went };
                self.marks = first + marks(step);
                went
            }
            _ => {
                let first = self.marks;
                let went = match self.look() {
                    Went::Continue(()) => self.do_step(step),
                    late => late,
                };
                self.marks = first + marks(step);
                went
            }
        }
    }

    fn do_step(&mut self, step: &Step) -> Went {
        match step {
            Step::Sleep(time) => {
                let end = self.now + time;
                let first = self.deadlines.iter().copied().min().unwrap_or(u64::MAX);
                self.now = end.min(first);
                if first < end { self.look() } else { Went::Continue(()) }
            }
            Step::Mark => {
                self.seen.push((self.marks, self.now));
                Went::Continue(())
            }
            Step::Within(time, body) => {
                self.deadlines.push(self.now + time);
                let went = self.block(body);
                self.deadlines.pop();
                went
            }
            Step::Repeat(turns, body) => {
                let (outer, first) = (self.turn.replace(0), self.marks);
                let mut turn = 0;
                let went = loop {
                    // The comparison, and then the counting.
                    if let late @ Went::Break(_) = self.look() {
                        break late;
                    }
                    if turn == *turns {
                        break Went::Continue(());
                    }
                    turn += 1;
                    self.turn = Some(turn);
                    self.marks = first;
                    match self.block(body) {
                        Went::Break(Left::Loop) => break Went::Continue(()),
                        Went::Break(Left::Turn) | Went::Continue(()) => {}
                        went => break went,
                    }
                };
                self.turn = outer;
                went
            }
            Step::At(turn, way) if self.turn == Some(*turn) => Went::Break(match way {
                Way::Leave => Left::Loop,
                Way::Again => Left::Turn,
                Way::Finish => Left::Chain,
                Way::Fail => Left::Failed,
            }),
            Step::At(..) => Went::Continue(()),
            Step::Attempt(..) => unreachable!("is no step itself"),
        }
    }
}

/// How many marks a step has.
fn marks(step: &Step) -> u64 {
    match step {
        Step::Mark => 1,
        Step::Within(_, body) | Step::Repeat(_, body) => body.iter().map(marks).sum(),
        Step::Attempt(body, handler) => body.iter().chain(handler).map(marks).sum(),
        Step::Sleep(_) | Step::At(..) => 0,
    }
}

fn interpret(steps: &[Step]) -> Seen {
    let mut interpreter = Interpreter::default();
    let end = match interpreter.block(steps) {
        Went::Continue(()) | Went::Break(Left::Chain) => "finished",
        Went::Break(Left::Failed) => "failed",
        Went::Break(Left::Late(_)) => "deadline",
        Went::Break(left) => unreachable!("{left:?} outside of a loop"),
    };
    Seen { marks: interpreter.seen, end, at: interpreter.now }
}

#[test]
fn random_blocks_are_left_when_and_where_their_deadlines_say() {
    let _watchdog = watchdog(Duration::from_secs(600));
    let cases = scaled(500, 20_000) as u32;
    let config =
        Config { cases, failure_persistence: None, max_global_rejects: 100 * cases, ..Config::default() };
    let late = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(&steps(), |steps| {
        let expected = interpret(&steps);
        let (seen, explain) = run(&steps)?;
        late.set(late.get() + u32::from(seen.end == "deadline"));
        prop_assert_eq!(&seen, &expected, "{}", explain);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(
        late.get() > cases / 20,
        "{} of {cases} programs end with a deadline: hardly anything was tested",
        late.get()
    );
}
