//! How a program was compiled, as a graph: segments, and where each can lead.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::lines::arguments;
use crate::compile::flow::{Flow, Inst, Pc, io};
use crate::compile::paths::can_fail;
use crate::compile::segment::Segments;

/// Where the code behind a segment can lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Segment(u16),
    Finish,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Segment(number) => write!(f, "segment{number}"),
            End::Finish => write!(f, "finish"),
        }
    }
}

/// The graph in the language of graphviz. Dashed edges are those of errors that are handled.
pub(crate) fn dot(name: &str, flow: &Flow, segments: &Segments) -> String {
    let mut text = format!("digraph {name:?} {{\n  node [shape=box, fontname=monospace];\n");
    let mut line = |what: fmt::Arguments<'_>| writeln!(text, "  {what}").expect("a string takes it");
    line(format_args!("start [shape=point];"));
    line(format_args!("finish [shape=oval];"));
    for end in ends(flow, segments, 0) {
        line(format_args!("start -> {end};"));
    }
    for (number, segment) in segments.all.iter().enumerate() {
        let member = |pc: &Pc| {
            let io = io(flow, *pc).expect("members are operations");
            format!("{} #{} {}\\l", flow.lines[*pc].name, flow.lines[*pc].step, arguments(io))
        };
        let members: String = segment.members.iter().map(member).collect();
        line(format_args!("segment{number} [label=\"segment {number}\\l{members}\"];"));
        for end in ends(flow, segments, segment.next) {
            line(format_args!("segment{number} -> {end};"));
        }
        let handlers = segment.members.iter().flat_map(|pc| flow.handlers(*pc));
        let handled: BTreeSet<End> = handlers.flat_map(|handler| ends(flow, segments, handler.to)).collect();
        for end in handled {
            line(format_args!("segment{number} -> {end} [style=dashed];"));
        }
    }
    text.push_str("}\n");
    text
}

/// Where the flow can lead from a line on, without I/O.
fn ends(flow: &Flow, segments: &Segments, from: Pc) -> BTreeSet<End> {
    let (mut ends, mut seen, mut work) = (BTreeSet::new(), BTreeSet::new(), vec![from]);
    while let Some(pc) = work.pop() {
        if !seen.insert(pc) {
            continue;
        }
        let line = &flow.lines[pc];
        match &line.inst {
            Inst::Io(_) => {
                ends.extend(segments.starts[pc].map(End::Segment));
                continue;
            }
            Inst::Finish => {
                ends.insert(End::Finish);
                continue;
            }
            Inst::Fail(_) => {}
            Inst::Jump(to) | Inst::Join(to) => work.push(*to),
            Inst::Unless(_, to) => work.extend([*to, pc + 1]),
            // Behind the last head is what follows when branches have joined.
            Inst::Branch(to) if matches!(flow.lines[*to].inst, Inst::Branch(_)) => work.extend([*to, pc + 1]),
            Inst::Fork(_) | Inst::Branch(_) | Inst::InOrder | Inst::Pass => work.push(pc + 1),
            Inst::Compute(_) | Inst::Ensure(..) | Inst::Call(..) | Inst::Fetch(..) => work.push(pc + 1),
            Inst::Store(..) | Inst::Sleep(_) | Inst::Arm(..) | Inst::Disarm(_) => work.push(pc + 1),
            Inst::Sync(_) | Inst::MakePipe(_) => work.push(pc + 1),
        }
        // What fails between two segments leads to its handler as well.
        let failing = line.handler.filter(|_| can_fail(&line.inst));
        work.extend(failing.into_iter().chain(flow.struck(pc)).map(|handler| handler.to));
    }
    ends
}
