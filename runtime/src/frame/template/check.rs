//! What a segment's plan is checked for on its way to a template.

use super::{Address, Gate, Member, NO_CODE, NO_OUTBOX, NONE, Off, Short, Template, Wide};
use crate::driver::key::MAX_STEPS;
use crate::frame::layout::Layout;
use crate::frame::plan::{Directory, Len, Plan, PlanError, Target, Then, Transfer};
use crate::frame::pooled::{POLL_FIRST, Pooled};
use crate::frame::verb::{Moves, Success, Verb};
use crate::op::{Severs, recv};
use crate::ring::sqe::{BUFFER_SELECT, CQE_SKIP_SUCCESS, IO_HARDLINK, IO_LINK};
use crate::ring::{Ring, Sqe};

/// The size of `struct open_how`.
const OPEN_HOW: u32 = 24;

/// What the segments are checked against.
pub(in crate::frame) struct Bounds<'b> {
    pub(in crate::frame) layout: &'b Layout,
    pub(in crate::frame) constants: u32,
    pub(in crate::frame) outboxes: u16,
    pub(in crate::frame) pooled: &'b Pooled,
    pub(in crate::frame) segments: usize,
    pub(in crate::frame) ops: usize,
    /// Says how long a list may be, whether members that succeed may be silent, and what it does not offer.
    pub(in crate::frame) ring: &'b Ring,
}

impl Template {
    pub(in crate::frame) fn check(plan: &Plan, bounds: &Bounds<'_>) -> Result<Template, PlanError> {
        let count = plan.members.len();
        let limit = bounds.ring.longest_list().min(MAX_STEPS) as usize;
        if count > limit {
            return Err(PlanError::TooLong { members: count, limit });
        }
        let last = count.checked_sub(1).ok_or(PlanError::Empty)?;
        // Who gives a buffer back before the segment ends says when.
        let gives_back = |transfer: &Transfer| transfer.extra.gives_back != 0;
        // And so does who has a cleanup behind it, which does not wait for its success.
        let tells = |transfer: &Transfer| gives_back(transfer) || transfer.extra.hard;
        let skip = bounds.ring.capabilities().skip_success();
        let first = plan.members.iter().position(tells).filter(|_| skip);
        let reports = first.unwrap_or(if skip { last } else { 0 });
        let (mut members, mut wide, mut is_wide) = (Vec::with_capacity(count), Vec::new(), false);
        for (i, transfer) in plan.members.iter().enumerate() {
            let is_hard = transfer.extra.hard;
            if is_hard
                && !plan.members.get(i + 1).is_some_and(|next| i + 1 == last && cleans_up(transfer, next))
            {
                return Err(PlanError::Unfit(transfer.verb));
            }
            if i < last && !is_hard && (!transfer.verb.severs() || transfer.fills()) {
                return Err(PlanError::DoesNotSever { member: i });
            }
            if plan.members[..i]
                .iter()
                .any(|before| spends(before, transfer) || bounds.remakes(before, transfer))
            {
                return Err(PlanError::Spent { member: i });
            }
            let skip = if i < reports { CQE_SKIP_SUCCESS } else { 0 };
            let link = if is_hard { IO_HARDLINK } else { IO_LINK };
            let flags = if i < last { link | skip } else { 0 };
            let (member, more) = bounds.transfer(transfer, flags)?;
            members.push(member);
            is_wide |= more.is_some();
            wide.push(more.unwrap_or_else(|| bounds.no_more(transfer)));
        }
        let layout = bounds.layout;
        let into = plan.into.map_or(Ok(layout.discard_word() as u16), |index| bounds.register(index))?;
        let hard = plan.members.iter().position(|member| member.extra.hard);
        let early = hard.map(|i| (i as u8, into));
        let into = if early.is_some() { layout.discard_word() as u16 } else { into };
        let (then, code) = match plan.then {
            Then::Resume => (NONE, NO_CODE),
            Then::Segment(then) if then != NONE && usize::from(then) < bounds.segments => (then, NO_CODE),
            Then::Code(code) if (code as usize) < bounds.ops => (NONE, code),
            _ => return Err(PlanError::NoSuchHandle),
        };
        // Last: what is wrong with a plan is wrong with it on every kernel.
        let lacks = |transfer: &Transfer| !bounds.ring.offers(transfer.verb.facts());
        if let Some(member) = plan.members.iter().position(lacks) {
            return Err(PlanError::NotOffered { member, verb: plan.members[member].verb });
        }
        let verb = members[last].verb;
        let mut outboxes = plan.members.iter().filter_map(|member| member.extra.outbox);
        let outbox = outboxes.next().unwrap_or(NO_OUTBOX);
        let passes = plan.members.iter().any(|member| member.verb.opens() || member.verb.closes());
        let passes = passes || outboxes.next().is_some();
        let completions = (count - reports) as u16;
        let pools = |member: &Transfer| member.fills() || gives_back(member);
        let counts = |verb: Verb| matches!(verb.success(), Success::Whole | Success::Some);
        let pools = plan.members.iter().any(pools);
        let simple = !passes && !pools && counts(verb);
        let short = wide.iter().all(|wide| wide.short != Short::Not);
        let all_count = members.iter().all(|member| counts(member.verb));
        let goes_on = (then, code) != (NONE, NO_CODE);
        Ok(Template {
            completions,
            reports: reports as u8,
            last: last as u8,
            slack: slack(verb),
            simple,
            outbox,
            warm: simple && completions == 1 && wide.iter().all(|wide| wide.short.is_simple()),
            mild: simple && completions == 1 && short,
            pools: pools && !passes && short && all_count && goes_on && early.is_none(),
            hot: simple
                && !is_wide
                && completions == 1
                && wide.iter().all(|wide| wide.short == Short::Transfer),
            members: members.into(),
            wide: wide.into(),
            early,
            into,
            successor: then,
            then: NONE,
            code,
            gate: Gate::NONE,
        })
    }
}

