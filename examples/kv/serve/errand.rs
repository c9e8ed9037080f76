//! Commands for keys of other cores.
//!
//! What a connection has sent is gone through in order. From the first command on that another core has to do, the
//! commands are handed out: to each core those that are for it, in order and all in one message; those for this core are
//! done at once. So each core does its part in the order of the requests, the cores at the same time, and the replies are
//! put together in that order again when all have answered. (As in a cluster: commands of one connection for keys of
//! different cores have no order that others could see.)

use std::collections::VecDeque;
use std::rc::Rc;

use super::core::{Core, now};
use crate::engine::table::{Keys, Name, Spec, find};
use crate::engine::{Call, Refusal, run, store_of};
use crate::protocol::{Batch, Command, End, Proto, Replies, Reply, Sink};

/// Replies that are put together at a time.
const PIECES: usize = 128;

/// How the replies of several cores become one.
#[derive(Clone, Copy, Debug)]
enum Merge {
    /// There is one.
    One,
    /// Numbers are added.
    Sum,
    /// All have to be well.
    Ok,
    /// Each is an array of one, and the whole one of all.
    Elements,
    /// Arrays are put in a row.
    Arrays,
}

/// The replies of one core, in order.
#[derive(Debug, Default)]
pub(super) struct Answers {
    replies: Replies,
    ends: VecDeque<End>,
    at: End,
}

impl Answers {
    fn next(&mut self) -> Option<(End, End)> {
        let end = self.ends.pop_front()?;
        Some((std::mem::replace(&mut self.at, end), end))
    }

    fn done(&mut self) {
        self.ends.push_back(self.replies.end());
    }

    /// The same refusal in place of each.
    fn refused(&self, refusal: &Refusal) -> Answers {
        let mut refused = Answers::default();
        for _ in &self.ends {
            refused.replies.error(&refusal.to_string());
            refused.done();
        }
        refused
    }
}

/// Commands on their way, and what is to be made of the answers.
#[derive(Debug)]
pub(super) struct Errand {
    core: Rc<Core>,
    batches: Vec<Batch>,
    own: Answers,
    /// Each reply: how it is merged, and of how many.
    pieces: Vec<(Merge, usize)>,
    /// Whose replies those are, for one piece after the other.
    from: Vec<usize>,
}

/// Runs a command that is about keys of this core, or about all keys, on this core.
pub(super) fn answer<S: Sink>(
    core: &Core,
    spec: &Spec,
    command: &mut Command<'_>,
    proto: Proto,
    out: &mut S,
) {
    if spec.name == Name::Publish {
        let count = core.hub.borrow().publish(command.arg(1), || command.arg(2).to_vec());
        return out.integer(count as i64);
    }
    run(spec, Call { store: &mut core.store.borrow_mut(), command, proto, out });
}

/// The one core that has all keys of a command, if there is one.
pub(super) fn owner(core: &Core, spec: &Spec, command: &Command<'_>) -> Option<usize> {
    match spec.keys {
        Keys::None => Some(core.place.index),
        Keys::First => Some(core.of_key(command.arg(1))),
        // A cursor that is none is refused by whoever looks at it.
        Keys::Cursor => Some(store_of(command.arg(1), core.place.count).unwrap_or(core.place.index)),
        Keys::Each(beside) => {
            let mut owners = (1..command.len()).step_by(1 + beside).map(|i| core.of_key(command.arg(i)));
            let first = owners.next()?;
            owners.all(|owner| owner == first).then_some(first)
        }
        Keys::All => (core.place.count == 1).then_some(0),
    }
}

impl Errand {
    pub(super) fn new(core: Rc<Core>) -> Self {
        let batches = (0..core.place.count).map(|_| Batch::default()).collect();
        Errand { core, batches, own: Answers::default(), pieces: Vec::new(), from: Vec::new() }
    }

    /// Whether it is to be run before more commands are looked at.
    pub(super) fn is_full(&self) -> bool {
        self.own.replies.is_full() || self.pieces.len() >= PIECES
    }

    /// Where the reply of what this core does at once goes. To be followed by [`done`](Errand::done).
    pub(super) fn out(&mut self) -> &mut Replies {
        &mut self.own.replies
    }

    pub(super) fn done(&mut self) {
        self.own.done();
        self.expect(Merge::One, self.core.place.index);
    }

    /// A command that is all for one other core.
    pub(super) fn send(&mut self, to: usize, command: &mut Command<'_>, proto: Proto) {
        self.batches[to].push(command, 0..command.len(), proto, false);
        self.expect(Merge::One, to);
    }

