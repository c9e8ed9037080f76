//! The check that lets strands of a frame run side by side: see the folder's documentation.

use std::ops::Range;

use super::{Branches, Fork, ForkError, NOBODY, TRUNK};
use crate::frame::code::{Area, Bulk, Code, Op};
use crate::frame::template::{Address, NO_CODE, NONE, Off, Template};
use crate::frame::verb::Moves;

/// Strands a frame, at most.
const MOST: usize = 1 << 10;

/// What a branch has to do with its frame.
#[derive(Default)]
struct Uses {
    read: Vec<Range<u32>>,
    written: Vec<Range<u32>>,
    /// Words of descriptors that it works on.
    used: Vec<u16>,
    /// Those that it opens or closes.
    changed: Vec<u16>,
    outboxes: Vec<u16>,
    /// It touches a pooled buffer, which is the whole frame's.
    pooled: bool,
}

/// Checks the forks of what was itself checked already.
pub(in crate::frame) fn check(
    forks: &[Fork],
    templates: &[Template],
    code: &Code,
) -> Result<Branches, ForkError> {
    let mut ops = vec![TRUNK; code.ops.len()];
    let mut segments = vec![TRUNK; templates.len()];
    let (mut ranges, mut each, mut next) = (Vec::new(), 0, TRUNK + 1);
    for fork in forks {
        let count = fork.branches.len();
        let end = u16::try_from(count).ok().and_then(|count| next.checked_add(count));
        let Some(end) = end.filter(|_| (1..=MOST).contains(&count)) else { return Err(ForkError::Count) };
        for (number, branch) in (next..).zip(&fork.branches) {
            let of_ops = branch.ops.iter().flat_map(|range| range.clone());
            of_ops.into_iter().try_for_each(|op| give(&mut ops, op as usize, number))?;
            branch.segments.iter().try_for_each(|s| give(&mut segments, usize::from(*s), number))?;
        }
        ranges.push(next..end);
        (each, next) = (each.max(count as u16), end);
    }
    for (number, range) in ranges.iter().enumerate() {
        let fork = number as u16;
        let stays = |branch| {
            let branch_in_fork = branch - range.start;
            stays(branch, &ops, &segments, templates, code)
                .then_some(())
                .ok_or(ForkError::Leaves { fork, branch: branch_in_fork })
        };
        range.clone().try_for_each(stays)?;
        let uses: Vec<Uses> =
            range.clone().map(|branch| uses(branch, &ops, &segments, templates, code)).collect();
        if let Some(branch) = uses.iter().position(|uses| uses.pooled) {
            return Err(ForkError::Pooled { fork, branch: branch as u16 });
        }
        for (b, of_b) in uses.iter().enumerate() {
            if let Some(a) = uses[..b].iter().position(|of_a| conflict(of_a, of_b)) {
                return Err(ForkError::Shared { fork, branches: [a as u16, b as u16] });
            }
        }
    }
    let (owner, generation) = (NOBODY.into(), 0.into());
    let (ops, segments) = (ops.into(), segments.into());
    Ok(Branches { forks: ranges.into(), ops, segments, each, owner, generation })
}

fn give(owners: &mut [u16], at: usize, branch: u16) -> Result<(), ForkError> {
    match owners.get_mut(at) {
        Some(owner) if *owner == TRUNK => *owner = branch,
        _ => return Err(ForkError::NoSuchHandle),
    }
    Ok(())
}

/// Whether code and segments of a branch lead to nothing but others of it.
fn stays(branch: u16, ops: &[u16], segments: &[u16], templates: &[Template], code: &Code) -> bool {
    let op = |to: u32| ops.get(to as usize) == Some(&branch);
    let segment = |to: u16| segments.get(usize::from(to)) == Some(&branch);
    let of_branch = |owners: &[u16], i: usize| owners[i] == branch;
    let ops_stay = (0..ops.len()).filter(|i| of_branch(ops, *i)).all(|i| {
        let behind = op(i as u32 + 1);
        match code.ops[i] {
            Op::Jump { to } => op(to),
            Op::Unless { to, .. } | Op::UnlessWithin { to, .. } | Op::IfWithin { to, .. } => op(to) && behind,
            Op::UnlessCompared { to, .. } => op(to) && behind,
            Op::Take { or, .. } => op(or) && op(i as u32 + 3),
            Op::TakeSum { or, .. } => op(or) && op(i as u32 + 4),
            Op::LoadAtMost { or, .. } | Op::BulkUnless { or, .. } => op(or) && op(i as u32 + 2),
            Op::Lend { .. } | Op::Rewind { .. } => behind && op(i as u32 + 2),
            Op::Submit(to) => segment(to),
            Op::Leave(_) => true,
            Op::Set { .. } | Op::Move { .. } | Op::Binary { .. } | Op::BinaryBy { .. } | Op::Bulk(_) => {
                behind
            }
            Op::Load { .. } | Op::LoadAt { .. } | Op::Store { .. } | Op::StoreAt { .. } => behind,
        }
    });
    let segments_stay = (0..segments.len()).filter(|i| of_branch(segments, *i)).all(|i| {
        let template = &templates[i];
        match (template.successor, template.code) {
            (NONE, NO_CODE) => false,
            (NONE, code) => op(code),
            (then, _) => segment(then),
        }
    });
    ops_stay && segments_stay
}

