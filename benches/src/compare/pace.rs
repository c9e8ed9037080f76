//! A limit to the time that all takes: each case has the share of it that its number of competitors is of all.

use std::time::{Duration, Instant};

/// Fewer rounds say nothing.
const FEWEST: u32 = 3;

/// The time that is left, and for how many runs of a competitor.
pub(super) struct Pace {
    end: Option<Instant>,
    runs: usize,
}

/// When a case has to be over.
#[derive(Clone, Copy)]
pub(super) struct Limit(Option<Instant>);

impl Pace {
    pub(super) fn new(time: Option<Duration>, runs: usize) -> Self {
        Self { end: time.map(|time| Instant::now() + time), runs }
    }

    /// For a case with so many competitors.
    pub(super) fn case(&mut self, competitors: usize) -> Limit {
        let now = Instant::now();
        let share = competitors as f64 / self.runs.max(1) as f64;
        self.runs = self.runs.saturating_sub(competitors);
        Limit(self.end.map(|end| now + end.saturating_duration_since(now).mul_f64(share.min(1.0))))
    }
}

impl Limit {
    /// Half of what is left: for what is not as important as what comes then.
    pub(super) fn half(self) -> Limit {
        let now = Instant::now();
        Limit(self.0.map(|end| now + end.saturating_duration_since(now) / 2))
    }

    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= Instant::now())
    }

    /// Whether there is to be another round, after so many, the last of which took that long.
    pub(super) fn allows(self, done: u32, last: Duration) -> bool {
        done < FEWEST || self.0.is_none_or(|end| Instant::now() + last <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_there_is_always_another_round() {
        let limit = Pace::new(None, 4).case(4);
        assert!(limit.allows(1000, Duration::from_secs(1000)) && !limit.is_over());
    }

    #[test]
    fn a_case_has_its_share_and_three_rounds_at_least() {
        let mut pace = Pace::new(Some(Duration::from_secs(1000)), 10);
        let limit = pace.case(2);
        assert!(limit.allows(5, Duration::from_secs(190)) && !limit.allows(5, Duration::from_secs(210)));
        assert!(
            limit.allows(2, Duration::from_secs(210)) && !limit.half().allows(5, Duration::from_secs(110))
        );
        let rest = pace.case(8);
        assert!(rest.allows(5, Duration::from_secs(990)));
        let over = Pace::new(Some(Duration::ZERO), 1).case(1);
        assert!(over.is_over() && over.allows(2, Duration::ZERO));
    }
}
