//! A random program's numbers become expressions of the builder.

use chainring_chains::{Buf, Expr as Value, Order};

use super::lower::Lowerer;
use super::program::{Expr, HELD, Op};

impl Lowerer {
    pub(super) fn expr(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Const(value) => Value::from(*value),
            Expr::Reg(HELD) => self.stream.len(),
            Expr::Reg(reg) => Value::from(self.regs[*reg]),
            Expr::Word(word) => Value::from(self.words[*word]),
            Expr::Load { buf, offset, width, big } => {
                load(self.bufs[*buf], Value::from(*offset), order(*width, *big))
            }
            Expr::LoadAt { buf, index, width, big } => {
                load(self.bufs[*buf], self.expr(index), order(*width, *big))
            }
            Expr::Find { span, byte } => self.span(span).find(self.expr(byte)),
            Expr::FindBytes(a, b) => self.span(a).find_bytes(self.span(b)),
            Expr::Partition { span, width, big, stride, key, or_equal } => {
                let (span, order, key) = (self.span(span), order(*width, *big), self.expr(key));
                match or_equal {
                    true => span.partition_le(order, *stride, key),
                    false => span.partition_lt(order, *stride, key),
                }
            }
            Expr::Equals(a, b) => self.span(a).equals(self.span(b)),
            Expr::Hash(span) => self.span(span).hash(),
            Expr::Binary(op, operands) => {
                let [a, b] = [&operands[0], &operands[1]].map(|operand| self.expr(operand));
                match op {
                    Op::Add => a + b,
                    Op::Sub => a - b,
                    Op::Mul => a * b,
                    Op::Div => a / b,
                    Op::Rem => a % b,
                    Op::And => a & b,
                    Op::Or => a | b,
                    Op::Xor => a ^ b,
                    Op::Shl => a << b,
                    Op::Shr => a >> b,
                    Op::Eq => a.eq(b),
                    Op::Ne => a.ne(b),
                    Op::Lt => a.lt(b),
                    Op::Le => a.le(b),
                    Op::Gt => a.gt(b),
                    Op::Ge => a.ge(b),
                }
            }
        }
    }
}

pub(super) fn order(width: u32, big: bool) -> Order {
    match (width, big) {
        (1, _) => Order::U8,
        (2, true) => Order::Be16,
        (4, true) => Order::Be32,
        (8, true) => Order::Be64,
        (2, false) => Order::Le16,
        (4, false) => Order::Le32,
        (8, false) => Order::Le64,
        _ => panic!("there are no numbers of {width} bytes"),
    }
}

fn load(buf: Buf, at: Value, order: Order) -> Value {
    match order {
        Order::U8 => buf.u8(at),
        Order::Be16 => buf.be16(at),
        Order::Be32 => buf.be32(at),
        Order::Be64 => buf.be64(at),
        Order::Le16 => buf.le16(at),
        Order::Le32 => buf.le32(at),
        Order::Le64 => buf.le64(at),
    }
}
