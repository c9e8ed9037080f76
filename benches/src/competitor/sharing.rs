//! Ways to share: see [`crate::job::shared`].

use super::{Competitor, Part};
use crate::job::shared::{COUNTER, COUNTER_OF_TWO, LOG, LOG_OF_TWO, counter, events, log, tasks};

pub(super) static CONTINUATIONS: Competitor = Competitor {
    name: "continuations",
    about: "sharing: a word of the core, whose continuations never run at once",
    parts: &[(&COUNTER, Part::Work(counter::continuations)), (&LOG, Part::Work(log::continuations))],
};

pub(super) static SERIAL: Competitor = Competitor {
    name: "serial",
    about: "sharing: a block that one frame at a time is inside of",
    parts: &[(&COUNTER, Part::Work(counter::serial)), (&LOG, Part::Work(log::serial))],
};

pub(super) static COMMIT: Competitor = Competitor {
    name: "commit",
    about: "sharing: a log that commits in groups; other cores send their records to its owner",
    parts: &[
        (&LOG, Part::Work(|work| log::commit(work, 1))),
        (&LOG_OF_TWO, Part::Work(|work| log::commit(work, 2))),
    ],
};

pub(super) static ATOMIC: Competitor = Competitor {
    name: "atomic",
    about: "sharing: fetch_add on a word of all threads",
    parts: &[
        (&COUNTER, Part::Work(|work| counter::atomic(work, 1))),
        (&COUNTER_OF_TWO, Part::Work(|work| counter::atomic(work, 2))),
        (&LOG, Part::Work(|work| log::atomic(work, 1))),
        (&LOG_OF_TWO, Part::Work(|work| log::atomic(work, 2))),
    ],
};

pub(super) static FUTEX: Competitor = Competitor {
    name: "futex",
    about: "sharing: a lock in a word of all threads, waited for by the ring",
    parts: &[
        (&COUNTER, Part::Work(|work| counter::futex(work, 1))),
        (&COUNTER_OF_TWO, Part::Work(|work| counter::futex(work, 2))),
        (&LOG, Part::Work(|work| log::futex(work, 1))),
        (&LOG_OF_TWO, Part::Work(|work| log::futex(work, 2))),
    ],
};

pub(super) static MUTEX: Competitor = Competitor {
    name: "mutex",
    about: "sharing: std's mutex in a call; for the log, an awaited one and tasks",
    parts: &[
        (&COUNTER, Part::Work(|work| counter::mutex(work, 1))),
        (&COUNTER_OF_TWO, Part::Work(|work| counter::mutex(work, 2))),
        (&LOG, Part::Work(|work| tasks::log_by_mutex(work, 1))),
        (&LOG_OF_TWO, Part::Work(|work| tasks::log_by_mutex(work, 2))),
    ],
};

pub(super) static EVENTS: Competitor = Competitor {
    name: "events",
    about: "sharing: an owner that is told by events, and answers by events",
    parts: &[
        (&COUNTER, Part::Work(|work| events::run(work, 1))),
        (&COUNTER_OF_TWO, Part::Work(|work| events::run(work, 2))),
    ],
};

pub(super) static CHANNEL: Competitor = Competitor {
    name: "channel",
    about: "sharing: tasks, and an owner behind a channel",
    parts: &[
        (&COUNTER, Part::Work(|work| tasks::counter_by_channel(work, 1))),
        (&COUNTER_OF_TWO, Part::Work(|work| tasks::counter_by_channel(work, 2))),
        (&LOG, Part::Work(|work| tasks::log_by_channel(work, 1))),
        (&LOG_OF_TWO, Part::Work(|work| tasks::log_by_channel(work, 2))),
    ],
};
