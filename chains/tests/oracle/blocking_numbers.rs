//! The twin's numbers: the value of an expression, and the steps that only compute.

use super::blocking::{Twin, Way, not_there};
use super::program::{BUFS, Expr, Op, Span};
use super::report::Failure;

impl Twin<'_> {
    pub(super) fn set(&mut self, reg: usize, value: &Expr) -> Result<Way, Failure> {
        self.regs[reg] = self.value(value)?;
        Ok(Way::On)
    }

    pub(super) fn store(
        &mut self,
        buf: usize,
        at: &Expr,
        width: u32,
        big: bool,
        value: &Expr,
    ) -> Result<Way, Failure> {
        let value = self.value(value)?;
        let range = self.number(buf, self.value(at)?, width)?;
        self.bufs[buf][range].copy_from_slice(&bytes(value, width, big));
        Ok(Way::On)
    }

    pub(super) fn copy(&mut self, to: &Span, from: &Span) -> Result<Way, Failure> {
        let (room, source) = (self.range(to)?, self.range(from)?);
        if room.len() != source.len() {
            return Err(Failure::Bounds { len: source.len() as u64, max: room.len() as u32, plus: 0 });
        }
        let bytes = self.bufs[from.buf][source].to_vec();
        self.bufs[to.buf][room].copy_from_slice(&bytes);
        Ok(Way::On)
    }

    pub(super) fn append(&mut self, span: &Span) -> Result<Way, Failure> {
        let bytes = &self.bufs[span.buf][self.range(span)?];
        self.outbox.extend_from_slice(bytes);
        Ok(Way::On)
    }

    pub(super) fn append_number(
        &mut self,
        width: Option<u32>,
        big: bool,
        value: &Expr,
    ) -> Result<Way, Failure> {
        let value = self.value(value)?;
        match width {
            None => self.outbox.extend_from_slice(value.to_string().as_bytes()),
            Some(width) => self.outbox.extend_from_slice(&bytes(value, width, big)),
        }
        Ok(Way::On)
    }

    /// Where a number of `width` bytes lies.
    fn number(&self, buf: usize, at: u64, width: u32) -> Result<std::ops::Range<usize>, Failure> {
        let (end, max) = (at.saturating_add(width.into()), BUFS[buf]);
        if end > max.into() {
            return Err(Failure::Bounds { len: end, max, plus: 0 });
        }
        if self.have[buf].is_some_and(|have| end > have as u64) {
            return Err(not_there());
        }
        Ok(at as usize..end as usize)
    }

    fn load(&self, buf: usize, at: u64, width: u32, big: bool) -> Result<u64, Failure> {
        let bytes = &self.bufs[buf][self.number(buf, at, width)?];
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(if big { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) })
    }

    pub(super) fn value(&self, expr: &Expr) -> Result<u64, Failure> {
        Ok(match expr {
            Expr::Const(value) => *value,
            Expr::Reg(reg) => self.regs[*reg],
            Expr::Word(word) => self.words[*word],
            Expr::Load { buf, offset, width, big } => self.load(*buf, (*offset).into(), *width, *big)?,
            Expr::LoadAt { buf, index, width, big } => self.load(*buf, self.value(index)?, *width, *big)?,
            Expr::Find { span, byte } => {
                let byte = self.value(byte)? as u8;
                let bytes = &self.bufs[span.buf][self.range(span)?];
                bytes.iter().position(|b| *b == byte).unwrap_or(bytes.len()) as u64
            }
            Expr::FindBytes(a, b) => {
                let (bytes, looked_for) = (self.range(a)?, self.range(b)?);
                let (bytes, looked_for) = (&self.bufs[a.buf][bytes], &self.bufs[b.buf][looked_for]);
                let found = (0..bytes.len()).find(|at| bytes[*at..].starts_with(looked_for));
                found.unwrap_or(bytes.len()) as u64
            }
            Expr::Partition { span, width, big, stride, key, or_equal } => {
                let (key, range) = (self.value(key)?, self.range(span)?);
                let at = |i: usize| range.start + i * *stride as usize;
                let count = (0..).take_while(|i| at(*i) + *width as usize <= range.end).count();
                let numbers: Vec<u64> = (0..count)
                    .map(|i| self.load(span.buf, at(i) as u64, *width, *big))
                    .collect::<Result<_, _>>()?;
                numbers.iter().filter(|number| **number < key || *or_equal && **number == key).count() as u64
            }
            Expr::Equals(a, b) => {
                let (x, y) = (self.range(a)?, self.range(b)?);
                (self.bufs[a.buf][x] == self.bufs[b.buf][y]).into()
            }
            Expr::Hash(span) => {
                let bytes = &self.bufs[span.buf][self.range(span)?];
                let step =
                    |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
                bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
            }
            Expr::Binary(op, operands) => binary(*op, self.value(&operands[0])?, self.value(&operands[1])?)?,
        })
    }
}

/// A number of `width` bytes.
fn bytes(value: u64, width: u32, big: bool) -> Vec<u8> {
    let mut bytes = value.to_le_bytes()[..width as usize].to_vec();
    if big {
        bytes.reverse();
    }
    bytes
}

fn binary(op: Op, a: u64, b: u64) -> Result<u64, Failure> {
    let shift = |shifted: u64| if b < 64 { shifted } else { 0 };
    Ok(match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::Div | Op::Rem if b == 0 => return Err(Failure::Division),
        Op::Div => a / b,
        Op::Rem => a % b,
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl => shift(a << (b & 63)),
        Op::Shr => shift(a >> (b & 63)),
        Op::Eq => (a == b).into(),
        Op::Ne => (a != b).into(),
        Op::Lt => (a < b).into(),
        Op::Le => (a <= b).into(),
        Op::Gt => (a > b).into(),
        Op::Ge => (a >= b).into(),
    })
}
