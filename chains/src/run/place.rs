//! Where a frame goes on.

/// Where a frame goes on: kept in two of its hidden registers while it is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At an op of the code.
    Op(u32),
    /// With a whole segment.
    Segment(u16),
    /// In the middle of a segment.
    Member { segment: u16, from: u8, done: u32, alone: bool },
}

const OP: u64 = 0;
const SEGMENT: u64 = 1;
const MEMBER: u64 = 2;
const ALONE: u64 = 1 << 2;

impl Place {
    pub(super) fn encode(self) -> [u64; 2] {
        match self {
            Place::Op(op) => [u64::from(op), OP],
            Place::Segment(segment) => [u64::from(segment), SEGMENT],
            Place::Member { segment, from, done, alone } => {
                let flags = MEMBER | if alone { ALONE } else { 0 };
                [u64::from(segment) | u64::from(from) << 16 | u64::from(done) << 32, flags]
            }
        }
    }

    /// The member of its segment that it goes on with.
    pub(super) fn member(self) -> u8 {
        if let Place::Member { from, .. } = self { from } else { 0 }
    }

    /// What that member has transferred already.
    pub(super) fn done(self) -> u32 {
        if let Place::Member { done, .. } = self { done } else { 0 }
    }

    pub(super) fn decode([a, b]: [u64; 2]) -> Place {
        match b & 3 {
            OP => Place::Op(a as u32),
            SEGMENT => Place::Segment(a as u16),
            _ => Place::Member {
                segment: a as u16,
                from: (a >> 16) as u8,
                done: (a >> 32) as u32,
                alone: b & ALONE != 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_survives_being_parked() {
        for place in [
            Place::Op(0),
            Place::Op(u32::MAX),
            Place::Segment(65_535),
            Place::Member { segment: 65_535, from: 7, done: u32::MAX, alone: true },
            Place::Member { segment: 1, from: 0, done: 3, alone: false },
        ] {
            assert_eq!(Place::decode(place.encode()), place);
        }
    }
}
