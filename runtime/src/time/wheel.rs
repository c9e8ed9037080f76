//! A hierarchical timer wheel: insert, remove and fire in constant time, whatever the number of timers.
//!
//! Time is a count of ticks. Write the tick of a timer in base 64, and the wheel's own position
//! (`elapsed`) below it. The timer goes to the level of the highest digit in which the two differ, into
//! the slot that its own digit names there:
//!
//! ```text
//!   level          2    1    0
//!   timer      .. 07   31   05      differs from `elapsed` in digit 1 first:
//!   elapsed    .. 07   30   63      level 1, slot 31
//! ```
//!
//! So a timer of level `n` agrees with `elapsed` in every digit above `n` and is larger in digit `n`. Two
//! things follow. Everything in a lower level comes before everything in a higher one, and within a level
//! before everything in a higher slot: the next thing to happen is the lowest slot of the lowest level that
//! is occupied, two `trailing_zeros` away. And no slot ever wraps around.
//!
//! When the position reaches the first tick of a slot of level 0, the slot's timers are due. When it
//! reaches that of a higher slot, the slot's timers are put in again: the digit in which they differed is
//! now equal, so each goes down at least one level. A timer moves at most once a level in its life, and one
//! that is removed before (as nearly all deadlines are) usually never. The position may also skip ahead to
//! any tick before the next slot's first: no digit that decided about a level changes by that.
//!
//! Timers of the same tick fire in the order of their insertion: lists are appended to, put in again in order,
//! and a timer that arrives later at a lower level can only come after the ones above have gone down.
//!
//! Entries live in one growing table and are linked by index: a timer costs no allocation, and its [`Id`] names
//! one use of an entry, so that a late removal never hits the next user.

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// Enough for every `u64`.
const LEVELS: usize = 11;

const NONE: u32 = u32::MAX;
/// The list of entries that are due but not yet fired; the lists before it are the slots.
const DUE: u16 = (LEVELS * SLOTS) as u16;
const VACANT: u16 = u16::MAX;

/// One use of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

struct Entry<T> {
    tick: u64,
    generation: u32,
    /// The list it is in, or `VACANT`.
    list: u16,
    /// Lists are circles: the first's predecessor is the last.
    previous: u32,
    next: u32,
    payload: Option<T>,
}

/// See the module's documentation.
pub(crate) struct Wheel<T> {
    /// Every timer at or before this tick is due or gone.
    elapsed: u64,
    /// The slots of each level that are not empty.
    occupied: [u64; LEVELS],
    /// The first entry of every slot, level by level, and of the list of those that are due.
    first: [u32; LEVELS * SLOTS + 1],
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        Wheel {
            elapsed: 0,
            occupied: [0; LEVELS],
            first: [NONE; LEVELS * SLOTS + 1],
            entries: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// Timers that have not fired.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Starts a timer for `tick`; due at once if that has passed.
    pub(crate) fn insert(&mut self, tick: u64, payload: T) -> Id {
        let index = self.vacant();
        let entry = &mut self.entries[index as usize];
        entry.tick = tick;
        entry.payload = Some(payload);
        let generation = entry.generation;
        self.len += 1;
        self.place(index);
        Id { index, generation }
    }

    /// What those carry that have not fired, in no order.
    pub(crate) fn into_payloads(self) -> impl Iterator<Item = T> {
        self.entries.into_iter().filter_map(|entry| entry.payload)
    }

    /// What a timer that has not fired carries.
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation == id.generation { entry.payload.as_mut() } else { None }
    }

    /// Takes a timer out, if it has not fired.
    pub(crate) fn remove(&mut self, id: Id) -> Option<T> {
        self.get_mut(id)?;
        self.unlink(id.index);
        self.release(id.index)
    }

