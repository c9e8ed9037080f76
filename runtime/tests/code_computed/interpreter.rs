//! The interpreter: each op as its documentation says it, with nothing clever.

use chainring_runtime::frame::{Area, Bulk, Code, Len, OnWord, Op, Operator, Order, Trap};

/// Jumps back that it follows.
pub(crate) const BACK: u32 = 30_000;

/// What code works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) registers: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) constants: Vec<u8>,
    /// The word of the core, the small one, the large one.
    pub(crate) words: [u64; 3],
    /// How much is in the outbox.
    pub(crate) appended: usize,
}

/// How code has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Left(u32),
    Trapped(usize, Trap),
    Endless,
}

fn outside(end: u64, room: u32) -> Trap {
    Trap::Bounds { end, room }
}

impl Machine {
    pub(crate) fn run(&mut self, code: &Code) -> End {
        let (mut pc, mut back) = (0, 0);
        loop {
            let next = match self.step(code, pc) {
                Ok(Ok(next)) => next,
                Ok(Err(left)) => return End::Left(left),
                Err(trap) => return End::Trapped(pc, trap),
            };
            back += u32::from(next <= pc);
            if back > BACK {
                return End::Endless;
            }
            pc = next;
        }
    }

    /// Where code goes on behind an op, or that it leaves.
    fn step(&mut self, code: &Code, pc: usize) -> Result<Result<usize, u32>, Trap> {
        let value = |register: u16| self.registers[usize::from(register)];
        let mut next = pc + 1;
        match code.ops[pc] {
            Op::Set { to, value } => self.registers[usize::from(to)] = value,
            Op::Move { to, from } => self.registers[usize::from(to)] = value(from),
            Op::Binary { operator, to, a, b } => {
                self.registers[usize::from(to)] = apply(operator, value(a), value(b))?;
            }
            Op::BinaryBy { operator, to, a, value: b } => {
                self.registers[usize::from(to)] = apply(operator, value(a), b)?;
            }
            Op::Load { order, to, at } => {
                self.registers[usize::from(to)] = load(order, &self.bytes[at as usize..]);
            }
            Op::LoadAtMost { order, to, at, most, or } => {
                let value = load(order, &self.bytes[at as usize..]);
                self.registers[usize::from(to)] = value;
                next = if value > u64::from(most) { or as usize } else { pc + 2 };
            }
            Op::LoadAt { order, to, index, start, room } => {
                let at = inside(value(index), order.width().into(), room)?;
                self.registers[usize::from(to)] = load(order, &self.bytes[start as usize + at..]);
            }
            Op::Store { order, from, at } => {
                let value = value(from);
                store(order, &mut self.bytes[at as usize..], value);
            }
            Op::StoreAt { order, from, index, start, room } => {
                let (at, value) = (inside(value(index), order.width().into(), room)?, value(from));
                store(order, &mut self.bytes[start as usize + at..], value);
            }
            Op::Bulk(number) => self.bulk(&code.bulk[usize::from(number)])?,
            Op::Unless { condition, to } if value(condition) == 0 => next = to as usize,
            Op::UnlessWithin { a, low, span, to } if !within(value(a), low, span) => next = to as usize,
            Op::IfWithin { a, low, span, to } if within(value(a), low, span) => next = to as usize,
            Op::UnlessCompared { operator, a, b, to } => {
                if apply(operator, value(a), value(b)) != Ok(1) {
                    next = to as usize;
                }
            }
            Op::Take { by, len, or, .. } if value(by) > value(len) => next = or as usize,
            Op::Take { by, len, from, .. } => {
                let (taken, held) = (value(by), value(len));
                self.registers[usize::from(from)] = value(from).wrapping_add(taken);
                self.registers[usize::from(len)] = held - taken;
                next = pc + 3;
            }
            Op::TakeSum { to, a, plus, len, from, or } => {
                let taken = value(a).wrapping_add(plus.into());
                self.registers[usize::from(to)] = taken;
                let held = self.registers[usize::from(len)];
                next = or as usize;
                if taken <= held {
                    let before = self.registers[usize::from(from)];
                    self.registers[usize::from(from)] = before.wrapping_add(taken);
                    self.registers[usize::from(len)] = held - taken;
                    next = pc + 4;
                }
            }
            Op::BulkUnless { number, a, b, or } => {
                self.bulk(&code.bulk[usize::from(number)])?;
                let is_same = self.registers[usize::from(a)] == self.registers[usize::from(b)];
                next = if is_same { or as usize } else { pc + 2 };
            }
            Op::Lend { len, .. } if self.appended == 0 => (self.appended, next) = (len as usize, pc + 2),
            Op::Rewind { room, from, len, end, left } if value(len) == 0 && value(from) <= room.into() => {
                (self.registers[usize::from(from)], self.registers[usize::from(end)]) = (0, 0);
                self.registers[usize::from(left)] = room.into();
                next = pc + 2;
            }
            Op::Lend { .. } | Op::Rewind { .. } => {}
            Op::Unless { .. } | Op::UnlessWithin { .. } | Op::IfWithin { .. } => {}
            Op::Jump { to } => next = to as usize,
            Op::Leave(number) => return Ok(Err(number)),
            Op::Submit(_) => unreachable!("there are no segments"),
        }
        Ok(Ok(next))
    }

