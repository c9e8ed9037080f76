//! Which version of a file a client has, and whether it is still the one (RFC 9110, 13).

use std::time::{Duration, SystemTime};

use crate::request::Request;

/// A change that came so long after another has a later time, whatever the file system keeps of it.
const TICK: Duration = Duration::from_secs(1);

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size: u64,
    /// Seconds since the epoch.
    pub(crate) modified: u64,
    /// And behind those.
    pub(crate) nanoseconds: u64,
    pub(crate) inode: u64,
}

impl Version {
    /// Its name. Weak: two changes within a tick of the clock may leave no trace in it.
    pub(crate) fn tag(&self) -> String {
        format!("W/\"{:x}-{:x}-{:x}-{:x}\"", self.modified, self.nanoseconds, self.size, self.inode)
    }

    /// Whether a file that is changed from `now` on is another version: the clock of the file system has gone on since the
    /// last change.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let modified = Duration::new(self.modified, self.nanoseconds as u32);
        now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|now| now > modified.saturating_add(TICK))
    }

    pub(crate) fn date(&self) -> String {
        // The largest that can be written in four digits, should a file be newer.
        const LAST: u64 = 253_402_300_799;
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(self.modified.min(LAST)))
    }

    /// Whether the client has this one already.
    pub(crate) fn is_known(&self, request: &Request) -> bool {
        match (&request.if_none_match, &request.if_modified_since) {
            (Some(tags), _) => tags.trim() == "*" || tags.split(',').any(|tag| same(tag, &self.tag())),
            (None, Some(date)) => seconds(date).is_some_and(|date| self.modified <= date),
            (None, None) => false,
        }
    }

    /// Whether a part that is asked for fits what the client has, as far as it says. A tag that is weak fits nothing.
    pub(crate) fn fits(&self, request: &Request) -> bool {
        request.if_range.as_deref().is_none_or(|date| seconds(date) == Some(self.modified))
    }
}

/// Whether two tags are the same, weak or not.
fn same(one: &str, other: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    strong(one) == strong(other)
}

fn seconds(date: &str) -> Option<u64> {
    let date = httpdate::parse_http_date(date).ok()?;
    date.duration_since(SystemTime::UNIX_EPOCH).ok().map(|time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version { size: 10, modified: 784_111_777, nanoseconds: 16, inode: 255 };
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn request(tags: Option<&str>, since: Option<&str>, range: Option<&str>) -> Request {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Request {
            if_none_match: own(tags),
            if_modified_since: own(since),
            if_range: own(range),
            ..Request::default()
        }
    }

    #[test]
    fn a_version_has_a_tag_and_a_date() {
        assert_eq!(
            (VERSION.tag().as_str(), VERSION.date().as_str()),
            ("W/\"2ebc9921-10-a-ff\"".replace("2ebc9921", &format!("{:x}", 784_111_777)).as_str(), DATE)
        );
        assert!(Version { modified: u64::MAX, ..VERSION }.date().ends_with("9999 23:59:59 GMT"));
    }

    #[test]
    fn a_version_is_settled_when_the_clock_has_gone_on() {
        let modified = SystemTime::UNIX_EPOCH + Duration::new(VERSION.modified, 16);
        assert!(!VERSION.is_settled(modified + TICK));
        assert!(VERSION.is_settled(modified + TICK + Duration::from_nanos(1)));
        assert!(!VERSION.is_settled(modified - TICK), "it is of the future");
        assert!(!Version { modified: u64::MAX, ..VERSION }.is_settled(modified));
    }

    #[test]
    fn who_has_it_is_told_so() {
        let tag = VERSION.tag();
        let list = format!("\"x\", {tag}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for (tags, since, known) in [
            (None, None, false),
            (Some(tag.as_str()), None, true),
            (Some(strong.as_str()), None, true),
            (Some(list.as_str()), None, true),
            (Some("*"), None, true),
            (Some("\"x\""), None, false),
            (Some("\"x\""), Some(DATE), false),
            (None, Some(DATE), true),
            (None, Some("Sun, 06 Nov 1994 08:49:38 GMT"), true),
            (None, Some("Sun, 06 Nov 1994 08:49:36 GMT"), false),
            (None, Some("yesterday"), false),
        ] {
            assert_eq!(VERSION.is_known(&request(tags, since, None)), known, "{tags:?} {since:?}");
        }
    }

    #[test]
    fn a_part_of_another_version_is_not_given() {
        assert!(VERSION.fits(&request(None, None, None)));
        assert!(VERSION.fits(&request(None, None, Some(DATE))));
        for other in ["Sun, 06 Nov 1994 08:49:38 GMT", "\"x\"", &VERSION.tag()] {
            assert!(!VERSION.fits(&request(None, None, Some(other))), "{other}");
        }
    }
}
