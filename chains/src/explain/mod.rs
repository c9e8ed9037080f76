//! How a program was compiled, for people.

mod dot;
mod errors;
mod lines;
mod passes;

use std::fmt;

use chainring_runtime::frame::{Layout, Success};

use crate::compile::branches::BranchId;
use crate::compile::code::Generated;
use crate::compile::flow::{Flow, Inst, Line, Pc, io};
use crate::compile::member::Io;
use crate::compile::segment::{Segment, Segments};
use crate::handle::Buf;
use crate::sync::Things;
use crate::tree::OnEnd;
use dot::dot;
use lines::arguments;
pub use passes::Passes;

/// A report that prints as text: where errors lead; each segment with its members, its submissions and completions, why
/// it ends where it does, and what runs before the next one.
///
/// `s0` is a socket, `f1` a file, `r0` a register, `b0` a buffer, `p1` a pooled one, `v2` an owned one, `k0` a constant, `w0` a
/// word that others see too, `#1` the number of a step.
pub struct Explain<'p> {
    pub(crate) name: &'p str,
    pub(crate) flow: &'p Flow,
    pub(crate) layout: Layout,
    pub(crate) registers: u16,
    pub(crate) segments: Segments,
    pub(crate) generated: Generated,
    pub(crate) pooled: &'p [Buf],
    pub(crate) things: &'p Things,
    /// Whether the ring skips the completions of members that succeed.
    pub(crate) skips: bool,
}

impl<'p> Explain<'p> {
    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.segments.all.len()
    }

    /// What each pass of the compiler has made of the one before: for whom the segments are a surprise.
    pub fn passes(&self) -> Passes<'_> {
        Passes(self)
    }

    /// The same as a graph in the language of graphviz: `dot -Tsvg`. Segments are boxes, solid edges lead to what follows,
    /// dashed ones to where an error is handled.
    pub fn dot(&self) -> String {
        dot(self.name, self.flow, &self.segments)
    }

    fn segment(&self, f: &mut fmt::Formatter<'_>, number: usize, segment: &Segment) -> fmt::Result {
        let count = segment.members.len();
        let lowering = match count {
            1 => "single",
            _ if segment.hard => "hardlinked",
            _ => "linked",
        };
        let lowering = match self.flow.lines[segment.members[0]].branch {
            Some(branch) => format!("parallel ({}), {lowering}", self.beside(branch)),
            None => lowering.to_owned(),
        };
        // From the first on that says when it is done with a pooled buffer, everybody reports.
        let gives_back = segment.gives_back.iter().position(|which| *which != 0).unwrap_or(count - 1);
        let reports = gives_back.min(if segment.hard { count - 2 } else { count - 1 });
        let completions = if self.skips { count - reports } else { count };
        writeln!(
            f,
            "\n  segment {number}: {lowering}, {} submitted at once, {}",
            amount(count, "SQE"),
            amount(completions, "completion"),
        )?;
        for (i, pc) in segment.members.iter().enumerate() {
            let line = &self.flow.lines[*pc];
            let member = io(self.flow, *pc).expect("members are operations");
            let step = format!("{} #{}", line.name, line.step);
            let link = match count - i {
                1 => None,
                2 if segment.hard => Some("hardlink"),
                _ => Some("link"),
            };
            let flags = self.flags(*pc, member, link, i < reports, segment.gives_back[i]);
            let text = format!("    {step:<16} {:<32} {flags}", arguments(member));
            writeln!(f, "{}", text.trim_end())?;
        }
        writeln!(f, "    ends because {}", segment.boundary)?;
        writeln!(f, "    then {}", self.code(segment.next))
    }

    /// What the kernel and the runner are told about a member.
    fn flags(&self, pc: Pc, member: &Io, link: Option<&str>, silent: bool, gives_back: u64) -> String {
        let mut flags = Vec::new();
        if let Some(link) = link {
            flags.push(link.to_owned());
            if self.skips && silent {
                flags.push("skip".to_owned());
            }
        }
        if member.verb.success() == Success::Whole && member.position.is_none() {
            flags.push("waitall".to_owned());
        }
        if member.selects().is_some() {
            flags.push("select".to_owned());
        }
        if member.on_end == OnEnd::Finish {
            flags.push("or_finish".to_owned());
        }
        flags.extend(self.given_back(gives_back));
        flags.extend(
            self.flow.deadlines(pc).map(|scope| format!("within #{}", self.flow.lines[scope.arm].step)),
        );
        flags.join(" ")
    }

    /// What runs from `pc` on, up to the next segments.
    fn code(&self, pc: Pc) -> String {
        self.code_until(pc, Pc::MAX, &mut Vec::new()).0
    }

    /// The same, up to the line `end`; and whether it is reached. `seen` are the lines of the path to here.
    fn code_until(&self, mut pc: Pc, end: Pc, seen: &mut Vec<Pc>) -> (String, bool) {
        let (mut parts, before) = (Vec::new(), seen.len());
        let reached = loop {
            if pc == end {
                break true;
            }
            if seen.contains(&pc) {
                parts.push("again".to_owned());
                break false;
            }
            seen.push(pc);
            let line = &self.flow.lines[pc];
            let number = line.step;
            parts.extend(self.given_back(self.segments.gives_back[pc]));
            match &line.inst {
                Inst::Io(_) => {
                    let segment =
                        self.segments.starts[pc].expect("a segment starts wherever the flow arrives");
                    parts.push(format!("segment {segment}"));
                    break false;
                }
                Inst::Finish => {
                    parts.push("finish".to_owned());
                    break false;
                }
                Inst::Jump(to) => {
                    pc = *to;
                    continue;
                }
                Inst::Unless(cond, to) => {
                    let join = self.join(pc, *to);
                    let (then, then_joins) = self.code_until(pc + 1, join, seen);
                    let (otherwise, otherwise_joins) = self.code_until(*to, join, seen);
                    let mut text = format!("when {cond} #{number} {{ {then} }}");
                    if !otherwise.is_empty() {
                        text += &format!(" otherwise {{ {otherwise} }}");
                    }
                    parts.push(text);
                    if !then_joins && !otherwise_joins {
                        break false;
                    }
                    pc = join;
                    continue;
                }
                Inst::Fork(fork) => {
                    let (text, next) = self.fork(*fork, seen);
                    parts.push(format!("{} #{number} {text}", line.name));
                    pc = next;
                    continue;
                }
                Inst::Join(_) | Inst::Pass => {
                    parts.push(format!("end of {}", self.side_by_side(line)));
                    break false;
                }
                Inst::Fail(_) => {
                    parts.push(self.told(line));
                    break false;
                }
                Inst::Branch(_) => {}
                Inst::Compute(_) | Inst::Ensure(..) | Inst::Call(..) | Inst::Fetch(..) | Inst::Store(_) => {
                    parts.push(self.told(line));
                }
                Inst::MakePipe(_) | Inst::Sleep(_) | Inst::Sync(_) | Inst::Arm(..) | Inst::Disarm(_) => {
                    parts.push(self.told(line));
                }
                Inst::InOrder => parts.push(self.told(line)),
            }
            pc += 1;
        };
        seen.truncate(before);
        (parts.join("; "), reached)
    }

    /// The pooled buffers that are given back, by their names.
    fn given_back(&self, which: u64) -> Option<String> {
        let numbers = (0..u64::BITS).filter(|number| which & 1 << number != 0);
        let names: Vec<_> =
            numbers.filter_map(|number| self.pooled.get(number as usize)).map(Buf::to_string).collect();
        (!names.is_empty()).then(|| format!("gives back {}", names.join(" ")))
    }

    /// What starts side by side, and where the flow goes on.
    fn fork(&self, number: u16, seen: &mut Vec<Pc>) -> (String, Pc) {
        let fork = &self.flow.forks[usize::from(number)];
        let count = fork.branches.len();
        let mut starts = fork.branches.iter().map(|lines| self.code_until(lines.start, fork.next, seen).0);
        let text = if fork.is_pipelined() {
            format!("{{ {count} turns at once: {} }}", starts.next().unwrap_or_default())
        } else {
            let starts: Vec<String> = starts.collect();
            format!("{{ {} }} until {} of {count} have ended", starts.join(" | "), fork.need)
        };
        (text, fork.next)
    }

    /// What a segment runs beside.
    fn beside(&self, BranchId { fork, branch }: BranchId) -> String {
        let fork = &self.flow.forks[usize::from(fork)];
        let count = fork.branches.len();
        let head = &self.flow.lines[fork.branches[0].start];
        let what = if fork.is_pipelined() { "turn" } else { "branch" };
        format!("{what} {} of {count} of {} #{}", branch + 1, head.name, head.step)
    }

    fn side_by_side(&self, line: &Line) -> String {
        line.branch.map(|branch| self.beside(branch)).unwrap_or_default()
    }

    /// Whether it is a segment of a turn that is like the first one.
    fn is_copy(&self, segment: &Segment) -> bool {
        self.is_of_copy(self.flow.lines[segment.members[0]].branch)
    }

    /// Where the two blocks of the `when` at `pc` meet, whose condition leads to `otherwise` if it does not hold.
    fn join(&self, pc: Pc, otherwise: Pc) -> Pc {
        let skip = &self.flow.lines[otherwise - 1];
        match skip.inst {
            Inst::Jump(to) if !skip.written && skip.step == self.flow.lines[pc].step => to,
            _ => otherwise,
        }
    }
}

