//! How a byte stream falls into messages, for the servers that receive whatever has come and answer all that
//! is complete.

use crate::workload::{HEAD, LARGEST_BODY};

/// A protocol whose reply is the request itself.
pub(super) trait Framing {
    /// Memory that a connection needs so that any message fits.
    const BUFFER: usize;

    /// How many of `bytes`, from the front, are complete messages; nothing if the peer breaks the protocol.
    fn complete(bytes: &[u8]) -> Option<usize>;
}

/// The stream is its own message: all that has come is complete.
pub(super) struct Stream;

impl Framing for Stream {
    const BUFFER: usize = 4096;

    #[inline]
    fn complete(bytes: &[u8]) -> Option<usize> {
        Some(bytes.len())
    }
}

/// Frames of a four-byte length and a body.
pub(super) struct Frames;

impl Framing for Frames {
    const BUFFER: usize = HEAD + LARGEST_BODY;

    #[inline]
    fn complete(bytes: &[u8]) -> Option<usize> {
        let mut end = 0;
        while let Some((head, rest)) = bytes[end..].split_first_chunk::<HEAD>() {
            let body = body(head)?;
            if rest.len() < body {
                break;
            }
            end += HEAD + body;
        }
        Some(end)
    }
}

/// The length that a head announces, unless it is beyond the limit.
#[inline]
pub(super) fn body(head: &[u8; HEAD]) -> Option<usize> {
    let body = u32::from_be_bytes(*head) as usize;
    (body <= LARGEST_BODY).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_complete_only_as_a_whole() {
        let two = [0, 0, 0, 2, 7, 7, 0, 0, 0, 0, 0, 0, 0, 1];
        let complete: Vec<_> = (0..=two.len()).map(|end| Frames::complete(&two[..end]).unwrap()).collect();
        assert_eq!(complete, [0, 0, 0, 0, 0, 0, 6, 6, 6, 6, 10, 10, 10, 10, 10]);
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused() {
        assert_eq!(Frames::complete(&[0, 1, 0, 0]), Some(0));
        assert_eq!(Frames::complete(&[0, 1, 0, 1]), None);
    }
}