/// Whether a length is never fixed to nothing.
fn moves_bytes(len: Len) -> bool {
    match len {
        Len::Fixed(len) => len > 0,
        Len::Register { plus, max, .. } => max > plus,
    }
}

/// How much may be missing for a success.
fn slack(verb: Verb) -> u32 {
    if verb.success() == Success::Whole { 0 } else { u32::MAX }
}

/// Whether `last` is a cleanup behind `before` that needs nothing of it.
fn cleans_up(before: &Transfer, last: &Transfer) -> bool {
    let reads = matches!(before.verb, Verb::ReadAt | Verb::ReadSomeAt);
    reads && last.verb == Verb::Close && last.descriptor == before.descriptor
}

/// Whether `before` closes or empties what `after` works on. All entries of a segment are made before it runs: they would
/// name a descriptor that is somebody else's by then, and bytes that are sent already.
fn spends(before: &Transfer, after: &Transfer) -> bool {
    let Transfer { verb, descriptor: closed, extra, .. } = *before;
    let works_on = after.extra.pooled.filter(|_| !after.selects());
    verb.closes() && after.works_on(closed)
        || extra.outbox.is_some() && extra.outbox == after.extra.outbox
        || works_on.is_some_and(|pooled| pooled < 64 && extra.gives_back & 1 << pooled != 0)
}

