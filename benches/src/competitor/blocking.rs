//! The standard library's blocking calls, and threads where several are in flight.

use super::{Competitor, Part};
use crate::job::{copy, log, lookup, random_reads, small_files};

pub(super) static COMPETITOR: Competitor = Competitor {
    name: "blocking",
    about: "the standard library, blocking",
    parts: &[
        (&copy::COPY, Part::Work(copy::blocking::run)),
        (&small_files::SMALL_FILES, Part::Work(small_files::blocking::run)),
        (&log::LOG, Part::Work(log::blocking::run)),
        (&random_reads::CACHED, Part::Work(random_reads::blocking::cached)),
        (&random_reads::DIRECT, Part::Work(random_reads::blocking::direct)),
        (&lookup::CACHED, Part::Work(lookup::blocking::cached)),
        (&lookup::DIRECT, Part::Work(lookup::blocking::direct)),
    ],
};
