//! Programs as text, for those who have to find out what is wrong with one: close to what the builder would be told.

use std::fmt;

use super::program::{Block, Call, Expr, Kind, Len, Op, Program, Span, Step};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (reg, value) in self.params.iter().enumerate() {
            if let Some(value) = value {
                writeln!(f, "      r{reg} starts as {value}")?;
            }
        }
        print(f, &self.body, 0)
    }
}

fn print(f: &mut fmt::Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for Step { number, kind } in block {
        write!(f, "{number:>4}  {indent}")?;
        match kind {
            Kind::When { cond, then, otherwise } => {
                writeln!(f, "when {cond} {{")?;
                print(f, then, depth + 1)?;
                if !otherwise.is_empty() {
                    writeln!(f, "      {indent}}} otherwise {{")?;
                    print(f, otherwise, depth + 1)?;
                }
                writeln!(f, "      {indent}}}")?;
            }
            Kind::Repeat { body } => {
                writeln!(f, "repeat {{")?;
                print(f, body, depth + 1)?;
                writeln!(f, "      {indent}}}")?;
            }
            simple => writeln!(f, "{simple}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = |spans: &[Span]| spans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let suffix = |into: &Option<usize>, or_finish: bool| {
            let into = into.map(|reg| format!(".into(r{reg})")).unwrap_or_default();
            into + if or_finish { ".or_finish()" } else { "" }
        };
        match self {
            Kind::Recv { socket, span, into, or_finish, .. } => {
                write!(f, "recv(s{socket}, {span}){}", suffix(into, *or_finish))
            }
            Kind::RecvExact { socket, span, into, or_finish } => {
                write!(f, "recv_exact(s{socket}, {span}){}", suffix(into, *or_finish))
            }
            Kind::SendAll { socket, spans: all, into } => {
                write!(f, "send_all(s{socket}, [{}]){}", spans(all), suffix(into, false))
            }
            Kind::Shutdown { socket } => write!(f, "shutdown(s{socket})"),
            Kind::Set { reg, value } => write!(f, "set(r{reg}, {value})"),
            Kind::Ensure { cond, code } => write!(f, "ensure({cond}, {code})"),
            Kind::When { cond, .. } => write!(f, "when {cond}"),
            Kind::Repeat { .. } => write!(f, "repeat"),
            Kind::Again => write!(f, "again"),
            Kind::Leave => write!(f, "leave"),
            Kind::Finish => write!(f, "finish"),
            Kind::Call(call) => match call {
                Call::Log(reg) => write!(f, "call: note that r{reg} bytes came"),
                Call::Observe => write!(f, "call: note all registers"),
                Call::Look(span, reg) => write!(f, "call: note {span} and r{reg}"),
                Call::Fill(span, seed) => write!(f, "call: fill {span} from {seed}"),
                Call::Mix { from, to, reg } => write!(f, "call: mix {from} and r{reg} into {to} and r{reg}"),
                Call::Decide(reg) => write!(f, "call: finish, fail or go on as r{reg} says"),
            },
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len {
            Len::Fixed(len) => write!(f, "b{}[{}..{}]", self.buf, self.from, self.from + len),
            Len::Reg(reg) => write!(f, "b{}.to(r{reg})", self.buf),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Const(value) => write!(f, "{value}"),
            Expr::Reg(reg) => write!(f, "r{reg}"),
            Expr::Load { buf, offset, width, big } => {
                write!(f, "b{buf}.{}{}({offset})", if *big { "be" } else { "le" }, width * 8)
            }
            Expr::Binary(op, operands) => {
                let sign = Op::ALL.iter().find(|(known, _)| known == op).map_or("?", |(_, sign)| *sign);
                write!(f, "({} {sign} {})", operands[0], operands[1])
            }
        }
    }
}
