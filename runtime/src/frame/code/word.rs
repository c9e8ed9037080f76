//! Words that others see too: other frames of the core, or other threads.
//!
//! Nothing here is the frame's, so nothing is checked beforehand but that the word is there. Code of a core runs to its end
//! before other code of that core does, so what one op reads and a later one writes of a [`Word::Core`] belongs together;
//! of the others only a single op does.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A word that is not the frame's own.
#[derive(Clone, Debug)]
pub enum Word {
    /// One of a slice that only this core sees.
    Core(Rc<[Cell<u64>]>, usize),
    /// One of 32 bits that any thread may see and change: arithmetic on it wraps there, and what is stored is cut off.
    Small(Arc<AtomicU32>),
    /// One of 64 bits that any thread may see and change.
    Large(Arc<AtomicU64>),
}

/// An op on a word. Words are named by their numbers. Those that any thread may see are accessed in one order for all
/// (`SeqCst`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the formula of each says what its fields are")]
pub enum OnWord {
    /// `to = word`
    Load { to: u16, word: u16 },
    /// `word = from`
    Store { word: u16, from: u16 },
    /// `to = word; word += by`, as one
    Add { to: u16, word: u16, by: u16 },
    /// `to = word; if to == current { word = new }`, as one
    Exchange { to: u16, word: u16, current: u16, new: u16 },
}

impl Word {
    pub(in crate::frame) fn is_there(&self) -> bool {
        if let Word::Core(words, i) = self { *i < words.len() } else { true }
    }

    fn load(&self) -> u64 {
        match self {
            Word::Core(words, i) => words[*i].get(),
            Word::Small(word) => word.load(Ordering::SeqCst).into(),
            Word::Large(word) => word.load(Ordering::SeqCst),
        }
    }

    fn store(&self, value: u64) {
        match self {
            Word::Core(words, i) => words[*i].set(value),
            Word::Small(word) => word.store(value as u32, Ordering::SeqCst),
            Word::Large(word) => word.store(value, Ordering::SeqCst),
        }
    }

    fn add(&self, by: u64) -> u64 {
        match self {
            Word::Core(words, i) => words[*i].replace(words[*i].get().wrapping_add(by)),
            Word::Small(word) => word.fetch_add(by as u32, Ordering::SeqCst).into(),
            Word::Large(word) => word.fetch_add(by, Ordering::SeqCst),
        }
    }

    fn exchange(&self, current: u64, new: u64) -> u64 {
        let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
        match self {
            Word::Core(words, i) => {
                let before = words[*i].get();
                words[*i].set(if before == current { new } else { before });
                before
            }
            // No such word holds what has more bits.
            Word::Small(_) if u32::try_from(current).is_err() => self.load(),
            Word::Small(word) => {
                let held = word.compare_exchange(current as u32, new as u32, success, failure);
                held.unwrap_or_else(|other| other).into()
            }
            Word::Large(word) => {
                word.compare_exchange(current, new, success, failure).unwrap_or_else(|other| other)
            }
        }
    }
}

impl OnWord {
    /// The word that it works on.
    pub(super) fn word(self) -> u16 {
        match self {
            OnWord::Load { word, .. } | OnWord::Store { word, .. } => word,
            OnWord::Add { word, .. } | OnWord::Exchange { word, .. } => word,
        }
    }

    /// Its registers.
    pub(super) fn registers(&mut self) -> impl Iterator<Item = &mut u16> {
        let registers: [Option<&mut u16>; 3] = match self {
            OnWord::Load { to: register, .. } | OnWord::Store { from: register, .. } => {
                [Some(register), None, None]
            }
            OnWord::Add { to, by, .. } => [Some(to), Some(by), None],
            OnWord::Exchange { to, current, new, .. } => [Some(to), Some(current), Some(new)],
        };
        registers.into_iter().flatten()
    }

    /// Does it.
    #[inline(never)]
    pub(super) fn apply<'r>(self, words: &[Word], register: impl Fn(u16) -> &'r Cell<u64>) {
        let held = &words[usize::from(self.word())];
        match self {
            OnWord::Load { to, .. } => register(to).set(held.load()),
            OnWord::Store { from, .. } => held.store(register(from).get()),
            OnWord::Add { to, by, .. } => register(to).set(held.add(register(by).get())),
            OnWord::Exchange { to, current, new, .. } => {
                register(to).set(held.exchange(register(current).get(), register(new).get()));
            }
        }
    }
}
