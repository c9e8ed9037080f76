//! What the native calls of random programs do: one body for both sides, which are about how it is called.

use super::program::Event;

/// What a call wants next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    On,
    Finish,
    Fail,
}

pub(crate) fn log(step: u32, count: u64) -> Event {
    Event { step, values: vec![count], bytes: Vec::new(), is_count: true }
}

pub(crate) fn observe(step: u32, registers: &[u64]) -> Event {
    Event { step, values: registers.to_vec(), bytes: Vec::new(), is_count: false }
}

pub(crate) fn look(step: u32, bytes: &[u8], value: u64) -> Event {
    Event { step, values: vec![value], bytes: bytes.to_vec(), is_count: false }
}

/// Gives how many bytes are consumed as well.
pub(crate) fn take(step: u32, bytes: &[u8], value: u64) -> (Event, usize) {
    (look(step, bytes, value), bytes.len().min(value as usize))
}

pub(crate) fn fill(bytes: &mut [u8], seed: u8) {
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = seed.wrapping_add((i as u8).wrapping_mul(3));
    }
}

pub(crate) fn mix(from: &[u8], to: &mut [u8], register: &mut u64) {
    for (i, byte) in to.iter_mut().enumerate() {
        let other = if from.is_empty() { 0 } else { from[i % from.len()] };
        *byte = byte.wrapping_mul(5) ^ other ^ *register as u8;
        *register = register.rotate_left(3) ^ u64::from(*byte);
    }
    *register &= 0xff;
}

pub(crate) fn decide(value: u64) -> Next {
    match value % 4 {
        2 => Next::Finish,
        3 => Next::Fail,
        _ => Next::On,
    }
}