impl Bounds<'_> {
    /// Whether the entry of `after` makes or moves the owned buffer that `before` works on or gives back: that is done when
    /// the entry is written, and the kernel may still read what the entry before it names.
    fn remakes(&self, before: &Transfer, after: &Transfer) -> bool {
        let made = after.extra.pooled.filter(|_| after.verb.moves() == Moves::In);
        made.filter(|pooled| *pooled < 64 && self.pooled.is_owned(*pooled)).is_some_and(|pooled| {
            before.extra.pooled == Some(pooled) || before.extra.gives_back & 1 << pooled != 0
        })
    }

    /// The word of a register, which must be there.
    fn register(&self, index: u16) -> Result<u16, PlanError> {
        if index < self.layout.registers {
            Ok(self.layout.register_word(index) as u16)
        } else {
            Err(PlanError::NoSuchHandle)
        }
    }

    /// The word of a descriptor, which must be there.
    fn descriptor(&self, index: u16) -> Result<u16, PlanError> {
        if index < self.layout.descriptors {
            Ok(self.layout.descriptor_word(index) as u16)
        } else {
            Err(PlanError::NoSuchHandle)
        }
    }

    fn zero(&self) -> u16 {
        self.layout.zero_word() as u16
    }

    /// What a plain member of a wide segment has.
    fn no_more(&self, transfer: &Transfer) -> Wide {
        Wide {
            start: self.zero(),
            room: transfer.len.max(),
            address: Address::Frame,
            off: Off::Fixed(0),
            index: 0,
            gives_back: 0,
            only_starts: false,
            short: if transfer.verb.transfers() && moves_bytes(transfer.len) {
                Short::Transfer
            } else {
                Short::Not
            },
            slack: slack(transfer.verb),
        }
    }

    /// The bytes that a member's span lies in.
    fn space(&self, transfer: &Transfer) -> Result<u32, PlanError> {
        match (transfer.extra.pooled, transfer.extra.constant) {
            // What passes the frame by has a length and no place.
            (None, false) if transfer.verb.moves() == Moves::Past => Ok(i32::MAX as u32),
            (None, false) => Ok(self.layout.bytes),
            (None, true) => Ok(self.constants),
            (Some(number), false) if transfer.verb.transfers() => {
                self.pooled.size(number).ok_or(PlanError::NoSuchHandle)
            }
            (Some(_), _) => Err(PlanError::Unfit(transfer.verb)),
        }
    }

    /// The descriptor of a directory that paths start in, and its word.
    fn directory(&self, directory: Option<Directory>, verb: Verb) -> Result<(i32, u16), PlanError> {
        match directory {
            Some(Directory::Working) => Ok((libc::AT_FDCWD, self.zero())),
            Some(Directory::Descriptor(at)) => Ok((0, self.descriptor(at)?)),
            None => Err(PlanError::Unfit(verb)),
        }
    }

    /// The second path of a `Rename`.
    fn target(&self, target: Target) -> Result<Off, PlanError> {
        let Target { directory, offset, len, constant } = target;
        let space = if constant { self.constants } else { self.layout.bytes };
        if len == 0 || offset.checked_add(len).is_none_or(|end| end > space) {
            return Err(PlanError::OutOfBounds);
        }
        let directory = match directory {
            Directory::Working => None,
            Directory::Descriptor(at) => Some(self.descriptor(at)?),
        };
        Ok(Off::Path { at: offset, len, constant, directory })
    }

    fn transfer(&self, transfer: &Transfer, flags: u8) -> Result<(Member, Option<Wide>), PlanError> {
        let Transfer { verb, extra, .. } = *transfer;
        let space = self.space(transfer)?;
        let end = transfer.offset.checked_add(transfer.len.max());
        if end.is_none_or(|end| end > space) || transfer.len.max() > i32::MAX as u32 {
            return Err(PlanError::OutOfBounds);
        }
        if verb.moves() == Moves::Nothing && transfer.len != Len::Fixed(0) {
            return Err(PlanError::OutOfBounds);
        }
        if extra.constant && verb.moves() == Moves::In {
            return Err(PlanError::Unfit(verb));
        }
        let (plus, length, room) = match transfer.len {
            Len::Fixed(len) => (len, self.zero(), 0),
            Len::Register { index, plus, max } => {
                (plus, self.register(index)?, max.checked_sub(plus).ok_or(PlanError::OutOfBounds)?)
            }
        };
        let template = verb.template();
        debug_assert!(
            verb.facts().severs != Severs::WithWaitall
                || verb.success() != Success::Whole
                || template.op_flags & libc::MSG_WAITALL as u32 != 0,
            "{verb:?} is taken to sever when it comes short"
        );
        let place = if verb.has_place() { self.descriptor(transfer.descriptor)? } else { self.zero() };
        if extra.second.is_some() != verb.has_second() {
            return Err(PlanError::Unfit(verb));
        }
        let (fd, descriptor) = match (verb, extra.open) {
            (Verb::Open, Some((Directory::Working, _))) => (libc::AT_FDCWD, self.zero()),
            (Verb::Open, Some((Directory::Descriptor(at), _))) => (0, self.descriptor(at)?),
            (Verb::Accept, _) => (0, self.descriptor(extra.second.expect("checked above"))?),
            _ if verb.takes_path() => self.directory(extra.directory, verb)?,
            _ if !verb.has_place() || verb.opens() => (template.fd, self.zero()),
            _ => (0, place),
        };
        // What moves nothing gets its length back where its address is taken away, in `emit.rs`.
        let len = match verb.moves() {
            _ if verb.transfers() => plus,
            Moves::Nothing => 0,
            Moves::In | Moves::Out | Moves::Past => template.len,
        };
        let mut sqe = Sqe { flags, fd, len, ..template };
        if transfer.selects() && !extra.pooled.is_some_and(|number| self.pooled.is_owned(number)) {
            sqe.flags |= BUFFER_SELECT;
            sqe.ioprio |= if verb.facts().opcode == recv::FACTS.opcode { POLL_FIRST } else { 0 };
        }
        let [head, _, _, flags_len, .., addr3, _] = sqe.words();
        debug_assert_eq!(addr3, 0, "word 6 is always written as zero");
        let member = Member {
            head,
            offset: u64::from(transfer.offset),
            flags_len,
            room: u64::from(room),
            bound: if matches!(transfer.len, Len::Fixed(_)) {
                u64::MAX
            } else {
                u64::from(room).wrapping_sub(1)
            },
            descriptor,
            length,
            place,
            verb,
        };
        Ok((self.fits(transfer, member)?, self.wide(transfer)?))
    }

    /// Puts what is peculiar to a verb into its member.
    fn fits(&self, transfer: &Transfer, member: Member) -> Result<Member, PlanError> {
        let fixed = matches!(transfer.len, Len::Fixed(len) if len > 0);
        match transfer.verb {
            Verb::Open if fixed => {
                Ok(Member { flags_len: member.flags_len & !0xffff_ffff | u64::from(OPEN_HOW), ..member })
            }
            Verb::Connect if fixed => Ok(member),
            Verb::Statx if fixed && transfer.len.max() as usize >= size_of::<libc::statx>() => Ok(member),
            verb @ (Verb::Open | Verb::Connect | Verb::Statx) => Err(PlanError::Unfit(verb)),
            verb if verb.takes_path() && !fixed => Err(PlanError::Unfit(verb)),
            // What the kernel reads or writes there has a size of its own, which is to be compared above.
            verb if !verb.transfers()
                && !verb.takes_path()
                && matches!(verb.moves(), Moves::In | Moves::Out) =>
            {
                Err(PlanError::Unfit(verb))
            }
            _ => Ok(member),
        }
    }

    fn wide(&self, transfer: &Transfer) -> Result<Option<Wide>, PlanError> {
        let Transfer { verb, extra, .. } = *transfer;
        let unfit = Err(PlanError::Unfit(verb));
        if extra.position.is_some() != verb.has_position() || extra.open.is_some() != (verb == Verb::Open) {
            return unfit;
        }
        if extra.outbox.is_some() != (verb == Verb::SendOutbox) {
            return unfit;
        }
        if extra.amount.is_some() != (verb == Verb::Fallocate) {
            return unfit;
        }
        if extra.target.is_some() != (verb == Verb::Rename) {
            return unfit;
        }
        let names = verb.takes_path() && verb != Verb::Open;
        if extra.directory.is_some() != names {
            return unfit;
        }
        let template = verb.template();
        let mut wide = self.no_more(transfer);
        // The length of an address goes where others have a position.
        wide.off = Off::Fixed(if verb == Verb::Connect { transfer.len.max().into() } else { template.off });
        wide.index = template.words()[5];
        if let Some(start) = extra.start {
            if !verb.transfers() || verb.moves() == Moves::Past {
                return unfit;
            }
            let end = transfer.offset.checked_add(extra.room);
            let space = self.space(transfer)?;
            if end.is_none_or(|end| end > space) {
                return Err(PlanError::OutOfBounds);
            }
            (wide.start, wide.room) = (self.register(start)?, extra.room);
        }
        if extra.constant {
            wide.address = Address::Constants;
        }
        if let Some(position) = extra.position {
            wide.off = Off::Register(self.register(position)?);
        }
        if let Some(amount) = extra.amount {
            wide.address = Address::Register(self.register(amount)?);
        }
        if let Some(outbox) = extra.outbox {
            if transfer.len != Len::Fixed(0)
                || extra.start.is_some()
                || extra.constant
                || extra.pooled.is_some()
            {
                return unfit;
            }
            if outbox >= self.outboxes {
                return Err(PlanError::NoSuchHandle);
            }
            wide.address = Address::Outbox(outbox);
        }
        if let Some(number) = extra.pooled {
            wide.address = match transfer.selects() {
                false => Address::Pooled(number),
                true if self.pooled.is_owned(number) => Address::Make(number),
                true => Address::Select(number),
            };
            if wide.address == Address::Select(number) {
                wide.index |= u64::from(self.pooled.group(number));
            }
        }
        if self.pooled.each() < 64 && extra.gives_back >> self.pooled.each() != 0 {
            return Err(PlanError::NoSuchHandle);
        }
        wide.gives_back = extra.gives_back;
        if let Some((_, how)) = extra.open {
            if how.checked_add(OPEN_HOW).is_none_or(|end| end > self.constants) {
                return Err(PlanError::OutOfBounds);
            }
            wide.off = Off::Constants(how);
        }
        if verb.moves() == Moves::Past {
            if extra.constant || transfer.offset != 0 {
                return unfit;
            }
            let second = extra.second.ok_or(PlanError::Unfit(verb))?;
            wide.address = Address::Second(self.descriptor(second)?);
        }
        if let Some(target) = extra.target {
            wide.off = self.target(target)?;
        }
        if verb == Verb::Statx {
            (wide.address, wide.off) = (Address::Itself, Off::Span);
        }
        let is_plain =
            extra == Default::default() && wide.off == Off::Fixed(0) && wide.address == Address::Frame;
        let is_plain = is_plain && wide.index == 0;
        let others = (wide.address, wide.off, wide.index) != (Address::Frame, Off::Fixed(0), 0);
        wide.only_starts = verb.transfers() && !others;
        let moves = verb.moves();
        wide.short = match (wide.address, wide.off) {
            _ if wide.only_starts && moves_bytes(transfer.len) => Short::Transfer,
            (Address::Outbox(outbox), Off::Fixed(0)) if wide.index == 0 => Short::Outbox(outbox),
            (Address::Frame, Off::Register(at)) if verb.transfers() && wide.index == 0 => Short::At(at),
            (Address::Pooled(number), Off::Fixed(0)) if moves == Moves::Out && wide.index == 0 => {
                Short::Pooled(number)
            }
            (Address::Select(number), Off::Fixed(0)) => Short::Select(number),
            _ => Short::Not,
        };
        Ok((!is_plain).then_some(wide))
    }
}
