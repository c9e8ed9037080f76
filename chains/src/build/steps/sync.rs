//! Steps on what frames, tasks and cores share.

use super::super::Chain;
use crate::expr::Expr;
use crate::handle::{Reg, Span};
use crate::sync::{Event, Group, Log, Sync, number_of};
use crate::tree::{Kind, Step};

impl<S: 'static> Chain<S> {
    /// Runs the block inside of a synchronization group: among all frames inside of it on a core there is one at a time, in
    /// the order in which they came to it, and what the block reads, calculates and writes needs no lock. Leaving the
    /// block in any way (at its end, by [`leave`](Chain::leave) or [`again`](Chain::again), by an error, at the end of the
    /// frame) lets the next one in.
    ///
    /// Inside there are no steps on sockets, because a peer that is slow would hold up everybody, and no other group. A
    /// frame that waits for the group has nothing in flight.
    pub fn serial(&mut self, group: &Group, body: impl FnOnce(&mut Self)) {
        let number = number_of(&mut self.things.groups, group, Group::is);
        self.nested("serial", body, |body| Kind::Serial(number, body));
    }

    /// Waits until an event is posted on this core, and takes the post; goes on at once if there is one that nobody has
    /// taken. Those who wait take posts in the order in which they came. It cannot stand inside of a group.
    pub fn wait(&mut self, event: &Event) {
        let event = number_of(&mut self.things.events, event, Event::is);
        self.push("wait", Kind::Sync(Sync::Wait(event)));
    }

    /// Posts an event on this core: one that waits goes on, or the next that comes.
    pub fn notify(&mut self, event: &Event) {
        let event = number_of(&mut self.things.events, event, Event::is);
        self.push("notify", Kind::Sync(Sync::Notify { event, core: None }));
    }

    /// Posts an event on the core of this number, a number or expression, among the [`Cores`](chainring_runtime::Cores) that
    /// this one is of. The frame fails with ENXIO if there is no such core, or it has ended. That the post is
    /// sent does not say that anybody has taken it.
    pub fn notify_on(&mut self, event: &Event, core: impl Into<Expr>) {
        let event = number_of(&mut self.things.events, event, Event::is);
        self.push("notify_on", Kind::Sync(Sync::Notify { event, core: Some(core.into()) }));
    }

    /// Appends a record, a span or several behind each other, to a log, and goes on when it is on the disk. All frames and
    /// tasks that wait are served by one write and one sync (group commit); say `.into(reg)` for the record's position in
    /// the file.
    ///
    /// The bytes are copied; a frame that is cancelled meanwhile ends at once, and its record may be written all the
    /// same. If a write or sync has failed the frame fails with its errno, as all that wait and all that come later do;
    /// with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds) if the record is longer than [`Log::longest`].
    pub fn commit(&mut self, log: &Log, spans: impl IntoIterator<Item = Span>) -> CommitStep<'_> {
        let (longest, log) = (log.longest(), number_of(&mut self.things.logs, log, Log::is));
        let spans = spans.into_iter().collect();
        CommitStep { step: self.push("commit", Kind::Sync(Sync::Commit { log, longest, spans, into: None })) }
    }
}

/// A `commit` that was just added, to be qualified.
#[derive(Debug)]
pub struct CommitStep<'c> {
    step: &'c mut Step,
}

impl CommitStep<'_> {
    /// Puts the position of the record in the log's file into a register.
    #[allow(
        clippy::should_implement_trait,
        clippy::wrong_self_convention,
        reason = "a chain reads as steps: `recv(...).into(reg)`"
    )]
    pub fn into(self, reg: Reg) -> Self {
        match &mut self.step.kind {
            Kind::Sync(Sync::Commit { into, .. }) => *into = Some(reg),
            _ => unreachable!("made by `Chain::commit` only"),
        }
        self
    }
}