fn amount(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

impl fmt::Display for Explain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layout { descriptors, bytes, .. } = self.layout;
        writeln!(f, "chain {}: {}", self.name, amount(self.segments.all.len(), "segment"))?;
        let places = self.flow.lines.iter().filter_map(|line| match &line.inst {
            Inst::Io(io) if io.place.file => Some(io.place.index),
            _ => None,
        });
        let files = places.collect::<std::collections::BTreeSet<_>>().len();
        let mut sockets_and_files = amount(usize::from(descriptors) - files, "socket");
        if files > 0 {
            sockets_and_files += &format!(", {}", amount(files, "file"));
        }
        writeln!(
            f,
            "  each frame has {}, {} and {} of buffers",
            sockets_and_files,
            amount(self.registers.into(), "register"),
            amount(bytes as usize, "byte"),
        )?;
        if !self.pooled.is_empty() {
            let each = |buf: &Buf| format!("{buf} of {}", amount(buf.len as usize, "byte"));
            let all: Vec<_> = self.pooled.iter().map(each).collect();
            writeln!(f, "  and, only while it uses them, {}", all.join(", "))?;
        }
        writeln!(
            f,
            "  (s0: socket 0, r0: register 0, b0: buffer 0, #2: step 2; `skip` is silent unless it fails)"
        )?;
        writeln!(f, "  starts with {}", self.code(0))?;
        self.errors(f)?;
        let mut segments = self.segments.all.iter().enumerate();
        let mut segments = segments.by_ref().filter(|(_, segment)| !self.is_copy(segment));
        segments.try_for_each(|(number, segment)| self.segment(f, number, segment))
    }
}

impl fmt::Debug for Explain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
