//! The floor: what is left of `raw-linked` when everything that can be known beforehand is done beforehand.
//!
//! The queues are mapped by hand ([`queues`]). The submission queue always holds pairs, so every even entry
//! is a send and every odd one a receive for ever: opcode, flags and constant lengths are written once at
//! start, and a request stores only what differs. A descriptor is its own connection index and, shifted, the
//! offset of its buffer, so that nothing at all is looked up.

mod echo;
mod queues;

use super::{Competitor, Part};
use crate::workload::ECHO;

pub(super) static COMPETITOR: Competitor = Competitor {
    name: "raw-mapped",
    about: "raw-linked on its own mappings, entries patched in place: the floor",
    parts: &[(&ECHO, Part::Serve(echo::serve))],
};
