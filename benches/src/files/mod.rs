//! `files`: whole small files, and random reads of a large one.
//!
//! Everything runs in this process, one contestant at a time, each on a thread of its own, and rounds are interleaved
//! (A B C, A B C, ...), so that whatever else the machine does meets all alike; ratios are taken within a round. A
//! contestant is handed the work and a deadline and says how much it has done; that what it read is right it has to
//! check itself, cheaply.

mod chainring;
mod random;
mod raw;
mod small;
mod standard;
mod tokio;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::seconds;
use crate::progress::Progress;
use crate::stats::{self, Spread};
use crate::sys::cpu_clock::CpuClock;
use crate::table;

/// Compares the reading of files
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// Where to make the files: the disk that O_DIRECT meets
    #[arg(long, default_value = "/tmp", value_name = "DIRECTORY")]
    dir: PathBuf,
    /// Rounds, in each of which every contestant runs once
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds of each run
    #[arg(long, default_value = "0.3", value_parser = seconds)]
    seconds: Duration,
    /// Whole small files that are in flight together
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    /// Size of the large file in MiB
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    megabytes: u64,
    /// Only what has this in its title
    #[arg(long, default_value = "", value_name = "TEXT")]
    only: String,
    /// Only contestants with this in their names
    #[arg(long, default_value = "", value_name = "TEXT")]
    contestant: String,
}

/// Somebody who does the work until the deadline and says how often; `None` if it cannot do it at all.
struct Contestant<'w> {
    name: &'static str,
    run: Box<dyn Fn(Instant) -> Result<u64> + Send + Sync + 'w>,
}

impl<'w> Contestant<'w> {
    fn new(name: &'static str, run: impl Fn(Instant) -> Result<u64> + Send + Sync + 'w) -> Self {
        Contestant { name, run: Box::new(run) }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let dir = tempfile::tempdir_in(&options.dir)?;
    let wanted = |title: &str| title.contains(&options.only);
    let title = format!("Whole files of 1 to 4096 bytes, from page cache, {} in flight", options.in_flight);
    if wanted(&title) {
        let files = small::Files::make(dir.path(), options.in_flight as usize)?;
        compete(options, &title, small::contestants(&files))?;
    }
    for (direct, name) in [(false, "cached"), (true, "O_DIRECT")] {
        for depth in [1, 8, 64] {
            let title = format!("Random reads of 4 KiB, {name}, depth {depth}");
            if wanted(&title) {
                let file = random::File::make(dir.path(), options.megabytes << 20, direct, depth)?;
                compete(options, &title, random::contestants(&file))?;
            }
        }
    }
    Ok(())
}

/// What a contestant did in a round.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    cpu_micros: f64,
}

fn compete(options: &Options, title: &str, mut contestants: Vec<Contestant<'_>>) -> Result<()> {
    contestants.retain(|contestant| contestant.name.contains(&options.contestant));
    let progress = Progress::new(u64::from(options.rounds + 1) * contestants.len() as u64);
    let mut rounds: Vec<Vec<Result<Figures, String>>> = Vec::new();
    // The first does not count.
    for round in 0..=options.rounds {
        let mut figures = Vec::new();
        for contestant in &contestants {
            progress.step(format!("{title}: {}", contestant.name));
            figures.push(once(contestant, options.seconds).map_err(|error| error.to_string()));
        }
        if round > 0 {
            rounds.push(figures);
        }
    }
    progress.finish();
    print(title, &contestants, &rounds);
    Ok(())
}

fn once(contestant: &Contestant<'_>, time: Duration) -> Result<Figures> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (begin, cpu) = (Instant::now(), CpuClock::OWN.read()?);
            let done = (contestant.run)(begin + time)?.max(1) as f64;
            let (wall, cpu) = (begin.elapsed(), CpuClock::OWN.read()? - cpu);
            Ok(Figures { per_second: done / wall.as_secs_f64(), cpu_micros: cpu.as_secs_f64() * 1e6 / done })
        });
        thread.join().unwrap_or_else(|_| Err("panicked".into()))
    })
}

fn print(title: &str, contestants: &[Contestant<'_>], rounds: &[Vec<Result<Figures, String>>]) {
    let mut lines = table::new(vec![
        "contestant",
        "a second",
        "lowest to highest",
        "us each",
        "CPU us each",
        "chainring / it",
    ]);
    let mut notes = Vec::new();
    let ours = contestants.iter().position(|contestant| contestant.name == "chainring");
    for (i, contestant) in contestants.iter().enumerate() {
        let good = || rounds.iter().filter_map(|round| round[i].as_ref().ok());
        let Some(speed) = Spread::of(good().map(|figures| figures.per_second)) else {
            if let Some(Err(error)) = rounds.first().map(|round| &round[i]) {
                notes.push(format!("{}: {error}", contestant.name));
            }
            lines.add_row([contestant.name, "n/a", "n/a", "n/a", "n/a", "n/a"]);
            continue;
        };
        let cpu = stats::median(good().map(|figures| figures.cpu_micros)).unwrap_or(f64::NAN);
        let ratios = rounds.iter().filter_map(|round| {
            Some(round[ours?].as_ref().ok()?.per_second / round[i].as_ref().ok()?.per_second)
        });
        lines.add_row([
            contestant.name.to_owned(),
            table::grouped(speed.median),
            format!("{} to {}", table::grouped(speed.low), table::grouped(speed.high)),
            format!("{:.2}", 1e6 / speed.median),
            format!("{cpu:.2}"),
            table::ratio(Spread::of(ratios)),
        ]);
    }
    println!("\n## {title}\n\n{lines}");
    for note in notes {
        println!("\n{note}");
    }
}
