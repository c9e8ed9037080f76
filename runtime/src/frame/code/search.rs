//! Searching bytes: for other bytes, and for a place among sorted numbers.

use memchr::memmem;

use super::Order;

/// Where `bytes` first are in `area`, or how long that is.
pub(super) fn find(area: &[u8], bytes: &[u8]) -> usize {
    memmem::find(area, bytes).unwrap_or(area.len())
}

/// How many of the sorted numbers in `bytes` are less than `key`, or equal to it.
pub(super) fn partition(bytes: &[u8], order: Order, stride: u32, key: u64, or_equal: bool) -> usize {
    let stride = stride as usize;
    match order {
        Order::U8 => sorted(bytes, stride, key, or_equal, |[byte]| u64::from(byte)),
        Order::Be16 => sorted(bytes, stride, key, or_equal, |number| u16::from_be_bytes(number).into()),
        Order::Be32 => sorted(bytes, stride, key, or_equal, |number| u32::from_be_bytes(number).into()),
        Order::Be64 => sorted(bytes, stride, key, or_equal, u64::from_be_bytes),
        Order::Le16 => sorted(bytes, stride, key, or_equal, |number| u16::from_le_bytes(number).into()),
        Order::Le32 => sorted(bytes, stride, key, or_equal, |number| u32::from_le_bytes(number).into()),
        Order::Le64 => sorted(bytes, stride, key, or_equal, u64::from_le_bytes),
    }
}

#[inline(always)]
fn sorted<const WIDTH: usize>(
    bytes: &[u8],
    stride: usize,
    key: u64,
    or_equal: bool,
    read: impl Fn([u8; WIDTH]) -> u64,
) -> usize {
    // What is not greater than a number is less than the next one, and everything is not greater than the greatest.
    let (key, all) = if or_equal { key.overflowing_add(1) } else { (key, false) };
    let is_before = |number: &[u8; WIDTH]| all || read(*number) < key;
    // One behind the other, and so searched without looking at bounds.
    if stride == WIDTH {
        return bytes.as_chunks().0.partition_point(is_before);
    }
    let place = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk());
    let (mut from, mut count) = (0, (bytes.len() + stride).saturating_sub(WIDTH) / stride);
    while count > 0 {
        let half = count / 2;
        if place((from + half) * stride).is_some_and(is_before) {
            from += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::{Order, partition};

    #[test]
    fn sorted_numbers_are_parted_as_slices_are() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let stride = rng.u32(4..12);
            let mut numbers: Vec<u32> = (0..rng.usize(..40)).map(|_| rng.u32(..60)).collect();
            numbers.sort_unstable();
            let mut bytes = Vec::new();
            for number in &numbers {
                bytes.extend_from_slice(&number.to_be_bytes());
                bytes.resize(bytes.len() + stride as usize - 4, 0xff);
            }
            // The last one needs nothing behind it, and what is left over is no number.
            bytes.truncate(bytes.len() - if numbers.is_empty() { 0 } else { stride as usize - 4 });
            bytes.resize(bytes.len() + rng.usize(..4.min(stride as usize)), 0);
            for key in [0, 1, 30, 59, 60, u64::MAX] {
                let less = numbers.partition_point(|number| u64::from(*number) < key);
                let not_greater = numbers.partition_point(|number| u64::from(*number) <= key);
                assert_eq!(partition(&bytes, Order::Be32, stride, key, false), less, "{numbers:?} {key}");
                assert_eq!(partition(&bytes, Order::Be32, stride, key, true), not_greater);
            }
        }
    }

    #[test]
    fn numbers_that_are_not_sorted_give_some_place_among_them() {
        let mut rng = fastrand::Rng::with_seed(8);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..rng.usize(..50)).map(|_| rng.u8(..)).collect();
            for (order, stride) in [(Order::U8, 1), (Order::Le16, 2), (Order::Be64, 8), (Order::Be64, 11)] {
                let most = (bytes.len() + stride as usize - order.width() as usize) / stride as usize;
                assert!(partition(&bytes, order, stride, rng.u64(..), rng.bool()) <= most);
            }
        }
    }
}
