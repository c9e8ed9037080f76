//! The baseline: an io_uring loop as a good engineer writes it by hand with the io-uring crate.
//!
//! Each turn of a connection is one linked list and ends in exactly one completion: all members but the last
//! are silent on success, and a member that fails or comes up short speaks for its silent successors, which
//! never run. So a slot is in flight exactly once, and its index alone, with the kind of the member, is all
//! that a completion has to carry.

mod echo;
mod framed;
mod http;
mod server;

use server::{Server, Turn, serve};

use super::{Competitor, Part};
use crate::job::{core_to_core, executor, log, lookup, random_reads, small_files};
use crate::workload::{ECHO, FRAMED, HTTP};

pub(super) static COMPETITOR: Competitor = Competitor {
    name: "raw-linked",
    about: "io_uring by hand: linked send and receive, one completion a turn",
    parts: &[
        (&ECHO, Part::Serve(serve::<echo::Echo, { echo::Echo::BUFFER }>)),
        (&FRAMED, Part::Serve(serve::<framed::Framed, { framed::Framed::BUFFER }>)),
        (&HTTP, Part::Serve(serve::<http::Http, { http::Http::BUFFER }>)),
        (&small_files::SMALL_FILES, Part::Work(small_files::raw::run)),
        (&log::LOG, Part::Work(log::raw::run)),
        (&random_reads::CACHED, Part::Work(random_reads::raw::cached)),
        (&random_reads::DIRECT, Part::Work(random_reads::raw::direct)),
        (&lookup::CACHED, Part::Work(lookup::raw::cached)),
        (&lookup::DIRECT, Part::Work(lookup::raw::direct)),
        (&executor::NOP, Part::Work(executor::raw::nops)),
        (&core_to_core::CORE_TO_CORE, Part::Work(core_to_core::raw::run)),
    ],
};

/// The member that a completion speaks for, in the low bits of its user data; the connection's index stands
/// above them.
#[repr(u64)]
#[derive(Clone, Copy)]
enum Member {
    Accept,
    Send,
    Receive,
    ReceiveBody,
}

const MEMBER_BITS: u32 = 2;

impl Member {
    #[inline]
    fn of(self, index: u32) -> u64 {
        u64::from(index) << MEMBER_BITS | self as u64
    }

    #[inline]
    fn split(user_data: u64) -> (Self, u32) {
        let member = match user_data & ((1 << MEMBER_BITS) - 1) {
            0 => Member::Accept,
            1 => Member::Send,
            2 => Member::Receive,
            _ => Member::ReceiveBody,
        };
        (member, (user_data >> MEMBER_BITS) as u32)
    }
}
