//! Numbers on lines.

/// The number on a line that is there as a whole and is one of a few digits, as nearly all are; and the line's length.
#[inline(always)]
pub(super) fn short(line: &[u8]) -> Option<(i64, usize)> {
    let digit = |byte: &u8| i64::from(byte - b'0');
    match line {
        // One of one or two digits, without a loop: every request has some.
        [_, one @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(one), 4)),
        [_, ten @ b'0'..=b'9', one @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((10 * digit(ten) + digit(one), 5))
        }
        _ => longer(line),
    }
}

#[inline(never)]
fn longer(line: &[u8]) -> Option<(i64, usize)> {
    let mut number = 0;
    for (i, byte) in line.iter().enumerate().take(10).skip(1) {
        match byte {
            b'0'..=b'9' => number = number * 10 + i64::from(byte - b'0'),
            b'\r' if i > 1 && line.get(i + 1) == Some(&b'\n') => return Some((number, i + 2)),
            _ => return None,
        }
    }
    None
}

/// A decimal number and a carriage return.
pub(super) fn integer(line: &[u8]) -> Option<i64> {
    let (b'\r', digits) = line.split_last()? else { return None };
    let (negative, digits) = match digits {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let number = digits.iter().try_fold(0, |number: i64, digit| match digit {
        b'0'..=b'9' => Some(number * 10 + i64::from(digit - b'0')),
        _ => None,
    })?;
    Some(if negative { -number } else { number })
}
