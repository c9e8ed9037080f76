//! A segment, checked, as templates of its submission queue entries.
//!
//! Everything that `emit.rs` and `wide.rs` later do without looking is looked at here: registers, descriptors and
//! spans lie inside the layout, a length that comes from a register has a bound that fits its span, and a linked
//! segment has only members that sever when they fail (all but the last).
//!
//! Most members are *plain*: an opcode on a descriptor and a span of the frame, of which only descriptor, address,
//! length and `user_data` are not zero or the same each time, patched by one loop without a branch. What needs more (a position in a file, a span
//! among the constants, a second address) has a [`Wide`] beside it, and makes its segment a wide one.

use super::code::{Code, Op, Order};
use super::layout::Layout;
use super::plan::{Directory, Len, Plan, PlanError, Target, Then, Transfer};
use super::pooled::{POLL_FIRST, Pooled};
use super::verb::{Moves, Success, Verb};
use crate::driver::key::MAX_STEPS;
use crate::op::{Severs, recv};
use crate::ring::Sqe;
use crate::ring::sqe::{BUFFER_SELECT, CQE_SKIP_SUCCESS, IO_HARDLINK, IO_LINK};

/// Stands for "no segment".
pub(super) const NONE: u16 = u16::MAX;
/// Stands for "no code".
pub(super) const NO_CODE: u32 = u32::MAX;
/// Stands for "no outbox".
pub(super) const NO_OUTBOX: u16 = u16::MAX;
/// The size of `struct open_how`.
const OPEN_HOW: u32 = 24;

/// A member, checked: the words of an entry (see [`Sqe::words`]) with holes where something is patched in. Words 1, 5, 6
/// and 7 are zero, unless it has a [`Wide`].
///
/// Not as large as an entry: where both are gone through side by side, the compiler would otherwise take one index for
/// both, and compute an address from it for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Word 0 without the descriptor.
    pub(super) head: u64,
    /// Where the span starts in the frame's bytes: word 2 without the frame's address.
    pub(super) offset: u64,
    /// Word 3, with the fixed part of the length.
    pub(super) flags_len: u64,
    /// The most that the register may add to the length.
    pub(super) room: u64,
    /// On the shortest way, what the register may add to the length, less one: so one comparison refuses what is too long and
    /// what adds nothing. All that there is, where nothing is added to a fixed length.
    pub(super) bound: u64,
    /// The word of the control record with the descriptor.
    pub(super) descriptor: u16,
    /// The word of the control record that is added to the length: a register, or the word that is always zero.
    pub(super) length: u16,
    /// The word of the control record whose descriptor this is, or becomes.
    pub(super) place: u16,
    pub(super) verb: Verb,
}

const _: () = assert!(size_of::<Member>() < size_of::<Sqe>());

impl Member {
    /// The fixed part of the length.
    pub(super) fn plus(&self) -> u32 {
        self.flags_len as u32
    }
}

/// What a member has beyond a plain one. The words of registers that it does not have are the one that is always zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    /// Added to where the span starts.
    pub(super) start: u16,
    /// What start and length may come to.
    pub(super) room: u32,
    pub(super) address: Address,
    pub(super) off: Off,
    /// Word 5.
    pub(super) index: u64,
    /// The pooled buffers that the frame gives back when the member has succeeded.
    pub(super) gives_back: u64,
    /// Whether there is nothing to it but that start: bytes of the frame are transferred, and words 1 and 5 are zero.
    pub(super) only_starts: bool,
    /// What its segment can be submitted with, if all members are such.
    pub(super) short: Short,
    /// How much may be missing from its span for a success: nothing if it is exact.
    pub(super) slack: u32,
}

/// A member that has a short way to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// It transfers bytes of the frame, from where a register says.
    Transfer,
    /// It transfers bytes of the frame, at the position in a file that the register of this word says.
    At(u16),
    /// It sends this outbox.
    Outbox(u16),
    /// It sends bytes of the pooled buffer that the frame holds.
    Pooled(u16),
    /// It receives into a buffer that the kernel takes from the pool of this one.
    Select(u16),
    /// None.
    Not,
}

impl Short {
    /// Whether its entry has neither word 1 nor word 5.
    fn is_simple(self) -> bool {
        matches!(self, Short::Transfer | Short::Outbox(_))
    }
}

/// What word 2 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// The address of the span, in the frame's bytes.
    Frame,
    /// The address of the span, among the constants.
    Constants,
    /// The value of a register.
    Register(u16),
    /// The path that names the descriptor itself: an empty one.
    Itself,
    /// None, and word 5 has the descriptor of this word.
    Second(u16),
    /// What this outbox holds, and word 3 has its length.
    Outbox(u16),
    /// The address of the span, in the pooled buffer that the frame holds.
    Pooled(u16),
    /// None: the kernel puts what comes into a buffer that it takes from the pool of this one.
    Select(u16),
    /// The address of the span, in a buffer that is made for what is to come.
    Make(u16),
}

/// What word 1 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// Always this.
    Fixed(u64),
    /// A position: the value of a register, and what has been transferred already.
    Register(u16),
    /// The address of the span in the frame's bytes; word 3 has another length then.
    Span,
    /// An address among the constants.
    Constants(u32),
    /// The address of a path, with its length; and the length in word 3 is the descriptor of this word, if it has one.
    Path { at: u32, len: u32, constant: bool, directory: Option<u16> },
}

