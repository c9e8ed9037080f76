//! Random programs, and what they start with: small numbers more often than not, so that they hit what is there.

use chainring_runtime::frame::{Area, Bulk, Code, Len, OnWord, Op, Operator, Order};

use super::interpreter::Machine;
use super::{BYTES, CONSTANTS, REGISTERS};

/// Makes up programs.
pub(crate) struct Maker(pub(crate) fastrand::Rng);

impl Maker {
    fn register(&mut self) -> u16 {
        self.0.u16(..REGISTERS)
    }

    fn value(&mut self) -> u64 {
        match self.0.u8(..8) {
            0..4 => self.0.u64(..12),
            4 => self.0.u64(40..70),
            5 => self.0.choice([u64::MAX, 1 << 63, 1 << 32, (1 << 32) - 1]).expect("one of them"),
            _ => self.0.u64(..),
        }
    }

    fn operator(&mut self) -> Operator {
        use Operator::*;
        let all = [Add, Sub, Mul, Div, Rem, And, Or, Xor, Shl, Shr, Eq, Ne, Lt, Le, Gt, Ge];
        self.0.choice(all).expect("one of them")
    }

    fn order(&mut self) -> Order {
        use Order::*;
        self.0.choice([U8, Be16, Be32, Be64, Le16, Le32, Le64]).expect("one of them")
    }

    /// A part of so many bytes.
    fn room(&mut self, of: u32) -> (u32, u32) {
        let start = self.0.u32(..=of);
        (start, self.0.u32(..=of - start))
    }

    fn area(&mut self, constant: bool) -> Area {
        let (offset, room) = self.room(if constant { CONSTANTS } else { BYTES });
        let len = match self.0.bool() {
            true => Len::Fixed(self.0.u32(..=room + room / 8)),
            false => Len::Register { index: self.register(), plus: self.0.u32(..2), max: room },
        };
        let start = self.0.bool().then(|| self.register());
        Area { offset, start, room, len, constant, pooled: None }
    }

    fn bulk(&mut self) -> Bulk {
        let to = self.register();
        match self.0.u8(..13) {
            9 => {
                let (one, other) = (self.0.bool(), self.0.u8(..4) > 0);
                let mut bytes = self.area(other);
                if self.0.bool() {
                    (bytes.start, bytes.len) = (None, Len::Fixed(self.0.u32(..4)));
                }
                Bulk::FindBytes { to, area: self.area(one), bytes }
            }
            10 => {
                let (order, constant, or_equal) = (self.order(), self.0.bool(), self.0.bool());
                let stride = order.width() + self.0.u32(..3);
                let key = self.register();
                Bulk::Partition { to, area: self.area(constant), order, stride, key, or_equal }
            }
            11 => {
                let constant = self.0.bool();
                Bulk::Append { outbox: 0, area: self.area(constant) }
            }
            12 => {
                let order = self.0.bool().then(|| self.order());
                Bulk::AppendNumber { outbox: 0, from: self.register(), order }
            }
            5 | 6 => {
                let (order, area) = (self.order(), self.area(false));
                let room = area.room.max(order.width());
                let offset = area.offset.min(BYTES - room);
                let area = Area { offset, room, len: Len::Fixed(order.width()), ..area };
                if self.0.bool() {
                    Bulk::Load { order, to, area }
                } else {
                    Bulk::Store { order, from: to, area }
                }
            }
            0 => {
                let (to, constant) = (self.area(false), self.0.bool());
                let from = self.area(constant);
                // Of the same length, most of the time.
                let len = if self.0.u8(..4) > 0 { to.len } else { from.len };
                Bulk::Copy { to, from: Area { len, ..from } }
            }
            1 => {
                let (one, other) = (self.0.bool(), self.0.bool());
                Bulk::Equal { to, a: self.area(one), b: self.area(other) }
            }
            2 => {
                let constant = self.0.bool();
                Bulk::Find { to, area: self.area(constant), byte: self.register() }
            }
            3 => {
                let constant = self.0.bool();
                Bulk::Hash { to, area: self.area(constant) }
            }
            4 => Bulk::Word(self.on_word(to)),
            _ => {
                let (offset, room) = self.room(BYTES);
                let [from, len, end, left] = [(); 4].map(|()| self.register());
                Bulk::Compact { offset, room, from, len, end, left }
            }
        }
    }

