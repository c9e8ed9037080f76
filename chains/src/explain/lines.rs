//! What a single line does, in words.

use chainring_runtime::frame::Moves;

use super::Explain;
use crate::compile::flow::{Inst, Line};
use crate::compile::member::Io;
use crate::expr::{Expr, Node, name};
use crate::handle::{Reg, SpanLen};
use crate::tree::Compute;

impl Explain<'_> {
    /// A line that is no operation, with the number of its step.
    pub(super) fn told(&self, line: &Line) -> String {
        let text = match &line.inst {
            Inst::InOrder => return "in order".to_owned(),
            Inst::Compute(compute) => computed(compute),
            Inst::Ensure(cond, code) => {
                format!("ensure {cond} else \"{}\"", std::io::Error::from_raw_os_error(*code))
            }
            Inst::Fail(errno) => format!("fail with {errno}"),
            Inst::Call(..) => "call".to_owned(),
            Inst::Fetch(..) => "call_async".to_owned(),
            Inst::Store(..) => "store".to_owned(),
            Inst::MakePipe(pipe) => format!("a pipe {} {}", pipe.write, pipe.read),
            Inst::Sleep(time) => format!("sleep {}", duration(time)),
            Inst::Arm(time, _) => format!("within {}", duration(time)),
            Inst::Disarm(_) => "its deadline ends".to_owned(),
            Inst::Sync(sync) => self.things.tell(sync).to_string(),
            Inst::Io(_) | Inst::Finish => line.name.to_owned(),
            Inst::Unless(cond, to) => format!("unless {cond} go to {to}"),
            Inst::Jump(to) => format!("go to {to}"),
            Inst::Fork(_) => format!("{}: all branches", line.name),
            Inst::Branch(next) => format!("a branch; the next one, or what follows, is at {next}"),
            Inst::Pass => "this turn is done".to_owned(),
            Inst::Join(to) => format!("this branch is done; all of them go on at {to}"),
        };
        let moved = if line.hoisted.is_some() { " (moved up)" } else { "" };
        format!("{text} #{}{moved}", line.step)
    }
}

/// A time in nanoseconds.
fn duration(time: &Expr) -> String {
    match time.0 {
        Node::Const(nanoseconds) => format!("{:?}", std::time::Duration::from_nanos(nanoseconds)),
        _ => format!("{time} ns"),
    }
}

pub(super) fn arguments(member: &Io) -> String {
    let place = if member.verb.has_place() { member.place.to_string() } else { String::new() };
    let arrow = match member.verb.moves() {
        Moves::In => " ->",
        Moves::Out => " <-",
        Moves::Nothing | Moves::Past => "",
    };
    let spans: String = member.spans.iter().map(|span| format!(" {span}")).collect();
    let outbox = member.outbox.map(|outbox| format!(" <- o{}", outbox.index)).unwrap_or_default();
    let arrow = if outbox.is_empty() && member.verb.has_place() { arrow } else { "" };
    let at = member.position.map(|reg| format!(" at {reg}")).unwrap_or_default();
    let second = member.second.map(|second| format!(" <- {second}")).unwrap_or_default();
    let passes = match member.passes {
        Some(SpanLen::Fixed(len)) => format!(" {len}"),
        Some(SpanLen::Reg(reg)) => format!(" {reg}"),
        None => String::new(),
    };
    let target = member.target.map(|(_, path)| format!(" -> {path}")).unwrap_or_default();
    let amount = member.amount.map(|reg| format!(" for {reg}")).unwrap_or_default();
    let into = member.into.map(|reg| format!(", count -> {reg}")).unwrap_or_default();
    let text = format!("{place}{arrow}{outbox}{second}{passes}{spans}{target}{at}{amount}{into}");
    text.trim_start().to_owned()
}

fn was(into: &Option<Reg>) -> String {
    into.map(|reg| format!(", was -> {reg}")).unwrap_or_default()
}

fn computed(compute: &Compute) -> String {
    match compute {
        Compute::Set(reg, value) => format!("{reg} = {value}"),
        Compute::SetWord(word, value) => format!("{word} = {value}"),
        Compute::Add(word, by, into) => format!("{word} += {by}{}", was(into)),
        Compute::Exchange { word, current, new, into } => {
            format!("{word} = {new} if it is {current}{}", was(into))
        }
        Compute::Store { buf, at, order, value } => format!("{buf}.{}({at}) = {value}", name(*order)),
        Compute::Copy { to, from } => format!("{to} = {from}"),
        Compute::Append(outbox, span) => format!("o{} += {span}", outbox.index),
        Compute::AppendNumber(outbox, order, value) => {
            format!("o{} += {}({value})", outbox.index, order.map_or("decimal", name))
        }
        Compute::Compact(stream) => format!("make room in {}", stream.buf),
    }
}
