//! What each pass of the compiler has made of the one before.

use std::fmt;

use super::Explain;
use super::lines::arguments;
use crate::compile::flow::{Inst, Line, Pc};
use crate::compile::live::Live;

/// Prints, pass by pass: the lines that blocks were flattened to, with every edge; the registers that are live before each;
/// what was moved up; which lines each segment is made of; and the code between segments, op by op.
///
/// It is for who works on the compiler, or wonders what it saw. The text may change with any version.
pub struct Passes<'e>(pub(super) &'e Explain<'e>);

impl fmt::Display for Passes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.0.flow;
        writeln!(f, "chain {}, pass by pass", self.0.name)?;

        writeln!(f, "\n  flatten: blocks are lines")?;
        let written = flow.unhoisted();
        written.iter().enumerate().try_for_each(|(pc, line)| self.line(f, pc, line))?;

        writeln!(f, "\n  hoist: what could be submitted together stands together")?;
        let moved = flow.lines.iter().enumerate().filter_map(|(to, line)| Some((line.hoisted?, to)));
        let moved: Vec<String> =
            moved.map(|(from, to)| format!("    line {from} is line {to} now")).collect();
        writeln!(f, "{}", if moved.is_empty() { "    nothing moves".to_owned() } else { moved.join("\n") })?;

        writeln!(f, "\n  live: registers that are read later, before each line")?;
        let live = Live::new(flow, self.0.registers);
        for pc in 0..flow.lines.len() {
            let names: Vec<String> = live.before(pc).map(|number| format!("r{number}")).collect();
            if !names.is_empty() {
                writeln!(f, "    {pc:>4}  {}", names.join(" "))?;
            }
        }

        writeln!(f, "\n  segment: what is submitted at once")?;
        for (number, segment) in self.0.segments.all.iter().enumerate() {
            let members: Vec<String> = segment.members.iter().map(Pc::to_string).collect();
            let next = segment.next;
            writeln!(
                f,
                "    {number:>4}  lines {}; then line {next}: {}",
                members.join(" "),
                segment.boundary
            )?;
        }

        writeln!(f, "\n  code: what runs between segments")?;
        let generated = &self.0.generated;
        for (number, op) in generated.code.ops.iter().enumerate() {
            let instead = generated.instead[number] as usize;
            let merged =
                if instead == number { String::new() } else { format!("; segments go on at {instead}") };
            writeln!(f, "    {number:>4}  line {:<4} {op:?}{merged}", generated.lines[number])?;
        }
        for (number, bulk) in generated.code.bulk.iter().enumerate() {
            writeln!(f, "    bulk {number}: {bulk:?}")?;
        }
        for (number, exit) in generated.exits.iter().enumerate() {
            writeln!(f, "    exit {number}: {exit:?}")?;
        }
        Ok(())
    }
}

impl Passes<'_> {
    fn line(&self, f: &mut fmt::Formatter<'_>, pc: Pc, line: &Line) -> fmt::Result {
        let text = match &line.inst {
            Inst::Io(io) => format!("{} #{:<3} {}", line.name, line.step, arguments(io)),
            _ => self.0.told(line).replace(" (moved up)", ""),
        };
        let handler = line.handler.map(|handler| format!("; an error leads to {}", handler.to));
        let scope = line.scope.map(|scope| {
            format!("; under the deadline of line {}", self.0.flow.scopes[usize::from(scope)].arm)
        });
        writeln!(f, "    {pc:>4}  {text}{}{}", handler.unwrap_or_default(), scope.unwrap_or_default())
    }
}

impl fmt::Debug for Passes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