    fn on_word(&mut self, to: u16) -> OnWord {
        let (word, a, b) = (self.0.u16(..3), self.register(), self.register());
        match self.0.u8(..4) {
            0 => OnWord::Load { to, word },
            1 => OnWord::Store { word, from: a },
            2 => OnWord::Add { to, word, by: a },
            _ => OnWord::Exchange { to, word, current: a, new: b },
        }
    }

    fn op(&mut self, ops: u32, bulk: u16) -> Op {
        let (to, a, b) = (self.register(), self.register(), self.register());
        let (order, target) = (self.order(), self.0.u32(..ops));
        match self.0.u8(..17) {
            0 | 1 => Op::Set { to, value: self.value() },
            2 => Op::Move { to, from: a },
            3 => Op::Binary { operator: self.operator(), to, a, b },
            4 | 5 => Op::BinaryBy { operator: self.operator(), to, a, value: self.value() },
            6 => Op::Load { order, to, at: self.0.u32(..=BYTES - order.width()) },
            7 => Op::Store { order, from: a, at: self.0.u32(..=BYTES - order.width()) },
            8 => {
                let (start, room) = self.room(BYTES);
                Op::LoadAt { order, to, index: a, start, room }
            }
            9 => {
                let (start, room) = self.room(BYTES);
                Op::StoreAt { order, from: b, index: a, start, room }
            }
            10 | 11 => Op::Bulk(self.0.u16(..bulk)),
            12 => {
                let (low, span) = (self.value() as u32, self.value() as u32);
                match self.0.u8(..6) {
                    5 => {
                        let (plus, from) = (self.value() as u16, self.register());
                        Op::TakeSum { to, a, plus, len: b, from, or: target }
                    }
                    3 => Op::UnlessCompared { operator: self.operator(), a, b, to: target },
                    4 => Op::Take { by: a, len: b, from: to, or: target },
                    0 => Op::Unless { condition: a, to: target },
                    1 => Op::UnlessWithin { a, low, span, to: target },
                    _ => Op::IfWithin { a, low, span, to: target },
                }
            }
            13 => {
                let (at, most) = (self.0.u32(..=BYTES - order.width()), self.value() as u32);
                Op::LoadAtMost { order, to, at, most, or: target }
            }
            14 => Op::BulkUnless { number: self.0.u16(..bulk), a, b, or: target },
            15 => match self.0.bool() {
                true => {
                    let from = self.0.u32(..CONSTANTS);
                    Op::Lend { outbox: 0, from, len: self.0.u32(1..=CONSTANTS - from) }
                }
                false => Op::Rewind {
                    room: self.0.u32(1..=BYTES),
                    from: to,
                    len: a,
                    end: b,
                    left: self.register(),
                },
            },
            _ => match self.0.bool() {
                true => Op::Jump { to: target },
                false => Op::Leave(self.0.u32(..)),
            },
        }
    }

    pub(crate) fn code(&mut self) -> Code {
        let bulk: Vec<Bulk> = (0..4).map(|_| self.bulk()).collect();
        let count = self.0.u32(1..24);
        let mut ops: Vec<Op> = (0..count).map(|_| self.op(count + 1, 4)).collect();
        // Four, because there are ops that go on behind the next three.
        ops.extend([(); 4].map(|()| Op::Leave(self.0.u32(..))));
        Code { ops, bulk }
    }

    pub(crate) fn machine(&mut self) -> Machine {
        Machine {
            registers: (0..REGISTERS).map(|_| self.value()).collect(),
            bytes: (0..BYTES).map(|_| self.0.u8(..4) * 85).collect(),
            constants: (0..CONSTANTS).map(|_| self.0.u8(..4) * 85).collect(),
            words: [self.value(), self.value() % (1 << 32), self.value()],
            appended: 0,
        }
    }
}
