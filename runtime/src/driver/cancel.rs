//! Cancel requests, repeated until their targets have completed.
//!
//! A request can miss. Between the end of one linked member and the start of the next the kernel finds
//! nothing (ENOENT), and work that a worker thread already runs can only be nudged (EALREADY). So a request
//! is not an operation with a result: it is a wish that stands until the target is gone, asked again each
//! turn at first and then at growing intervals, so that a disk that takes its time is not polled at full
//! speed.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::Driver;
use super::key::{Key, Kind};
use crate::op::cancel;

struct Request {
    target: Key,
    /// How often it was asked.
    asked: u32,
    /// Not to be asked again before.
    due: Option<Instant>,
}

/// The standing requests of a ring.
#[derive(Default)]
pub(super) struct Cancels {
    standing: RefCell<Vec<Request>>,
    /// Whether there is any: looked at every turn.
    any: Cell<bool>,
}

/// Asked this often without delay, since nearly every miss is a race that the next turn wins.
const AT_ONCE: u32 = 3;
/// Asked this often, about a third of a second, before the end of the runtime resets a connection.
const PATIENCE: u32 = 40;
const FIRST_DELAY: Duration = Duration::from_micros(50);
const LONGEST_DELAY: Duration = Duration::from_millis(10);
/// Asked in one turn. Each request may bring two completions, its own and its target's: of thousands at once
/// most would not fit into the queue, and before they are seen everything would be asked again.
const A_TURN: u32 = 512;

impl Cancels {
    pub(super) fn add(&self, target: Key) {
        self.standing.borrow_mut().push(Request { target, asked: 0, due: None });
        self.any.set(true);
    }

    /// Whether any stands.
    #[inline]
    pub(super) fn are_standing(&self) -> bool {
        self.any.get()
    }
}

impl Driver {
    /// Asks the kernel for every cancellation that is due. Returns how long the next one may wait.
    #[inline]
    pub(crate) fn ask_cancels(&self) -> Option<Duration> {
        if self.cancels.are_standing() { self.ask_standing() } else { None }
    }

    #[cold]
    fn ask_standing(&self) -> Option<Duration> {
        // Taken out, because asking looks at frames and slots; what is added meanwhile is appended.
        let mut standing = self.cancels.standing.take();
        let now = Instant::now();
        let mut next: Option<Duration> = None;
        let mut left = A_TURN;
        standing.retain_mut(|request| {
            if !self.is_wanted(request.target) {
                return false;
            }
            if request.target.kind() == Kind::Slot && self.slots.is_notifying(request.target) {
                // There is nothing left to cancel. Memory that a peer does not take is kept for it, but not
                // beyond the runtime's end.
                if !self.is_closing() {
                    return false;
                }
                if request.asked > PATIENCE {
                    self.slots.abort(request.target);
                }
            }
            let due = request.due.is_none_or(|due| due <= now);
            if due && left > 0 && self.ask(request.target) {
                left -= 1;
                request.asked += 1;
                let delay = if request.asked < AT_ONCE {
                    Duration::ZERO
                } else {
                    LONGEST_DELAY.min(FIRST_DELAY * 2u32.saturating_pow((request.asked - AT_ONCE).min(16)))
                };
                request.due = Some(now + delay);
            }
            let wait = request.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
            next = Some(next.map_or(wait, |n| n.min(wait)));
            true
        });
        let mut added = self.cancels.standing.borrow_mut();
        standing.append(&mut added);
        self.cancels.any.set(!standing.is_empty());
        *added = standing;
        next
    }

    /// Whether there is still something to be cancelled.
    fn is_wanted(&self, target: Key) -> bool {
        match target.kind() {
            Kind::Frame => self.owner(target).is_some_and(|owner| owner.is_cancelled(target)),
            Kind::List => self.lists.in_flight(target),
            _ => self.slots.in_flight(target),
        }
    }

    /// Queues the request for one target; false if there was no room.
    fn ask(&self, target: Key) -> bool {
        match target.kind() {
            Kind::Frame => self.owner(target).is_none_or(|owner| owner.ask_cancel(target)),
            Kind::List => self.ask_list(target),
            // One that waits in the backlog has not been submitted: the kernel finds nothing, and it is
            // asked again once it is.
            _ => self.push(cancel::by_user_data(target.with_step(0))),
        }
    }
}