    /// The bytes of an area.
    fn range(&self, area: &Area) -> Result<std::ops::Range<usize>, Trap> {
        let start = area.start.map_or(0, |start| self.registers[usize::from(start)]);
        let len = match area.len {
            Len::Fixed(len) => len.into(),
            Len::Register { index, plus, .. } => {
                self.registers[usize::from(index)].saturating_add(plus.into())
            }
        };
        let start = area.offset as usize + inside(start, len, area.room)?;
        Ok(start..start + len as usize)
    }

    fn read(&self, area: &Area) -> Result<Vec<u8>, Trap> {
        let from = if area.constant { &self.constants } else { &self.bytes };
        Ok(from[self.range(area)?].to_vec())
    }

    fn bulk(&mut self, bulk: &Bulk) -> Result<(), Trap> {
        match bulk {
            Bulk::Copy { to, from } => {
                let (range, copied) = (self.range(to)?, self.read(from)?);
                if range.len() != copied.len() {
                    return Err(outside(copied.len() as u64, range.len() as u32));
                }
                self.bytes[range].copy_from_slice(&copied);
            }
            Bulk::Equal { to, a, b } => {
                self.registers[usize::from(*to)] = (self.read(a)? == self.read(b)?).into();
            }
            Bulk::Find { to, area, byte } => {
                let (bytes, byte) = (self.read(area)?, self.registers[usize::from(*byte)] % 256);
                let place = bytes.iter().take_while(|other| u64::from(**other) != byte).count();
                self.registers[usize::from(*to)] = place as u64;
            }
            Bulk::FindBytes { to, area, bytes } => {
                let (area, bytes) = (self.read(area)?, self.read(bytes)?);
                let found = (0..=area.len()).find(|at| area[*at..].starts_with(&bytes));
                self.registers[usize::from(*to)] = found.unwrap_or(area.len()) as u64;
            }
            Bulk::Partition { to, area, order, stride, key, or_equal } => {
                let (area, key) = (self.read(area)?, self.registers[usize::from(*key)]);
                let (stride, width) = (*stride as usize, order.width() as usize);
                let mut numbers: Vec<u64> = Vec::new();
                while numbers.len() * stride + width <= area.len() {
                    numbers.push(load(*order, &area[numbers.len() * stride..]));
                }
                // As they are: whatever order they are in, the halves are the same.
                let (mut from, mut to_be_searched) = (0, numbers.as_slice());
                if stride == width {
                    from = numbers.partition_point(|n| *n < key || *or_equal && *n == key);
                    to_be_searched = &[];
                }
                while !to_be_searched.is_empty() {
                    let half = to_be_searched.len() / 2;
                    if to_be_searched[half] < key || *or_equal && to_be_searched[half] == key {
                        from += half + 1;
                        to_be_searched = &to_be_searched[half + 1..];
                    } else {
                        to_be_searched = &to_be_searched[..half];
                    }
                }
                self.registers[usize::from(*to)] = from as u64;
            }
            Bulk::Append { area, .. } => self.appended += self.read(area)?.len(),
            Bulk::AppendNumber { from, order, .. } => {
                let digits = self.registers[usize::from(*from)].to_string().len();
                self.appended += order.map_or(digits, |order| order.width() as usize);
            }
            Bulk::Hash { to, area } => {
                let mut hash: u128 = 0xcbf2_9ce4_8422_2325;
                for byte in self.read(area)? {
                    hash = (hash ^ u128::from(byte)) * 0x100_0000_01b3 % (1 << 64);
                }
                self.registers[usize::from(*to)] = hash as u64;
            }
            Bulk::Load { order, to, area } => {
                self.registers[usize::from(*to)] = load(*order, &self.read(area)?);
            }
            Bulk::Store { order, from, area } => {
                let (range, value) = (self.range(area)?, self.registers[usize::from(*from)]);
                store(*order, &mut self.bytes[range], value);
            }
            Bulk::GiveBack(_) => unreachable!("there are no pooled buffers here"),
            Bulk::Compact { offset, room, from, len, end, left } => {
                let (mut start, count) =
                    (self.registers[usize::from(*from)], self.registers[usize::from(*len)]);
                let Ok(place) = inside(start, count, *room) else {
                    self.registers[usize::from(*end)] = start;
                    self.registers[usize::from(*left)] = u64::MAX;
                    return Ok(());
                };
                if count == 0 || place as u64 + count == u64::from(*room) {
                    let front = *offset as usize;
                    let moved = self.bytes[front + place..][..count as usize].to_vec();
                    self.bytes[front..front + moved.len()].copy_from_slice(&moved);
                    start = 0;
                }
                let room_left = u64::from(*room) - start - count;
                self.registers[usize::from(*from)] = start;
                self.registers[usize::from(*end)] = start + count;
                self.registers[usize::from(*left)] = if room_left == 0 { 1 } else { room_left };
            }
            Bulk::Word(on_word) => self.on_word(*on_word),
        }
        Ok(())
    }

