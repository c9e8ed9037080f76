//! Code that does the same and then jumps to where the other goes on anyway: whoever comes to it comes to the other.
//!
//! A loop that receives at its end what was first received in front of it (`fill; repeat { ..; fill }`) does twice what
//! belongs to receiving, and jumps back to where the first time leads on to:
//!
//! ```text
//!    3  r1 = r1 + r3       what belongs to the first fill
//!    4  ..                 the loop
//!   18  r1 = r1 + r3       what belongs to the second: who comes to 18 comes to 3 instead
//!   19  jump to 4
//! ```

use chainring_runtime::frame::Op;

use super::super::flow::Line;
use super::Generated;

/// Leads those that come to such code to the other. It stays where it is, and nobody comes to it any more.
pub(super) fn merge(made: &mut Generated, lines: &[Line]) {
    let ops = &made.code.ops;
    let mut instead: Vec<u32> = (0..ops.len() as u32).collect();
    for (jump, op) in ops.iter().enumerate() {
        let Op::Jump { to } = *op else { continue };
        let to = to as usize;
        for distance in 1..=to.min(jump) {
            let (this, other) = (jump - distance, to - distance);
            let is_same = ops[this] == ops[other] && only_computes(&ops[this]) && this != other;
            if !is_same || !stand_alike(&lines[made.lines[this]], &lines[made.lines[other]]) {
                break;
            }
            instead[this] = other as u32;
        }
    }
    let instead = |to: u32| instead[to as usize];
    made.entries.iter_mut().flatten().for_each(|entry| *entry = instead(*entry));
    made.code.ops.iter_mut().filter_map(target).for_each(|to| *to = instead(*to));
}

/// Whether an op does nothing but to compute: it has no line of its own, because it never fails.
fn only_computes(op: &Op) -> bool {
    match op {
        Op::Set { .. } | Op::Move { .. } | Op::Load { .. } | Op::Store { .. } => true,
        Op::Binary { operator, .. } | Op::BinaryBy { operator, .. } => !operator.can_trap(),
        _ => false,
    }
}

/// Whether a deadline, or a cancel, that comes upon a frame here does the same to it there.
fn stand_alike(a: &Line, b: &Line) -> bool {
    (a.handler, a.branch, a.group, a.scope) == (b.handler, b.branch, b.group, b.scope)
}

/// Where an op leads, if not only to the next one.
pub(super) fn target(op: &mut Op) -> Option<&mut u32> {
    match op {
        Op::Jump { to } | Op::Unless { to, .. } | Op::UnlessCompared { to, .. } => Some(to),
        Op::UnlessWithin { to, .. } | Op::IfWithin { to, .. } => Some(to),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use chainring_runtime::frame::{Code, Operator};

    use super::*;
    use crate::compile::flow::Inst;

    fn line(scope: Option<u16>) -> Line {
        Line {
            inst: Inst::Finish,
            step: 0,
            name: "",
            written: true,
            hoisted: None,
            handler: None,
            branch: None,
            group: None,
            scope,
        }
    }

    /// What op 5, of line 1, is entered at: `first` and `second` stand in front of what follows, and `other` and `behind` in
    /// front of a jump to it.
    fn entered([first, second, other, behind]: [Op; 4], scope: Option<u16>) -> [Option<u32>; 2] {
        let ops = vec![first, second, Op::Leave(0), Op::Jump { to: 4 }, other, behind, Op::Jump { to: 2 }];
        let entries = vec![Some(4), Some(5)];
        let code = Code { ops, bulk: Vec::new() };
        let mut made = Generated { code, lines: vec![0, 0, 0, 0, 1, 1, 1], entries, ..Generated::default() };
        merge(&mut made, &[line(None), line(scope)]);
        assert_eq!(made.code.ops[3], Op::Jump { to: made.entries[0].unwrap() }, "jumps lead there, too");
        made.entries.try_into().unwrap()
    }

    #[test]
    fn code_that_is_there_twice_is_come_to_once() {
        let add = |value| Op::BinaryBy { operator: Operator::Add, to: 0, a: 0, value };
        assert_eq!(entered([add(1), add(2), add(1), add(2)], None), [Some(0), Some(1)]);
        assert_eq!(entered([add(3), add(2), add(1), add(2)], None), [Some(4), Some(1)]);
        assert_eq!(entered([add(1), add(3), add(1), add(2)], None), [Some(4), Some(5)]);
    }

    #[test]
    fn code_that_can_fail_or_stands_under_another_deadline_is_not() {
        let divide = Op::Binary { operator: Operator::Div, to: 0, a: 0, b: 1 };
        let (set, bulk) = (Op::Set { to: 0, value: 1 }, Op::Bulk(0));
        assert_eq!(entered([set, divide, set, divide], None), [Some(4), Some(5)]);
        assert_eq!(entered([set, bulk, set, bulk], None), [Some(4), Some(5)]);
        assert_eq!(entered([set, set, set, set], Some(0)), [Some(4), Some(5)]);
    }
}