fn uses(branch: u16, ops: &[u16], segments: &[u16], templates: &[Template], code: &Code) -> Uses {
    let mut uses = Uses::default();
    for (_, op) in ops.iter().zip(&code.ops).filter(|(owner, _)| **owner == branch) {
        uses.op(op, code);
    }
    for (_, template) in segments.iter().zip(templates).filter(|(owner, _)| **owner == branch) {
        uses.segment(template);
    }
    uses
}

impl Uses {
    fn op(&mut self, op: &Op, code: &Code) {
        match *op {
            Op::Load { order, at, .. } | Op::LoadAtMost { order, at, .. } => {
                self.read.push(at..at + order.width())
            }
            Op::LoadAt { start, room, .. } => self.read.push(start..start + room),
            Op::Store { order, at, .. } => self.written.push(at..at + order.width()),
            Op::StoreAt { start, room, .. } => self.written.push(start..start + room),
            Op::Bulk(number) | Op::BulkUnless { number, .. } => self.bulk(&code.bulk[usize::from(number)]),
            Op::Set { .. } | Op::Move { .. } | Op::Binary { .. } | Op::BinaryBy { .. } => {}
            Op::Unless { .. } | Op::UnlessWithin { .. } | Op::IfWithin { .. } => {}
            Op::UnlessCompared { .. } | Op::Take { .. } | Op::TakeSum { .. } => {}
            Op::Lend { outbox, .. } => self.outboxes.push(outbox),
            Op::Rewind { .. } | Op::Jump { .. } | Op::Submit(_) | Op::Leave(_) => {}
        }
    }

    fn bulk(&mut self, bulk: &Bulk) {
        let bytes = |area: &Area| match area.pooled {
            None if !area.constant => area.offset..area.offset + area.room,
            _ => 0..0,
        };
        self.pooled |= touches_pooled(bulk);
        match bulk {
            Bulk::Copy { to, from } => {
                self.written.push(bytes(to));
                self.read.push(bytes(from));
            }
            Bulk::Equal { a, b, .. } => self.read.extend([bytes(a), bytes(b)]),
            Bulk::Find { area, .. } | Bulk::Hash { area, .. } => self.read.push(bytes(area)),
            Bulk::FindBytes { area, bytes: other, .. } => self.read.extend([bytes(area), bytes(other)]),
            Bulk::Load { area, .. } | Bulk::Partition { area, .. } => self.read.push(bytes(area)),
            Bulk::Append { outbox, area } => {
                self.outboxes.push(*outbox);
                self.read.push(bytes(area));
            }
            Bulk::AppendNumber { outbox, .. } => self.outboxes.push(*outbox),
            Bulk::Store { area, .. } => self.written.push(bytes(area)),
            Bulk::GiveBack(_) => {}
            Bulk::Compact { offset, room, .. } => self.written.push(*offset..*offset + *room),
            // No bytes of the frame.
            Bulk::Word(_) => {}
        }
    }

    fn segment(&mut self, template: &Template) {
        for (member, wide) in template.members.iter().zip(&template.wide) {
            let in_frame = wide.address == Address::Frame || wide.off == Off::Span;
            // What is no transfer has other things in the place of a length.
            let plain = if member.verb.transfers() { member.plus() + member.room as u32 } else { 0 };
            let len = wide.room.max(plain);
            let start = member.offset as u32;
            let span = if in_frame { start..start.saturating_add(len) } else { 0..0 };
            match member.verb.moves() {
                Moves::In => self.written.push(span),
                Moves::Out => self.read.push(span),
                Moves::Nothing | Moves::Past => {}
            }
            match wide.address {
                Address::Outbox(outbox) => self.outboxes.push(outbox),
                Address::Second(second) => self.used.push(second),
                Address::Pooled(_) | Address::Select(_) | Address::Make(_) => self.pooled = true,
                _ => {}
            }
            if let Off::Path { at, len, constant, directory } = wide.off {
                self.read.push(if constant { 0..0 } else { at..at + len });
                self.used.extend(directory);
            }
            self.pooled |= wide.gives_back != 0;
            let changes = member.verb.opens() || member.verb.closes();
            if changes { &mut self.changed } else { &mut self.used }.push(member.place);
            self.used.push(member.descriptor);
        }
    }
}

fn touches_pooled(bulk: &Bulk) -> bool {
    let is = |area: &Area| area.pooled.is_some();
    match bulk {
        Bulk::Copy { to: a, from: b } | Bulk::Equal { a, b, .. } => is(a) || is(b),
        Bulk::Find { area, .. } | Bulk::Hash { area, .. } => is(area),
        Bulk::FindBytes { area, bytes, .. } => is(area) || is(bytes),
        Bulk::Partition { area, .. } | Bulk::Append { area, .. } => is(area),
        Bulk::Load { area, .. } | Bulk::Store { area, .. } => is(area),
        Bulk::GiveBack(which) => *which != 0,
        Bulk::Compact { .. } | Bulk::Word(_) | Bulk::AppendNumber { .. } => false,
    }
}

fn conflict(a: &Uses, b: &Uses) -> bool {
    let meets = |written: &Uses, other: &Uses| {
        let touched = || other.written.iter().chain(&other.read);
        written.written.iter().any(|w| touched().any(|t| w.start < t.end && t.start < w.end))
            || written.changed.iter().any(|c| other.changed.contains(c) || other.used.contains(c))
    };
    meets(a, b) || meets(b, a) || a.outboxes.iter().any(|outbox| b.outboxes.contains(outbox))
}