    /// Takes out the next timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<T> {
        loop {
            let due = self.first[usize::from(DUE)];
            if due != NONE {
                self.unlink(due);
                return self.release(due);
            }
            match self.next_slot() {
                Some((level, slot, start)) if start <= now => {
                    self.elapsed = start;
                    self.empty(level, slot);
                }
                _ => {
                    self.elapsed = self.elapsed.max(now);
                    return None;
                }
            }
        }
    }

    /// The next tick at which there is something to do. That may be to put timers in again: there is no timer
    /// before it, but perhaps none at it either.
    pub(crate) fn next_tick(&self) -> Option<u64> {
        if self.first[usize::from(DUE)] != NONE {
            return Some(self.elapsed);
        }
        self.next_slot().map(|(_, _, start)| start)
    }

    /// The first slot that is not empty, and its first tick.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = BITS * level as u32;
        let below = u64::MAX.checked_shl(shift + BITS).map_or(u64::MAX, |above| !above);
        Some((level, slot, self.elapsed & !below | (slot as u64) << shift))
    }

    /// Gives every timer a new tick, and the wheel a new position: the unit of time has changed. Timers
    /// that are due stay so.
    pub(crate) fn rescale(&mut self, elapsed: u64, tick_of: impl Fn(&T) -> u64) {
        self.elapsed = elapsed;
        self.occupied = [0; LEVELS];
        self.first = [NONE; LEVELS * SLOTS + 1];
        let mut live: Vec<(u64, u32)> = Vec::with_capacity(self.len);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if let Some(payload) = &entry.payload {
                entry.tick = tick_of(payload);
                live.push((entry.tick, index as u32));
            }
        }
        live.sort_unstable();
        live.into_iter().for_each(|(_, index)| self.place(index));
    }

    /// Puts the entries of a slot, whose first tick has come, where they belong now.
    fn empty(&mut self, level: usize, slot: usize) {
        let list = level * SLOTS + slot;
        let first = std::mem::replace(&mut self.first[list], NONE);
        self.occupied[level] &= !(1 << slot);
        let last = self.entries[first as usize].previous;
        let mut index = first;
        loop {
            let next = self.entries[index as usize].next;
            self.place(index);
            if index == last {
                break;
            }
            index = next;
        }
    }

    /// Appends an entry, which is in no list, to the list of its tick.
    fn place(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        if tick <= self.elapsed {
            return self.append(index, DUE);
        }
        let level = (u64::BITS - 1 - (tick ^ self.elapsed).leading_zeros()) / BITS;
        let slot = (tick >> (BITS * level)) as usize % SLOTS;
        self.occupied[level as usize] |= 1 << slot;
        self.append(index, (level as usize * SLOTS + slot) as u16);
    }

    fn append(&mut self, index: u32, list: u16) {
        let first = self.first[usize::from(list)];
        let (previous, next) = if first == NONE {
            self.first[usize::from(list)] = index;
            (index, index)
        } else {
            let last = std::mem::replace(&mut self.entries[first as usize].previous, index);
            self.entries[last as usize].next = index;
            (last, first)
        };
        let entry = &mut self.entries[index as usize];
        (entry.list, entry.previous, entry.next) = (list, previous, next);
    }

    fn unlink(&mut self, index: u32) {
        let Entry { list, previous, next, .. } = self.entries[index as usize];
        let list = usize::from(list);
        if next == index {
            self.first[list] = NONE;
            if list < usize::from(DUE) {
                self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
            }
            return;
        }
        self.entries[previous as usize].next = next;
        self.entries[next as usize].previous = previous;
        if self.first[list] == index {
            self.first[list] = next;
        }
    }

    fn vacant(&mut self) -> u32 {
        if self.free == NONE {
            let index = u32::try_from(self.entries.len()).ok().filter(|index| *index != NONE);
            let index = index.expect("fewer than 2^32 timers");
            let (previous, next) = (NONE, NONE);
            let entry = Entry { tick: 0, generation: 0, list: VACANT, previous, next, payload: None };
            self.entries.push(entry);
            return index;
        }
        let index = self.free;
        self.free = self.entries[index as usize].next;
        index
    }

    /// Ends this use of an entry that is in no list.
    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.list = VACANT;
        entry.next = std::mem::replace(&mut self.free, index);
        self.len -= 1;
        entry.payload.take()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;

    /// The same by a sorted map: timers by tick and order of arrival.
    #[derive(Default)]
    struct Naive {
        timers: BTreeMap<(u64, u64), u64>,
        ticks: HashMap<u64, u64>,
        elapsed: u64,
    }

    impl Naive {
        fn insert(&mut self, tick: u64, name: u64) {
            // One that is late queues behind those that are due, in order of arrival.
            let tick = tick.max(self.elapsed);
            self.timers.insert((tick, name), name);
            self.ticks.insert(name, tick);
        }

        fn remove(&mut self, name: u64) -> Option<u64> {
            self.timers.remove(&(*self.ticks.get(&name)?, name))
        }

        fn pop(&mut self, now: u64) -> Option<u64> {
            let first = self.timers.first_entry().filter(|first| first.key().0 <= now);
            match first {
                Some(first) => {
                    self.elapsed = self.elapsed.max(first.key().0);
                    Some(first.remove())
                }
                None => {
                    self.elapsed = self.elapsed.max(now);
                    None
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Event {
        Insert(u64),
        Remove(usize),
        Advance(u64),
        PopOne,
    }

    fn event() -> impl Strategy<Value = Event> {
        // Distances of every size: the number of bits first, then the bits.
        let distance = || (0u32..50, any::<u64>()).prop_map(|(bits, x)| x & ((1 << bits) - 1));
        prop_oneof![
            4 => distance().prop_map(Event::Insert),
            2 => any::<usize>().prop_map(Event::Remove),
            1 => (0u32..30, any::<u64>()).prop_map(|(bits, x)| Event::Advance(x & ((1 << bits) - 1))),
            1 => Just(Event::PopOne),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_wheel_does_what_a_sorted_map_does(events in proptest::collection::vec(event(), 1..200)) {
            let (mut wheel, mut naive) = (Wheel::new(), Naive::default());
            let mut ids = Vec::new();
            let mut now = 0u64;
            for event in events {
                match event {
                    Event::Insert(distance) => {
                        let name = ids.len() as u64;
                        let tick = now.saturating_add(distance);
                        ids.push(wheel.insert(tick, name));
                        naive.insert(tick, name);
                    }
                    Event::Remove(which) if !ids.is_empty() => {
                        let name = which % ids.len();
                        prop_assert_eq!(wheel.remove(ids[name]), naive.remove(name as u64));
                    }
                    Event::Remove(_) => {}
                    Event::Advance(by) => {
                        now += by;
                        loop {
                            let fired = wheel.pop(now);
                            prop_assert_eq!(fired, naive.pop(now));
                            if fired.is_none() { break }
                        }
                    }
                    Event::PopOne => prop_assert_eq!(wheel.pop(now), naive.pop(now)),
                }
                prop_assert_eq!(wheel.len(), naive.timers.len());
                let first = naive.timers.first_key_value().map(|((tick, _), _)| *tick);
                match (wheel.next_tick(), first) {
                    (None, None) => {}
                    // Never later than the first timer, and never behind the wheel's own position.
                    (Some(next), Some(first)) => prop_assert!(next <= first && next >= wheel.elapsed),
                    (next, first) => prop_assert!(false, "{next:?} but {first:?}"),
                }
            }
        }
    }

    #[test]
    fn a_late_removal_does_not_hit_the_next_user_of_the_entry() {
        let mut wheel = Wheel::new();
        let first = wheel.insert(5, 'a');
        assert_eq!(wheel.pop(5), Some('a'));
        let second = wheel.insert(9, 'b');
        assert_eq!(first.index, second.index);
        assert_eq!(wheel.remove(first), None);
        assert_eq!(wheel.remove(second), Some('b'));
        assert_eq!(wheel.remove(second), None);
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn timers_of_a_million_come_and_go_in_one_table() {
        let mut wheel = Wheel::new();
        for i in 0..if cfg!(miri) { 1_000u64 } else { 1_000_000 } {
            let id = wheel.insert(i % 100_000 + 1, i);
            assert_eq!(wheel.remove(id), Some(i));
        }
        assert_eq!(wheel.entries.len(), 1);
    }

    #[test]
    fn the_last_tick_can_be_waited_for() {
        let mut wheel = Wheel::new();
        wheel.insert(u64::MAX, 'z');
        assert_eq!(wheel.pop(u64::MAX - 1), None);
        assert_eq!(wheel.pop(u64::MAX), Some('z'));
        assert_eq!(wheel.pop(u64::MAX), None);
    }

    #[test]
    fn timers_survive_a_change_of_the_unit_of_time() {
        let mut wheel = Wheel::new();
        let ids: Vec<_> = [70u64, 3, 5000].iter().map(|tick| wheel.insert(*tick, tick * 10)).collect();
        assert_eq!(wheel.pop(10), Some(30));
        wheel.rescale(100, |tenths| *tenths);
        assert_eq!(wheel.pop(699), None);
        assert_eq!(wheel.pop(700), Some(700));
        assert_eq!(wheel.remove(ids[2]), Some(50_000));
        assert_eq!(wheel.len(), 0);
    }
}