    /// A command for several cores.
    pub(super) fn spread(&mut self, spec: &Spec, command: &mut Command<'_>, proto: Proto) {
        let Keys::Each(beside) = spec.keys else {
            let merge = match spec.name {
                Name::Keys => Merge::Arrays,
                Name::Dbsize | Name::Publish => Merge::Sum,
                _ => Merge::Ok,
            };
            self.pieces.push((merge, self.batches.len()));
            for to in 0..self.batches.len() {
                self.part(to, spec, command, 0..command.len(), proto, true);
            }
            return;
        };
        if !(command.len() - 1).is_multiple_of(1 + beside) {
            // The one who refuses it.
            let own = self.core.place.index;
            answer(&self.core, spec, command, proto, &mut self.own.replies);
            self.own.done();
            return self.expect(Merge::One, own);
        }
        let merge = match spec.name {
            Name::Mget => Merge::Elements,
            Name::Mset => Merge::Ok,
            _ => Merge::Sum,
        };
        self.pieces.push((merge, (command.len() - 1) / (1 + beside)));
        for i in (1..command.len()).step_by(1 + beside) {
            let to = self.core.of_key(command.arg(i));
            self.part(to, spec, command, std::iter::once(0).chain(i..=i + beside), proto, false);
        }
    }

    /// One core's part of a command.
    fn part(
        &mut self,
        to: usize,
        spec: &Spec,
        command: &mut Command<'_>,
        args: impl Iterator<Item = usize>,
        proto: Proto,
        stay: bool,
    ) {
        self.from.push(to);
        if to != self.core.place.index {
            return self.batches[to].push(command, args, proto, stay);
        }
        let mut batch = Batch::default();
        batch.push(command, args, proto, stay);
        batch.for_each(|mut part, proto| {
            answer(&self.core, spec, &mut part, proto, &mut self.own.replies);
            self.own.done();
        });
    }

    fn expect(&mut self, merge: Merge, from: usize) {
        self.pieces.push((merge, 1));
        self.from.push(from);
    }

    /// Has the other cores do their parts, and waits for their answers.
    pub(super) async fn run(mut self) -> Answered {
        let mut waiting = Vec::new();
        for (to, batch) in self.batches.iter_mut().enumerate() {
            let batch = std::mem::take(batch);
            waiting.push((!batch.is_empty()).then(|| self.core.handle.core(to).spawn(|| answers(batch))));
        }
        let mut all = Vec::with_capacity(waiting.len());
        for answers in waiting {
            // A core that has ended gives no answers.
            all.push(match answers {
                Some(answers) => answers.await.unwrap_or_default(),
                None => Answers::default(),
            });
        }
        all[self.core.place.index] = self.own;
        Answered { all, pieces: self.pieces, from: self.from }
    }
}

/// Done by the core that a batch is for.
async fn answers(mut batch: Batch) -> Answers {
    let mut answers = Answers::default();
    let Some(core) = Core::current() else { return answers };
    core.store.borrow_mut().tell(now());
    batch.for_each(|mut command, proto| {
        // All that this core says goes in one message.
        if answers.replies.waiting() > core.store.borrow().reply_room() {
            answers.replies.error(&Refusal::OutOfMemory.to_string());
        } else if let Some(spec) = find(command.arg(0)) {
            answer(&core, spec, &mut command, proto, &mut answers.replies);
        }
        answers.done();
    });
    core.publish_counts(&core.store.borrow());
    if let Some(persist) = core.persist()
        && let Err(error) = persist.wait().await
    {
        core.fail(&error);
        return answers.refused(&Refusal::ReadOnly(error.to_string()));
    }
    answers
}

/// All answers of an errand.
#[derive(Debug)]
pub(super) struct Answered {
    all: Vec<Answers>,
    pieces: Vec<(Merge, usize)>,
    from: Vec<usize>,
}

impl Answered {
    /// Writes the replies in the order of the requests.
    pub(super) fn write(mut self, out: &mut impl Sink) {
        let mut from = std::mem::take(&mut self.from).into_iter();
        for (merge, count) in std::mem::take(&mut self.pieces) {
            let parts: Vec<_> = from.by_ref().take(count).map(|core| (core, self.all[core].next())).collect();
            self.merge(merge, &parts, out);
        }
    }

    fn merge(&self, merge: Merge, parts: &[(usize, Option<(End, End)>)], out: &mut impl Sink) {
        let whole: Option<Vec<_>> = parts
            .iter()
            .map(|(core, part)| part.map(|(from, to)| (&self.all[*core].replies, from, to)))
            .collect();
        let Some(whole) = whole else { return out.error("ERR the core that has the key has ended") };
        // An error of one is an error of all.
        let failed = whole.iter().find(|(replies, from, to)| replies.text(*from, *to).starts_with(b"-"));
        if let Some((replies, from, to)) = failed {
            return replies.part(*from, *to, out);
        }
        match merge {
            Merge::One | Merge::Ok => {
                if let Some((replies, from, to)) = whole.first() {
                    replies.part(*from, *to, out);
                }
            }
            Merge::Sum => {
                let numbers = whole.iter().map(|(replies, from, to)| header(replies.text(*from, *to)).0);
                out.integer(numbers.sum::<usize>() as i64);
            }
            Merge::Elements | Merge::Arrays => {
                let heads = whole.iter().map(|(replies, from, to)| header(replies.text(*from, *to)));
                let (count, skips): (Vec<_>, Vec<_>) = heads.unzip();
                out.array(count.iter().sum());
                for ((replies, from, to), skip) in whole.iter().zip(skips) {
                    replies.part(from.skip(skip), *to, out);
                }
            }
        }
    }
}

/// The number in the first line of a reply, and the line's length.
fn header(text: &[u8]) -> (usize, usize) {
    let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    let len = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    (number, len)
}