    fn on_word(&mut self, on_word: OnWord) {
        let value = |register: u16| self.registers[usize::from(register)];
        let (to, word, new) = match on_word {
            OnWord::Load { to, word } => (Some(to), word, None),
            OnWord::Store { word, from } => (None, word, Some(value(from))),
            OnWord::Add { to, word, by } => {
                let sum = u128::from(self.words[usize::from(word)]) + u128::from(value(by));
                (Some(to), word, Some((sum % (1 << 64)) as u64))
            }
            OnWord::Exchange { to, word, current, new } => {
                let is_current = self.words[usize::from(word)] == value(current);
                (Some(to), word, is_current.then(|| value(new)))
            }
        };
        let held = &mut self.words[usize::from(word)];
        let before = *held;
        *held = new.map_or(before, |new| if word == 1 { new % (1 << 32) } else { new });
        if let Some(to) = to {
            self.registers[usize::from(to)] = before;
        }
    }
}

fn within(a: u64, low: u32, span: u32) -> bool {
    (u64::from(low)..=u64::from(low) + u64::from(span)).contains(&a)
}

/// The place of `len` bytes at `start`, if they lie within `room`.
fn inside(start: u64, len: u64, room: u32) -> Result<usize, Trap> {
    let end = u128::from(start) + u128::from(len);
    if end <= room.into() { Ok(start as usize) } else { Err(outside(start.saturating_add(len), room)) }
}

fn apply(operator: Operator, a: u64, b: u64) -> Result<u64, Trap> {
    let (wide_a, wide_b) = (u128::from(a), u128::from(b));
    let whole = 1 << 64;
    let wide = match operator {
        Operator::Add => (wide_a + wide_b) % whole,
        Operator::Sub => (whole + wide_a - wide_b) % whole,
        Operator::Mul => wide_a * wide_b % whole,
        Operator::Div | Operator::Rem if b == 0 => return Err(Trap::Division),
        Operator::Div => wide_a / wide_b,
        Operator::Rem => wide_a % wide_b,
        Operator::And => wide_a & wide_b,
        Operator::Or => wide_a | wide_b,
        Operator::Xor => wide_a ^ wide_b,
        Operator::Shl | Operator::Shr if b > 63 => 0,
        Operator::Shl => (wide_a << b) % whole,
        Operator::Shr => wide_a >> b,
        Operator::Eq => (a == b).into(),
        Operator::Ne => (a != b).into(),
        Operator::Lt => (a < b).into(),
        Operator::Le => (a <= b).into(),
        Operator::Gt => (a > b).into(),
        Operator::Ge => (a >= b).into(),
    };
    Ok(wide as u64)
}

fn is_big(order: Order) -> bool {
    matches!(order, Order::U8 | Order::Be16 | Order::Be32 | Order::Be64)
}

fn load(order: Order, bytes: &[u8]) -> u64 {
    let mut bytes = bytes[..order.width() as usize].to_vec();
    if !is_big(order) {
        bytes.reverse();
    }
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn store(order: Order, bytes: &mut [u8], value: u64) {
    let width = order.width() as usize;
    for i in 0..width {
        let place = if is_big(order) { width - 1 - i } else { i };
        bytes[place] = (value >> (8 * i)) as u8;
    }
}