/// A segment, checked. Aligned so that one is found by a shift.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(super) struct Template {
    pub(super) members: Box<[Member]>,
    /// What each of them has beyond that.
    pub(super) wide: Box<[Wide]>,
    /// Completions that one submission of the whole segment posts.
    pub(super) completions: u16,
    /// The first member that reports its success. Those before it are silent, unless they sever the segment, and then
    /// everybody else is; from it on everybody reports in any case.
    pub(super) reports: u8,
    /// The step of the last member.
    pub(super) last: u8,
    /// How much may be missing from the last member's span for a success: nothing if it is exact.
    pub(super) slack: u32,
    /// The member before a cleanup, and the word that takes its count.
    pub(super) early: Option<(u8, u16)>,
    /// The word of the control record that takes the last member's count: a register, or the word that nobody reads.
    pub(super) into: u16,
    /// The segment that follows without a computation, or `NONE`.
    pub(super) successor: u16,
    /// The same, if it can be submitted where a completion is met, by the shortest way.
    pub(super) then: u16,
    /// Whether its success needs no more than its count: no descriptor comes or goes, at most one outbox is emptied, and
    /// the last member moves bytes.
    simple: bool,
    /// The outbox that its success empties, or `NO_OUTBOX`, if it is simple.
    pub(super) outbox: u16,
    /// Simple, of plain members that transfer bytes only, and with one completion.
    hot: bool,
    /// The same, but members may also start where a register says, or send an outbox.
    warm: bool,
    /// The same, but members may also lie at a position in a file: they all have a short way.
    mild: bool,
    /// As mild, but that pooled buffers come or go, and so more than one completion may be awaited.
    pools: bool,
    /// The code that is run after it, or `NO_CODE`.
    pub(super) code: u32,
    /// What that begins with, if it is most often all of it.
    pub(super) gate: Gate,
}

/// Code that does no more than to load a number (`Be32`), compare it, and submit a segment that takes the shortest way: what
/// protocols with a length in front do. It is gone through without running code; whatever does not pass runs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// Where the number lies in the frame's bytes.
    pub(super) at: u32,
    /// What it may be.
    pub(super) most: u32,
    /// The word of the register that it becomes.
    pub(super) to: u16,
    /// What is submitted then, or `NONE` if there is no gate.
    pub(super) segment: u16,
}

impl Gate {
    const NONE: Gate = Gate { at: 0, most: 0, to: 0, segment: NONE };

    /// That of checked code which starts at `pc`.
    fn of(code: &Code, pc: u32, templates: &[Template]) -> Option<Gate> {
        let pc = usize::try_from(pc).ok()?;
        let Op::LoadAtMost { order: Order::Be32, to, at, most, .. } = *code.ops.get(pc)? else { return None };
        let Op::Submit(segment) = *code.ops.get(pc + 2)? else { return None };
        templates[usize::from(segment)].hot.then_some(Gate { at, most, to, segment })
    }
}

/// What the segments are checked against.
pub(super) struct Bounds<'b> {
    pub(super) layout: &'b Layout,
    pub(super) constants: u32,
    pub(super) outboxes: u16,
    pub(super) pooled: &'b Pooled,
    pub(super) segments: usize,
    pub(super) ops: usize,
    /// Entries of a list that the ring takes.
    pub(super) longest_list: u32,
    /// Whether members that succeed may be silent.
    pub(super) skip: bool,
}

impl Template {
    /// Whether it can be submitted where a completion is met, by the shortest way.
    #[inline]
    pub(super) fn is_hot(&self) -> bool {
        self.hot
    }

    /// Whether it can be, by a way that is almost as short.
    #[inline]
    pub(super) fn is_warm(&self) -> bool {
        self.warm
    }

    /// Whether it can be, with members that have different short ways.
    #[inline]
    pub(super) fn is_mild(&self) -> bool {
        self.mild
    }

    /// Whether it is almost mild, but that pooled buffers come or go.
    #[inline]
    pub(super) fn pools(&self) -> bool {
        self.pools
    }

    /// Whether one completion says that all of it has succeeded, and there is nothing to be done then but what its plan
    /// says.
    #[inline]
    pub(super) fn is_awaited_as_one(&self) -> bool {
        self.simple && self.completions == 1
    }

    pub(super) fn check(plan: &Plan, bounds: &Bounds<'_>) -> Result<Template, PlanError> {
        let count = plan.members.len();
        let limit = bounds.longest_list.min(MAX_STEPS) as usize;
        if count > limit {
            return Err(PlanError::TooLong { members: count, limit });
        }
        let last = count.checked_sub(1).ok_or(PlanError::Empty)?;
        // Who gives a buffer back before the segment ends says when.
        let gives_back = |transfer: &Transfer| transfer.extra.gives_back != 0;
        // And so does who has a cleanup behind it, which does not wait for its success.
        let tells = |transfer: &Transfer| gives_back(transfer) || transfer.extra.hard;
        let first = plan.members.iter().position(tells).filter(|_| bounds.skip);
        let reports = first.unwrap_or(if bounds.skip { last } else { 0 });
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

/// Lets each template know whether its successor is submitted by the shortest way, and the gate of checked code behind it; not
/// those that empty an outbox, which the shortest way does not look for.
pub(super) fn join(templates: &mut [Template], code: &Code) {
    for i in (0..templates.len()).filter(|i| templates[*i].outbox == NO_OUTBOX).collect::<Vec<_>>() {
        let Template { successor, code: pc, .. } = templates[i];
        if templates.get(usize::from(successor)).is_some_and(|next| next.hot) {
            templates[i].then = successor;
        }
        // The count is written first, where it is a number that code then writes.
        let gate = Gate::of(code, pc, templates).filter(|gate| gate.to != templates[i].into);
        templates[i].gate = gate.unwrap_or(Gate::NONE);
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
