//! A member of a segment to be: one transfer, open, close or other operation, and what it works on.

use chainring_runtime::frame::{Directory, Extra, Len, Moves, Target, Transfer, Verb};

use crate::handle::{Outbox, Place, Reg, Span, SpanLen};
use crate::tree::OnEnd;

/// One member of a segment to be.
#[derive(Clone, Debug)]
pub(crate) struct Io {
    pub(crate) verb: Verb,
    pub(crate) place: Place,
    /// One span after the other, without a gap; only the last may have its length in a register, and only a span by
    /// itself its start. None if the verb moves no bytes.
    pub(crate) spans: Vec<Span>,
    pub(crate) position: Option<Reg>,
    pub(crate) amount: Option<Reg>,
    /// For what opens: the directory, and where among the constants the `open_how` lies.
    pub(crate) open: Option<(Option<Place>, u32)>,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) second: Option<Place>,
    pub(crate) passes: Option<SpanLen>,
    pub(crate) directory: Option<Place>,
    pub(crate) target: Option<(Option<Place>, Span)>,
    pub(crate) into: Option<Reg>,
    /// Takes the count of a step of which a deadline has interrupted this part.
    pub(crate) partial: Option<Reg>,
    pub(crate) on_end: OnEnd,
}

impl Io {
    /// Whether a peer may keep it waiting, or whoever holds the last buffer of a pool.
    pub(super) fn waits_for_others(&self) -> bool {
        let is_peer = |place: Place| !place.file;
        let peer = self.verb.has_place() && is_peer(self.place) || self.second.is_some_and(is_peer);
        peer || self.selects().is_some()
    }

    /// Whether it names files and opens none.
    fn names_files(&self) -> bool {
        self.verb.takes_path() && !self.verb.opens()
    }

    /// The descriptors that it works on, as which they are when it is submitted.
    pub(crate) fn works_on(&self) -> impl Iterator<Item = Place> {
        let own = (self.verb.has_place() && !self.verb.opens()).then_some(self.place);
        let opened = self.open.and_then(|(directory, _)| directory);
        let target = self.target.and_then(|(directory, _)| directory);
        [own, opened, self.second, self.directory, target].into_iter().flatten()
    }

    /// The pooled buffer that it fills from its front: which one is known only when something has come.
    pub(crate) fn selects(&self) -> Option<u16> {
        self.fills().filter(|_| !self.spans[0].buf.owned)
    }

    /// The same, or the owned buffer that is made for what is to come.
    pub(crate) fn fills(&self) -> Option<u16> {
        self.changes().filter(|_| is_from_front(&self.spans[0]))
    }

    /// The pooled or owned buffer that something comes into, wherever in it.
    pub(crate) fn changes(&self) -> Option<u16> {
        self.spans.first().filter(|_| self.verb.moves() == Moves::In)?.buf.pooled
    }

    /// As the frames' region wants it.
    pub(crate) fn transfer(&self) -> Transfer {
        let first = self.spans.first();
        let fixed = |span: &Span| if let SpanLen::Fixed(len) = span.len { len } else { 0 };
        let plus = self.spans.iter().map(fixed).sum();
        let len = match self.spans.last().map(|last| (last.len, last.room())) {
            Some((SpanLen::Reg(reg), room)) => Len::Register { index: reg.index, plus, max: plus + room },
            None => match self.passes {
                Some(SpanLen::Fixed(len)) => Len::Fixed(len),
                Some(SpanLen::Reg(reg)) => Len::Register { index: reg.index, plus: 0, max: i32::MAX as u32 },
                None => Len::Fixed(0),
            },
            Some(_) => Len::Fixed(plus),
        };
        let start = first.and_then(|span| span.start);
        let at = |place: Option<Place>| match place {
            Some(place) => Directory::Descriptor(place.index),
            None => Directory::Working,
        };
        Transfer {
            verb: self.verb,
            descriptor: self.place.index,
            offset: first.map_or(0, |span| span.buf.base() + span.from),
            len,
            extra: Extra {
                start: start.map(|reg| reg.index),
                room: first.filter(|_| start.is_some()).map_or(0, Span::room),
                constant: first.is_some_and(|span| span.buf.constant),
                position: self.position.map(|reg| reg.index),
                amount: self.amount.map(|reg| reg.index),
                outbox: self.outbox.map(|outbox| outbox.index),
                open: self.open.map(|(directory, how)| (at(directory), how)),
                second: self.second.map(|place| place.index),
                directory: self.names_files().then(|| at(self.directory)),
                target: self.target.map(|(directory, path)| {
                    let (offset, constant) = (path.buf.base() + path.from, path.buf.constant);
                    Target { directory: at(directory), offset, len: fixed(&path), constant }
                }),
                hard: false,
                pooled: first.and_then(|span| span.buf.pooled),
                gives_back: 0,
            },
        }
    }
}

/// Whether a span starts where its buffer does, whatever the registers say.
pub(super) fn is_from_front(span: &Span) -> bool {
    span.from == 0 && span.start.is_none()
}
