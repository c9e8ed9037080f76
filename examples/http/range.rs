//! The part of a file that is asked for (RFC 9110, 14).

use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it: nothing else was asked for, or it is not understood, or several parts at once.
    Whole,
    Some(Range<u64>),
    /// Nothing of what was asked for is there.
    None,
}

pub(crate) fn part(header: Option<&str>, size: u64) -> Part {
    let Some(set) = header.and_then(bytes_of) else { return Part::Whole };
    let Some((first, last)) = set.split_once('-') else { return Part::Whole };
    match (number(first), number(last)) {
        // The last bytes.
        _ if first.is_empty() => match number(last) {
            Some(0) => Part::None,
            Some(_) if size == 0 => Part::None,
            Some(count) => Part::Some(size.saturating_sub(count)..size),
            None => Part::Whole,
        },
        (Some(first), None) if last.is_empty() => from(first, u64::MAX, size),
        (Some(first), Some(last)) if first <= last => from(first, last, size),
        _ => Part::Whole,
    }
}

fn bytes_of(header: &str) -> Option<&str> {
    let (unit, set) = header.split_once('=')?;
    (unit.trim().eq_ignore_ascii_case("bytes") && !set.contains(',')).then(|| set.trim())
}

fn from(first: u64, last: u64, size: u64) -> Part {
    if first < size { Part::Some(first..last.saturating_add(1).min(size)) } else { Part::None }
}

/// What is larger than any file is the largest number.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_was_asked_for_of_what_there_is() {
        for (header, size, expected) in [
            ("bytes=0-0", 10, Part::Some(0..1)),
            ("bytes=2-5", 10, Part::Some(2..6)),
            ("bytes=2-", 10, Part::Some(2..10)),
            ("bytes=2-99999999999999999999999", 10, Part::Some(2..10)),
            ("bytes=-3", 10, Part::Some(7..10)),
            ("bytes=-30", 10, Part::Some(0..10)),
            (" Bytes = 9-9 ", 10, Part::Some(9..10)),
            ("bytes=10-", 10, Part::None),
            ("bytes=0-", 0, Part::None),
            ("bytes=-5", 0, Part::None),
            ("bytes=-0", 10, Part::None),
            ("bytes=99999999999999999999999-", 10, Part::None),
            ("bytes=5-2", 10, Part::Whole),
            ("bytes=1-2,4-5", 10, Part::Whole),
            ("bytes=", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("bytes=a-b", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("lines=1-2", 10, Part::Whole),
            ("bytes", 10, Part::Whole),
        ] {
            assert_eq!(part(Some(header), size), expected, "{header} of {size}");
        }
        assert_eq!(part(None, 10), Part::Whole);
    }
}
