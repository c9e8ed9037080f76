//! Two ops that one can do: comparisons with constants as ranges, and loads and searches joined with what compares them.

use chainring_runtime::frame::{Op, Operator};

/// A number that is loaded, and then compared, is both in one op; so is a search, and the comparison of what it has found with
/// the end; and so is what `consume` says, with the sum that is to be taken, if it is one. What is superfluous then stays where
/// it is, for whoever comes to it from elsewhere.
pub(super) fn join(ops: &mut [Op]) {
    for i in 2..ops.len() {
        let [compared, added, subtracted] = [ops[i - 2], ops[i - 1], ops[i]];
        let Op::UnlessCompared { operator: Operator::Ge, a: len, b: by, to: or } = compared else { continue };
        let Op::Binary { operator: Operator::Add, to: from, a, b } = added else { continue };
        let less = Op::Binary { operator: Operator::Sub, to: len, a: len, b: by };
        if (a, b) == (from, by) && subtracted == less && from != by && from != len {
            ops[i - 2] = Op::Take { by, len, from, or };
        }
    }
    for i in 1..ops.len() {
        if let Op::BinaryBy { operator: Operator::Add, to, a, value } = ops[i - 1]
            && let Op::Take { by, len, from, or } = ops[i]
            && let (true, Ok(plus)) = (by == to, u16::try_from(value))
        {
            ops[i - 1] = Op::TakeSum { to, a, plus, len, from, or };
        }
    }
    for i in 1..ops.len() {
        if let Op::Bulk(number) = ops[i - 1]
            && let Op::UnlessCompared { operator: Operator::Ne, a, b, to: or } = ops[i]
        {
            ops[i - 1] = Op::BulkUnless { number, a, b, or };
        }
    }
    for i in 1..ops.len() {
        if let Op::Load { order, to, at } = ops[i - 1]
            && let Op::UnlessWithin { a, low: 0, span: most, to: or } = ops[i]
            && a == to
        {
            ops[i - 1] = Op::LoadAtMost { order, to, at, most, or };
        }
    }
}

/// A comparison with a constant, as a range that holds what compares so, or everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    Inside { low: u32, span: u32 },
    Outside { low: u32, span: u32 },
}

/// `None` for what is no comparison, never or always holds, or compares with too large a number.
pub(super) fn within(operator: Operator, value: u64) -> Option<Within> {
    let value = u32::try_from(value).ok()?;
    Some(match operator {
        Operator::Eq => Within::Inside { low: value, span: 0 },
        Operator::Ne => Within::Outside { low: value, span: 0 },
        Operator::Le => Within::Inside { low: 0, span: value },
        Operator::Gt => Within::Outside { low: 0, span: value },
        Operator::Lt => Within::Inside { low: 0, span: value.checked_sub(1)? },
        Operator::Ge => Within::Outside { low: 0, span: value.checked_sub(1)? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use chainring_runtime::frame::Order;

    use super::{Op, Operator, Within, join, within};

    #[test]
    fn a_load_is_joined_with_the_comparison_of_what_it_loads() {
        let (order, at) = (Order::Be32, 8);
        let [load, leave] = [Op::Load { order, to: 1, at }, Op::Leave(0)];
        let within = |a, low| Op::UnlessWithin { a, low, span: 9, to: 2 };
        let joined = Op::LoadAtMost { order, to: 1, at, most: 9, or: 2 };
        for (second, expected) in [(within(1, 0), joined), (within(0, 0), load), (within(1, 1), load)] {
            let mut ops = [load, second, leave];
            join(&mut ops);
            assert_eq!(ops, [expected, second, leave]);
        }
    }

    #[test]
    fn what_consume_says_is_one_op_and_so_is_the_sum_before_it() {
        let sum = |to, value| Op::BinaryBy { operator: Operator::Add, to, a: 3, value };
        let compared = Op::UnlessCompared { operator: Operator::Ge, a: 1, b: 0, to: 5 };
        let added = Op::Binary { operator: Operator::Add, to: 2, a: 2, b: 0 };
        let subtracted = Op::Binary { operator: Operator::Sub, to: 1, a: 1, b: 0 };
        let (take, most) = (Op::Take { by: 0, len: 1, from: 2, or: 5 }, u64::from(u16::MAX));
        let joined = Op::TakeSum { to: 0, a: 3, plus: u16::MAX, len: 1, from: 2, or: 5 };
        for (first, expected) in
            [(sum(0, most), joined), (sum(0, most + 1), sum(0, most + 1)), (sum(4, 1), sum(4, 1))]
        {
            let mut ops = [first, compared, added, subtracted, Op::Leave(0), Op::Leave(1)];
            join(&mut ops);
            assert_eq!(ops[..4], [expected, take, added, subtracted]);
        }
    }

    #[test]
    fn what_looks_at_bytes_is_joined_with_whether_two_registers_differ() {
        let bulk = Op::Bulk(3);
        let compared = |operator| Op::UnlessCompared { operator, a: 4, b: 1, to: 2 };
        let joined = Op::BulkUnless { number: 3, a: 4, b: 1, or: 2 };
        for (operator, expected) in [(Operator::Ne, joined), (Operator::Eq, bulk), (Operator::Lt, bulk)] {
            let mut ops = [bulk, compared(operator), Op::Leave(0)];
            join(&mut ops);
            assert_eq!(ops, [expected, compared(operator), Op::Leave(0)]);
        }
    }

    #[test]
    fn a_comparison_with_a_constant_is_a_range() {
        use Operator::{Eq, Ge, Gt, Le, Lt, Ne};
        for operator in [Eq, Ne, Lt, Le, Gt, Ge] {
            for value in [0, 1, 2, 7, u64::from(u32::MAX), 1 << 32] {
                let Some(range) = within(operator, value) else { continue };
                for a in [0, 1, 2, 3, 6, 7, 8, u64::from(u32::MAX), 1 << 32, u64::MAX] {
                    let inside = |low: u32, span: u32| a.wrapping_sub(low.into()) <= span.into();
                    let holds = match range {
                        Within::Inside { low, span } => inside(low, span),
                        Within::Outside { low, span } => !inside(low, span),
                    };
                    assert_eq!(Some(u64::from(holds)), operator.apply(a, value), "{a} {operator:?} {value}");
                }
            }
        }
        assert_eq!(within(Lt, 0), None, "it never holds");
        assert_eq!(within(Operator::Add, 1), None);
    }
}
