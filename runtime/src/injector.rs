//! Faults on demand (feature `injector`): what the kernel does once in a million times, done now.
//!
//! For tests of this crate and of programs that use it. Rules are set on a core's [`Injector`] and used up one by
//! one by what is submitted from then on. Without the feature there is no trace of it in the code that runs.
//!
//! A failure is injected where the operation goes in, not where its result comes out: the kernel gets an entry that
//! fails (and severs its links) instead, so nothing of the operation has happened, and no descriptor or buffer
//! comes into being that nobody knows of.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use chainring_runtime::{Handle, Runtime, op::nop::nop};
//!
//! let runtime = Runtime::new()?;
//! runtime.block_on(async {
//!     Handle::current().injector().fail("nop", libc::EIO, 1);
//!     assert_eq!(nop().await.unwrap_err().raw_os_error(), Some(libc::EIO));
//!     nop().await
//! })
//! # }
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

use io_uring::opcode;

use crate::driver::key::{Key, Kind};
use crate::exec::Handle;
use crate::op;
use crate::ring::Cqe;
use crate::ring::sqe::{BUFFER_SELECT, FIXED_FILE, IO_LINK, Sqe};

/// The faults of one core.
#[derive(Debug, Default)]
pub struct Injector {
    rules: RefCell<Vec<Rule>>,
    enters: RefCell<VecDeque<i32>>,
    full: Cell<u32>,
    links: Cell<u32>,
    /// What becomes of completions to come, by `user_data`.
    marked: RefCell<HashMap<u64, Fault>>,
    /// Completions that are held back, with the looks at the ring that they still wait for.
    held: RefCell<VecDeque<(u32, Cqe)>>,
    /// The entries of operations as they go in, if they are to be kept.
    record: RefCell<Option<Vec<[u64; 8]>>>,
}

#[derive(Debug)]
struct Rule {
    opcode: u8,
    fault: Fault,
    times: u32,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Fail(i32),
    Refuse,
    Shorten(u32),
    Delay(u32),
}

impl Handle {
    /// The faults of this core.
    pub fn injector(&self) -> &Injector {
        &self.driver().ring.injector
    }
}

impl Injector {
    /// The next `times` operations called `name` ([`Facts::name`](op::Facts::name)) fail with `errno`, and nothing
    /// of them happens.
    ///
    /// # Panics
    /// If there is no such operation; so do all that take a name.
    pub fn fail(&self, name: &str, errno: i32, times: u32) {
        self.rule(name, Fault::Fail(errno), times);
    }

    /// The next `times` operations called `name` cannot even be prepared: the kernel refuses the entry with EINVAL
    /// as it goes in, and with it the list that it stands in, before any of its members has run.
    pub fn refuse(&self, name: &str, times: u32) {
        self.rule(name, Fault::Refuse, times);
    }

    /// The next `times` operations called `name` move at most `len` bytes. For opcodes that are given one buffer.
    pub fn shorten(&self, name: &str, len: u32, times: u32) {
        self.rule(name, Fault::Shorten(len), times);
    }

    /// The completions of the next `times` operations called `name` are held back, after they have arrived, for
    /// `looks` more looks at the ring.
    pub fn delay(&self, name: &str, looks: u32, times: u32) {
        self.rule(name, Fault::Delay(looks), times);
    }

    /// The next `times` calls of io_uring_enter(2) fail with `errno`, and nothing is submitted by them.
    pub fn fail_enter(&self, errno: i32, times: u32) {
        self.enters.borrow_mut().extend((0..times).map(|_| errno));
    }

    /// The next `times` attempts to put something into the submission queue find it full.
    pub fn fill_queue(&self, times: u32) {
        self.full.set(times);
    }

    /// Each of the next `times` operations is linked to the one submitted after it (`IOSQE_IO_LINK`).
    pub fn link(&self, times: u32) {
        self.links.set(times);
    }

    /// Keeps the entries of operations that go in from now on, as they are before any fault.
    pub fn record(&self) {
        *self.record.borrow_mut() = Some(Vec::new());
    }

    /// The entries that were kept since [`record`](Injector::record), as the words of `struct io_uring_sqe`; no more
    /// are kept. They name memory that may be gone.
    pub fn recorded(&self) -> Vec<[u64; 8]> {
        self.record.borrow_mut().take().unwrap_or_default()
    }

