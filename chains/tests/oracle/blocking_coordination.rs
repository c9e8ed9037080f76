//! The twin's steps that coordinate. Alone on its thread it has nobody to wait for: branches and turns come one after the
//! other, a group and an event are counters, and a deadline strikes where something sleeps for longer.

use std::io::Write;

use super::blocking::{Twin, Way, errno};
use super::native;
use super::program::{
    ANSWERED, Block, Expr, FUTEX, LONG, SHORT, SIGNAL, Span, TURN, TURN_BUFS, TURN_REGS, WOKEN,
};
use super::report::Failure;

impl Twin<'_> {
    pub(super) fn set_word_to(&mut self, word: usize, value: &Expr) -> Result<Way, Failure> {
        let value = self.value(value)?;
        self.set_word(word, value);
        Ok(Way::On)
    }

    pub(super) fn fetch_add(
        &mut self,
        word: usize,
        value: &Expr,
        into: Option<usize>,
    ) -> Result<Way, Failure> {
        let value = self.value(value)?;
        self.put(into, self.words[word]);
        self.set_word(word, self.words[word].wrapping_add(value));
        Ok(Way::On)
    }

    pub(super) fn exchange(
        &mut self,
        word: usize,
        current: &Expr,
        new: &Expr,
        into: Option<usize>,
    ) -> Result<Way, Failure> {
        let (current, new) = (self.value(current)?, self.value(new)?);
        let before = self.words[word];
        self.put(into, before);
        if before == current {
            self.set_word(word, new);
        }
        Ok(Way::On)
    }

    /// Who could wait is here.
    pub(super) fn futex_wake(&mut self, count: &Expr, into: Option<usize>) -> Result<Way, Failure> {
        self.value(count)?;
        self.put(into, 0);
        Ok(Way::On)
    }

    pub(super) fn notify(&mut self) -> Way {
        self.posts += 1;
        Way::On
    }

    pub(super) fn wait(&mut self) -> Way {
        self.posts = self.posts.checked_sub(1).expect("there is a notify before each wait");
        Way::On
    }

    pub(super) fn commit(&mut self, spans: &[Span], into: Option<usize>) -> Result<Way, Failure> {
        let mut record = Vec::new();
        for span in spans {
            record.extend(self.gather(&[*span])?);
        }
        let disk = self.disk.expect("a program with a log has files");
        let log = self.log.get_or_insert_with(|| disk.log());
        log.write_all(&record).map_err(|error| errno(&error))?;
        let position = self.logged_bytes;
        self.logged_bytes += record.len() as u64;
        self.put(into, position);
        Ok(Way::On)
    }

    /// What the future computes.
    pub(super) fn fetch(&mut self, from: &Span, to: &Span, reg: usize) -> Result<Way, Failure> {
        let source = self.bufs[from.buf][self.range(from)?].to_vec();
        let mut value = self.regs[reg];
        let range = self.range(to)?;
        native::mix(&source, &mut self.bufs[to.buf][range], &mut value);
        self.regs[reg] = value;
        Ok(Way::On)
    }

    pub(super) fn put(&mut self, into: Option<usize>, value: u64) {
        into.iter().for_each(|reg| self.regs[*reg] = value);
    }

    /// Sleeps, if it is not for longer than anybody waits.
    pub(super) fn sleep(&mut self, step: u32, time: u64) -> Way {
        if time < LONG {
            std::thread::sleep(std::time::Duration::from_nanos(time));
            return Way::On;
        }
        self.never(step)
    }

    /// Waits for what does not come.
    pub(super) fn never(&self, step: u32) -> Way {
        match self.deadlines.iter().position(|time| *time == SHORT) {
            Some(first) => Way::Fail(step, Failure::Deadline(first)),
            None => Way::Never,
        }
    }

    /// Those that can be waited for have 32 bits.
    fn set_word(&mut self, word: usize, value: u64) {
        self.words[word] = if [FUTEX, SIGNAL].contains(&word) { value as u32 as u64 } else { value };
    }

    /// Waits for a word as long as it is as expected: one of them is answered, the other one is not.
    pub(super) fn wait_for(&mut self, step: u32, word: usize, expected: u64) -> Way {
        match (word, expected) {
            _ if self.words[word] != expected => Way::On,
            (SIGNAL, WOKEN) => Way::On,
            (SIGNAL, ANSWERED) => {
                self.words[word] += 1;
                Way::On
            }
            _ => self.never(step),
        }
    }

    pub(super) fn within(&mut self, time: u64, body: &Block) -> Way {
        self.deadlines.push(time);
        let way = self.block(body);
        self.deadlines.pop();
        way
    }

    /// What one branch does no other one sees, so their order is of no consequence.
    pub(super) fn fork(&mut self, need: Option<usize>, branches: &[Block]) -> Way {
        let need = need.unwrap_or(branches.len());
        let (mut joined, mut failed) = (0, Vec::new());
        for branch in branches {
            match self.block(branch) {
                Way::On => joined += 1,
                Way::Fail(step, failure) => failed.push((step, failure)),
                Way::Never => {}
                Way::Again | Way::Leave | Way::Finish => unreachable!("in a branch that is refused"),
            }
        }
        if joined >= need {
            return Way::On;
        }
        assert!(failed.len() > branches.len() - need, "the strategies made branches that do not end");
        let (step, failure) = failed.pop().expect("there are more than none");
        Way::Fail(step, failure)
    }

    /// One turn after the other. What is a turn's own starts anew in each, and is no more behind the block.
    pub(super) fn pipelined(&mut self, ahead: &Block, in_order: &Block) -> Way {
        let regs = self.regs;
        let bufs = self.bufs[..TURN_BUFS].to_vec();
        let mut turn = 0;
        let way = loop {
            self.regs[TURN] = turn;
            turn += 1;
            let way = match self.block(ahead) {
                Way::On => self.block(in_order),
                way => way,
            };
            match way {
                Way::On | Way::Again => {}
                Way::Leave => break Way::On,
                way => break way,
            }
        };
        self.regs[..TURN_REGS].copy_from_slice(&regs[..TURN_REGS]);
        self.regs[TURN] = regs[TURN];
        self.bufs[..TURN_BUFS].clone_from_slice(&bufs);
        way
    }

    /// The place of what comes. Into its front, a buffer that is not there at all times takes what it can hold; what comes
    /// behind that has to start where there is something.
    pub(super) fn inlet(&self, span: &Span) -> Result<std::ops::Range<usize>, Failure> {
        if self.have[span.buf].is_none() || span.is_from_front() {
            return self.range_of(span);
        }
        let range = self.range_of(span)?;
        match self.have[span.buf] {
            Some(have) if range.start > have => Err(super::blocking::not_there()),
            _ => Ok(range),
        }
    }

    /// So much has come into a span.
    pub(super) fn came(&mut self, span: &Span, start: usize, got: usize) {
        if let Some(have) = &mut self.have[span.buf] {
            *have = if span.is_from_front() { got } else { (*have).max(start + got) };
        }
    }
}
