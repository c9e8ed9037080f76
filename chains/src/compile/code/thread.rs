//! Branches that lead to others: whoever comes with a register in a range needs not be asked whether it is in a wider one.
//!
//! A loop that ends when a stream is empty is often followed by the question whether it holds too much:
//!
//! ```text
//!   12  if r1 is 0, go on at 14          becomes 15
//!   14  unless r1 <= 1024, go on at 22
//!   15  ..
//! ```

use chainring_runtime::frame::Op;

/// Leads branches past what they have answered.
pub(super) fn thread(ops: &mut [Op]) {
    for i in 0..ops.len() {
        while let Some(to) = past(&ops[i], ops) {
            let Op::IfWithin { to: target, .. } = &mut ops[i] else { break };
            *target = to;
        }
    }
}

/// Where a branch could lead to instead, if what it leads to asks what is known then.
fn past(op: &Op, ops: &[Op]) -> Option<u32> {
    let Op::IfWithin { a, low, span, to } = *op else { return None };
    let Op::UnlessWithin { a: asked, low: wide, span: room, .. } = ops[to as usize] else { return None };
    let is_inside = low >= wide && u64::from(low) + u64::from(span) <= u64::from(wide) + u64::from(room);
    (a == asked && is_inside).then_some(to + 1)
}

#[cfg(test)]
mod tests {
    use super::{Op, thread};

    #[test]
    fn a_branch_leads_past_what_it_has_answered() {
        let leave = Op::Leave(0);
        let asks = |a, low, span| Op::UnlessWithin { a, low, span, to: 3 };
        let branch = |to| Op::IfWithin { a: 1, low: 2, span: 3, to };
        for (asked, leads_to) in [
            (asks(1, 2, 3), 2),
            (asks(1, 0, 5), 2),
            (asks(1, 0, u32::MAX), 2),
            (asks(1, 3, 2), 1),
            (asks(1, 0, 4), 1),
            (asks(0, 2, 3), 1),
            (leave, 1),
        ] {
            let mut ops = [branch(1), asked, leave, leave];
            thread(&mut ops);
            assert_eq!(ops, [branch(leads_to), asked, leave, leave]);
        }
    }
}