    /// Forgets all rules. What is held back already comes in its time.
    pub fn clear(&self) {
        self.rules.borrow_mut().clear();
        self.enters.borrow_mut().clear();
        self.full.set(0);
        self.links.set(0);
    }

    /// How many completions are held back now.
    pub fn held(&self) -> usize {
        self.held.borrow().len()
    }

    /// Whether all rules have been used up and nothing is held back.
    pub fn is_spent(&self) -> bool {
        self.rules.borrow().is_empty()
            && self.enters.borrow().is_empty()
            && self.held.borrow().is_empty()
            && (self.full.get(), self.links.get()) == (0, 0)
    }

    /// Whether what comes in and goes out is none of its business at the moment.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_spent() && self.marked.borrow().is_empty()
    }

    fn rule(&self, name: &str, fault: Fault, times: u32) {
        let facts = op::ALL.iter().find(|facts| facts.name == name);
        let opcode = facts.unwrap_or_else(|| panic!("no operation is called {name:?}")).opcode;
        if times > 0 {
            self.rules.borrow_mut().push(Rule { opcode, fault, times });
        }
    }

    /// The oldest rule for an opcode, used once.
    fn take(&self, opcode: u8) -> Option<Fault> {
        let mut rules = self.rules.borrow_mut();
        let at = rules.iter().position(|rule| rule.opcode == opcode)?;
        let fault = rules[at].fault;
        rules[at].times -= 1;
        if rules[at].times == 0 {
            rules.remove(at);
        }
        Some(fault)
    }

    /// An entry is about to be submitted.
    pub(crate) fn submitting(&self, sqe: &mut Sqe) {
        if !matches!(Key::split(sqe.user_data).0.kind(), Kind::Slot | Kind::Frame | Kind::List) {
            return;
        }
        if let Some(entries) = self.record.borrow_mut().as_mut() {
            entries.push(sqe.words());
        }
        // A number that was used before says nothing about this use.
        self.marked.borrow_mut().remove(&sqe.user_data);
        if self.links.get() > 0 {
            self.links.set(self.links.get() - 1);
            sqe.flags |= IO_LINK;
        }
        let Some(fault) = self.take(sqe.opcode) else { return };
        match fault {
            Fault::Fail(_) => {
                let flags = sqe.flags & !(FIXED_FILE | BUFFER_SELECT);
                *sqe = Sqe { flags, user_data: sqe.user_data, ..Sqe::new(opcode::Read::CODE) };
            }
            Fault::Refuse => sqe.opcode = u8::MAX,
            Fault::Shorten(len) => sqe.len = sqe.len.min(len),
            Fault::Delay(_) => {}
        }
        self.marked.borrow_mut().insert(sqe.user_data, fault);
    }

    /// A completion has arrived: it may be altered, or held back.
    pub(crate) fn completing(&self, mut cqe: Cqe) -> Option<Cqe> {
        let fault = self.marked.borrow().get(&cqe.user_data).copied();
        match fault {
            // Cancelled before it was started, it never got to fail.
            Some(Fault::Fail(errno)) if cqe.res == -libc::EBADF => cqe.res = -errno,
            Some(Fault::Delay(looks)) => {
                self.held.borrow_mut().push_back((looks, cqe));
                return None;
            }
            _ => {}
        }
        Some(cqe)
    }

    /// The ring is looked at: completions whose time has come, in the order of their arrival.
    pub(crate) fn due(&self) -> Vec<Cqe> {
        let mut due = Vec::new();
        self.held.borrow_mut().retain_mut(|(looks, cqe)| {
            if *looks == 0 {
                due.push(*cqe);
                return false;
            }
            *looks -= 1;
            true
        });
        due
    }

    /// Whether completions are held back, so that the core must not sleep.
    pub(crate) fn holds(&self) -> bool {
        !self.held.borrow().is_empty()
    }

    /// The error that the next enter fails with.
    pub(crate) fn enter_error(&self) -> Option<i32> {
        self.enters.borrow_mut().pop_front()
    }

    /// Whether the queue is said to be full.
    pub(crate) fn is_full(&self) -> bool {
        let left = self.full.get();
        self.full.set(left.saturating_sub(1));
        left > 0
    }
}
