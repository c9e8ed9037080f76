//! Steps on words that others see too.

use super::super::Chain;
use crate::expr::Expr;
use crate::handle::{Reg, Word, WordKind};
use crate::sync::{Atomic, Shared, Sync, WordOf, number_of};
use crate::tree::{Compute, Kind, Step};

impl<S: 'static> Chain<S> {
    /// Word `i` of words that each core has its own of: all frames of a core see it, of whatever program, as do tasks and
    /// calls. In expressions it is what it is at that moment, and [`set`](Chain::set) sets it.
    ///
    /// What a frame reads, calculates and writes between two operations belongs together, without a lock, since nothing
    /// else runs on the core meanwhile. Two things give way to others in between: a step that waits, and the end of a turn of
    /// a loop, where fuel may be spent.
    pub fn shared(&mut self, words: &Shared, i: usize) -> Word {
        let kind = if i < words.count() { WordKind::Plain } else { WordKind::Missing };
        self.word(WordOf::Shared(words.clone(), i), kind)
    }

    /// A word that all threads share. In expressions it is read, [`set`](Chain::set) stores it; what is read may be old by
    /// the next step, which is what [`fetch_add`](Chain::fetch_add) and [`compare_exchange`](Chain::compare_exchange) are
    /// for. All accesses are in one order for all threads (`SeqCst`).
    pub fn atomic(&mut self, word: impl Into<Atomic>) -> Word {
        let word = WordOf::Atomic(word.into());
        let kind = if word.futex().is_some() { WordKind::Futex } else { WordKind::Plain };
        self.word(word, kind)
    }

    fn word(&mut self, word: WordOf, kind: WordKind) -> Word {
        let index = number_of(&mut self.things.words, &word, WordOf::is);
        Word { builder: self.id, index, kind }
    }

    /// Adds to a word, as one step; it wraps. Say `.into(reg)` for what it was before.
    pub fn fetch_add(&mut self, word: Word, value: impl Into<Expr>) -> WordStep<'_> {
        WordStep(self.push("fetch_add", Kind::Compute(Compute::Add(word, value.into(), None))))
    }

    /// Sets a word to something new if it is as expected, as one step. Say `.into(reg)` for what it was before: it was set if
    /// that is what was expected.
    pub fn compare_exchange(
        &mut self,
        word: Word,
        current: impl Into<Expr>,
        new: impl Into<Expr>,
    ) -> WordStep<'_> {
        let (current, new) = (current.into(), new.into());
        let exchange = Compute::Exchange { word, current, new, into: None };
        WordStep(self.push("compare_exchange", Kind::Compute(exchange)))
    }

    /// Waits until an atomic word of 32 bits is woken by [`futex_wake`](Chain::futex_wake), or by anybody in the process
    /// who does what futex(2) says for private futexes; goes on at once if it is not as expected. A frame that
    /// gives up, because it is cancelled or a deadline passes, wakes another one if it had been woken by then.
    ///
    /// It takes Linux 6.7 ([`Capability::Futex`](chainring_runtime::Capability::Futex)): below it the program does not
    /// [start](crate::Program::start). Where that must not be, an [`Event`](crate::Event) does the same between cores. It
    /// cannot stand inside of a group.
    pub fn futex_wait(&mut self, word: Word, expected: impl Into<Expr>) {
        self.things.futexes = true;
        let expected = expected.into();
        self.push("futex_wait", Kind::Sync(Sync::FutexWait { word, expected }));
    }

    /// Wakes at most so many of those that wait for an atomic word of 32 bits. Say `.into(reg)` for how many there were. Takes
    /// Linux 6.7, as [`futex_wait`](Chain::futex_wait).
    pub fn futex_wake(&mut self, word: Word, count: impl Into<Expr>) -> WordStep<'_> {
        self.things.futexes = true;
        let count = count.into();
        WordStep(self.push("futex_wake", Kind::Sync(Sync::FutexWake { word, count, into: None })))
    }
}

/// A step on a word that was just added, to be qualified.
#[derive(Debug)]
pub struct WordStep<'c>(&'c mut Step);

impl WordStep<'_> {
    /// Puts the result into a register.
    #[allow(
        clippy::should_implement_trait,
        clippy::wrong_self_convention,
        reason = "a chain reads as steps: `recv(...).into(reg)`"
    )]
    pub fn into(self, reg: Reg) -> Self {
        match &mut self.0.kind {
            Kind::Compute(Compute::Add(_, _, into) | Compute::Exchange { into, .. }) => *into = Some(reg),
            Kind::Sync(Sync::FutexWake { into, .. }) => *into = Some(reg),
            _ => unreachable!("made by the steps above only"),
        }
        self
    }
}
