//! Where and when, and which versions.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// What a reader needs to know to judge the figures.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// In UTC, `YYYY-MM-DD HH:MM`.
    pub(crate) date: String,
    /// The crates that compete, as this program was built with them, and the programs that are installed.
    pub(crate) versions: Vec<(String, String)>,
}

const COMPETING: [&str; 8] =
    ["chainring", "io-uring", "tokio", "tokio-uring", "monoio", "compio", "glommio", "hyper"];

/// Programs of others, and how they are asked for their version.
const INSTALLED: [[&str; 2]; 3] = [["redis-server", "--version"], ["nginx", "-v"], ["cp", "--version"]];

impl Machine {
    /// What the kernel says; nothing that it does not say.
    pub(crate) fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
            line.map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let memory = value(&read("/proc/meminfo"), "MemTotal");
        let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            memory_mib: kibibytes / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            date: date(now.as_secs()),
            versions: versions(include_str!("../../../Cargo.lock")).into_iter().chain(installed()).collect(),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let Self { processor, cores, kernel, date, .. } = self;
        format!("{processor}, {cores} cores, Linux {kernel}, {date} UTC")
    }
}

/// The versions that a lock file has of the crates that compete: the newest where there are several.
fn versions(lock: &str) -> Vec<(String, String)> {
    let version = |name: &str| {
        let packages = lock.split("[[package]]");
        let fields = packages.filter_map(|package| {
            let field = |key: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
                line.map(|value| value.trim_end_matches('"'))
            };
            (field("name")? == name).then(|| field("version"))?
        });
        fields.last().map(|version| (name.to_owned(), version.to_owned()))
    };
    COMPETING.iter().filter_map(|name| version(name)).collect()
}

/// The versions of the programs that are there.
fn installed() -> impl Iterator<Item = (String, String)> {
    INSTALLED.into_iter().filter_map(|[program, option]| {
        let output = Command::new(program).arg(option).output().ok()?;
        // nginx says it on standard error.
        let said = [output.stdout, output.stderr].concat();
        Some((program.to_owned(), version(&String::from_utf8_lossy(&said))?))
    })
}

/// The first word of a text that is a version: numbers with dots, perhaps behind something.
fn version(text: &str) -> Option<String> {
    let numbers = |word: &str| {
        let word = word.trim_start_matches(|c: char| !c.is_ascii_digit());
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        word[..end].trim_end_matches('.').to_owned()
    };
    text.split_whitespace().map(numbers).find(|word| word.contains('.'))
}

/// A moment since 1970 in UTC.
///
/// Counted in eras of 400 years that begin on the first of March, so that a leap day is the last of its year.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (hour, minute) = (rest / 3600, rest % 3600 / 60);
    format!("{:04}-{month:02}-{of_month:02} {hour:02}:{minute:02}", era * 400 + year + later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400 + 86_340), "2000-02-29 23:59");
        assert_eq!(date(1_772_323_199), "2026-02-28 23:59");
        assert_eq!(date(1_772_323_200), "2026-03-01 00:00");
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let said = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0";
        assert_eq!(version(said).as_deref(), Some("7.0.15"));
        assert_eq!(version("nginx version: nginx/1.22.1\n").as_deref(), Some("1.22.1"));
        assert_eq!(version("cp (GNU coreutils) 9.1\nCopyright (C) 2022").as_deref(), Some("9.1"));
        assert_eq!(version("nothing"), None);
    }

    #[test]
    fn every_crate_that_competes_has_a_version() {
        let versions = versions(include_str!("../../../Cargo.lock"));
        assert_eq!(versions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), COMPETING);
    }
}
