//! The owners of frames: who is told of a completion that is not a slot's.

use std::cell::{RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::rc::Rc;

use slab::Slab;

use super::Driver;
use super::key::{Key, Kind, MAX_OWNERS};
use crate::frame::Region;
use crate::op::Completion;

/// Whoever owns frames: told of their completions. Implemented by the frames' region together with the runner of
/// its program.
///
/// No method may panic; each may do whatever else it likes, with nothing of the driver borrowed.
pub(crate) trait Owner {
    /// Member `step` of the frame `key` has completed. The key is not yet checked.
    fn completed(&self, key: Key, step: u32, completion: Completion);

    /// The turn of a frame that was put into the ready queue has come.
    fn ready(&self, key: Key);

    /// Whether the frame has something in flight that is to be cancelled. What it has submitted since is not.
    fn is_cancelled(&self, key: Key) -> bool;

    /// A deadline of the frame has passed.
    fn interrupt(&self, key: Key);

    /// Queues the requests that cancel what the frame has in flight; false if there was no room.
    fn ask_cancel(&self, key: Key) -> bool;

    /// The runtime ends: cancel every frame.
    fn shut_down(&self);

    /// Whether nothing of any frame is in flight, and none waits for its turn.
    fn is_idle(&self) -> bool;

    /// The region that handles successes by itself, if there is one. It lives as long as the owner.
    fn region(&self) -> Option<&Region>;

    /// Does what the region could not do by itself for the frame that it has left, and handles what follows of its
    /// completions before `until`.
    fn take_over(&self, until: u32);

    /// The last generation that any of its frames has had.
    fn last_generation(&self) -> u32;
}

/// The table of a ring's owners.
#[derive(Default)]
pub(super) struct Owners {
    table: RefCell<Slab<Rc<dyn Owner>>>,
    /// The regions of the owners, by the same number.
    regions: UnsafeCell<Vec<Option<NonNull<Region>>>>,
    /// The last generation that frames of a number had, whose owner is gone: the next owner's go on from there.
    generations: RefCell<Vec<u32>>,
    /// Frames that go on in a later turn: out of fuel, or refused by a full queue.
    ready: RefCell<VecDeque<Key>>,
}

impl Owners {
    /// Whether a frame waits for its turn.
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Whether nothing of any frame is in flight, and none waits for its turn.
    pub(super) fn are_idle(&self) -> bool {
        self.table.borrow().iter().all(|(_, owner)| owner.is_idle())
    }

    /// Has every frame end.
    pub(super) fn shut_down(&self) {
        let owners: Vec<_> = self.table.borrow().iter().map(|(_, owner)| owner.clone()).collect();
        for owner in owners {
            owner.shut_down();
        }
    }
}

impl Driver {
    /// Registers an owner under a number made known to it before, or refuses if there are too many. The second
    /// number is the generation that its frames go on from, because keys of an earlier owner may still be around:
    /// in requests to cancel, in timers.
    pub(crate) fn add_owner(
        &self,
        make: impl FnOnce(u32, u32) -> Rc<dyn Owner>,
    ) -> Result<(), TooManyOwners> {
        let number = self.owners.table.borrow().vacant_key();
        if number >= MAX_OWNERS as usize || self.is_closing() {
            return Err(TooManyOwners);
        }
        let generation = self.owners.generations.borrow().get(number).copied().unwrap_or(0);
        let owner = make(number as u32, generation);
        self.set_region(number, owner.region().map(NonNull::from));
        let inserted = self.owners.table.borrow_mut().insert(owner);
        assert_eq!(inserted, number, "an owner was registered by the making of another");
        Ok(())
    }

    pub(crate) fn remove_owner(&self, number: u32) {
        self.set_region(number as usize, None);
        let removed = self.owners.table.borrow_mut().try_remove(number as usize);
        if let Some(owner) = &removed {
            let mut generations = self.owners.generations.borrow_mut();
            let len = generations.len().max(number as usize + 1);
            generations.resize(len, 0);
            generations[number as usize] = owner.last_generation();
        }
        drop(removed);
    }

    fn set_region(&self, number: usize, region: Option<NonNull<Region>>) {
        // SAFETY: one thread, and nobody keeps a reference into the vector: `reap` copies a pointer out of it.
        let regions = unsafe { &mut *self.owners.regions.get() };
        if regions.len() <= number {
            regions.resize(number + 1, None);
        }
        regions[number] = region;
    }

    pub(super) fn owner(&self, key: Key) -> Option<Rc<dyn Owner>> {
        self.owners.table.borrow().get(key.owner() as usize).cloned()
    }

    /// The region whose frame a completion belongs to, if it is a frame's.
    #[inline]
    pub(super) fn region(&self, user_data: u64) -> Option<NonNull<Region>> {
        #[cfg(feature = "injector")]
        if !self.ring.injector.is_idle() {
            return None;
        }
        let (key, _) = Key::split(user_data);
        if key.kind() != Kind::Frame {
            return None;
        }
        // SAFETY: one thread, and the vector changes in `set_region` only, which runs no foreign code.
        let regions = unsafe { &*self.owners.regions.get() };
        *regions.get(key.owner() as usize)?
    }

    /// Lets a frame go on in the next turn.
    pub(crate) fn make_ready(&self, key: Key) {
        self.owners.ready.borrow_mut().push_back(key);
    }

    /// Tells a frame that a deadline of it has passed.
    pub(crate) fn interrupt(&self, key: Key) {
        if let Some(owner) = self.owner(key) {
            no_unwinding(|| owner.interrupt(key));
        }
    }

    /// Lets frames go on that were put off, at most as many as were waiting when this was called.
    #[inline]
    pub(crate) fn run_ready(&self) {
        let waiting = self.owners.ready.borrow().len();
        if waiting > 0 {
            self.run_some_ready(waiting);
        }
    }

    fn run_some_ready(&self, waiting: usize) {
        for _ in 0..waiting {
            let Some(key) = self.owners.ready.borrow_mut().pop_front() else { break };
            if let Some(owner) = self.owner(key) {
                no_unwinding(|| owner.ready(key));
            }
        }
    }

    /// Lets go of the frames' owners once their frames are free. What they own may need closing: drain again.
    pub(crate) fn forget_owners(&self) {
        let owners = std::mem::take(&mut *self.owners.table.borrow_mut());
        owners.iter().for_each(|(number, _)| self.set_region(number, None));
        drop(owners);
    }
}

/// Runs an owner's method. One that panicked would leave a frame that nobody can resume: there is no going on.
#[inline]
pub(super) fn no_unwinding(run: impl FnOnce()) {
    struct Abort;
    impl Drop for Abort {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    let abort = Abort;
    run();
    std::mem::forget(abort);
}

/// The ring serves as many programs as a key can tell apart, or is ending.
#[derive(Debug)]
pub(crate) struct TooManyOwners;
