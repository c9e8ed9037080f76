//! Code that does the same and then jumps to where the other goes on anyway: a segment that leads to it leads to the other.
//!
//! A loop that receives at its end what was first received in front of it (`fill; repeat { ..; fill }`) does twice what
//! belongs to receiving, and jumps back to where the first time leads on to:
//!
//! ```text
//!    3  r1 = r1 + r3       what belongs to the first fill
//!    4  ..                 the loop
//!   18  r1 = r1 + r3       what belongs to the second: the segment goes on at 3 instead
//!   19  jump to 4
//! ```
//!
//! Jumps are left as they are: a frame can run out of fuel at one, and waits then where the jump leads to. What becomes of it
//! meanwhile is told by the line of that op.

use chainring_runtime::frame::Op;

use super::super::flow::Line;
use super::Generated;

/// For each op the one at which a segment that leads to it goes on instead.
pub(super) fn merge(made: &Generated, lines: &[Line]) -> Vec<u32> {
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
    instead
}

/// Whether an op does nothing but to compute: it never fails, and never waits.
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

    /// Where segments that lead to ops 3 and 4, of line 1, go on: `first` and `second` stand in front of what follows, and
    /// `other` and `behind` in front of a jump to it.
    fn entered([first, second, other, behind]: [Op; 4], scope: Option<u16>) -> [u32; 2] {
        let ops = vec![first, second, Op::Leave(0), other, behind, Op::Jump { to: 2 }];
        let code = Code { ops, bulk: Vec::new() };
        let made = Generated { code, lines: vec![0, 0, 0, 1, 1, 1], ..Generated::default() };
        let instead = merge(&made, &[line(None), line(scope)]);
        assert_eq!((&instead[..3], instead[5]), (&[0, 1, 2][..], 5), "all others stay");
        [instead[3], instead[4]]
    }

    #[test]
    fn segments_that_lead_to_code_that_is_there_twice_lead_to_the_first() {
        let add = |value| Op::BinaryBy { operator: Operator::Add, to: 0, a: 0, value };
        assert_eq!(entered([add(1), add(2), add(1), add(2)], None), [0, 1]);
        assert_eq!(entered([add(3), add(2), add(1), add(2)], None), [3, 1]);
        assert_eq!(entered([add(1), add(3), add(1), add(2)], None), [3, 4]);
    }

    #[test]
    fn code_that_can_fail_or_stands_under_another_deadline_is_not() {
        let divide = Op::Binary { operator: Operator::Div, to: 0, a: 0, b: 1 };
        let (set, bulk) = (Op::Set { to: 0, value: 1 }, Op::Bulk(0));
        assert_eq!(entered([set, divide, set, divide], None), [3, 4]);
        assert_eq!(entered([set, bulk, set, bulk], None), [3, 4]);
        assert_eq!(entered([set, set, set, set], Some(0)), [3, 4]);
    }
}
