//! `cp`: the example `cp` beside that of coreutils, for many small files and for a large one with holes, warm and cold.
//!
//! Rounds are interleaved. Before each the last copy is removed, and what is still to be written is written; for a cold one
//! the kernel forgets all files, too, which only root can make it do. The first copy of each is compared with its
//! source.

mod source;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::process::examples;
use crate::stats::{Ratio, Spread};
use crate::sys::cpu_clock;
use crate::table;

use source::Source;

/// Compares the example `cp` with that of coreutils, warm and (as root) cold
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Small files
    #[arg(long, default_value_t = 10_000)]
    files: u32,
    /// MiB of the large file, of which a sixteenth is data
    #[arg(long, default_value_t = 2048)]
    sparse: u64,
    /// Where sources and copies are; else the folder for temporary files
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

/// One of those that are compared.
struct Copier {
    name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
}

/// What one has taken in the rounds.
#[derive(Default)]
struct Figures {
    seconds: Vec<f64>,
    cpu: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let own = examples::build("cp")?;
    let copiers = [
        Copier { name: "chainring", program: own.clone(), arguments: &["--quiet"] },
        Copier { name: "chainring, in kernel", program: own, arguments: &["--quiet", "--in-kernel"] },
        Copier { name: "coreutils cp -a", program: "cp".into(), arguments: &["-a"] },
    ];
    let dir = match &options.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let sources =
        [Source::files(dir.path(), options.files)?, Source::sparse(dir.path(), options.sparse << 20)?];
    let states: &[bool] = if is_forgotten() {
        &[false, true]
    } else {
        eprintln!("only root can make the kernel forget files: cold copies are left out");
        &[false]
    };
    for source in &sources {
        for &cold in states {
            let state = if cold { "cold" } else { "warm" };
            let mut figures: Vec<Figures> = copiers.iter().map(|_| Figures::default()).collect();
            for round in 1..=options.rounds {
                eprintln!("{}, {state}: round {round} of {}", source.about, options.rounds);
                for (copier, figures) in copiers.iter().zip(&mut figures) {
                    self::round(copier, source, &dir.path().join("copy"), cold, round == 1, figures)
                        .map_err(|error| format!("{}, {}: {error}", copier.name, source.about))?;
                }
            }
            println!("\n{}, {state}\n\n{}", source.about, tabled(&copiers, &figures));
        }
    }
    Ok(())
}

fn round(
    copier: &Copier,
    source: &Source,
    copy: &Path,
    cold: bool,
    compare: bool,
    figures: &mut Figures,
) -> Result<()> {
    if copy.is_dir() {
        std::fs::remove_dir_all(copy)?;
    } else if copy.exists() {
        std::fs::remove_file(copy)?;
    }
    succeeds(&mut Command::new("sync"))?;
    if cold {
        forget()?;
    } else {
        source.read()?;
    }
    let (before, begin) = (cpu_clock::children()?, Instant::now());
    succeeds(Command::new(&copier.program).args(copier.arguments).arg(&source.path).arg(copy))?;
    figures.seconds.push(begin.elapsed().as_secs_f64());
    figures.cpu.push((cpu_clock::children()? - before).as_secs_f64());
    if compare {
        succeeds(Command::new("diff").args(["-r", "--no-dereference"]).arg(&source.path).arg(copy))?;
        source.is_as_sparse(copy)?;
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let program = command.get_program().display();
    Err(format!("{program}: {}: {}", output.status, said.lines().next().unwrap_or("it does not say why"))
        .into())
}

const FORGET: &str = "/proc/sys/vm/drop_caches";

/// Whether the kernel forgets what it has read when it is asked to.
fn is_forgotten() -> bool {
    forget().is_ok()
}

fn forget() -> std::io::Result<()> {
    std::fs::write(FORGET, "3")
}

fn tabled(copiers: &[Copier], figures: &[Figures]) -> comfy_table::Table {
    let mut table = table::new(vec![
        "",
        "ms (spread)",
        "CPU ms (spread)",
        "time to coreutils (95 %)",
        "CPU to coreutils",
    ]);
    let millis = |values: &[f64]| match Spread::of(values.iter().map(|seconds| seconds * 1e3)) {
        Some(Spread { median, low, high }) => {
            let [median, low, high] = [median, low, high].map(table::grouped);
            format!("{median} ({low} to {high})")
        }
        None => "n/a".to_owned(),
    };
    let ratio = |own: &[f64], other: &[f64]| {
        Ratio::paired(own, other, 0.0).map_or(String::new(), |ratio| {
            format!("{:.2} ({:.2} to {:.2})", ratio.estimate, ratio.low, ratio.high)
        })
    };
    let other = figures.last().expect("coreutils comes last");
    for (copier, own) in copiers.iter().zip(figures) {
        let is_other = std::ptr::eq(own, other);
        table.add_row(vec![
            copier.name.to_owned(),
            millis(&own.seconds),
            millis(&own.cpu),
            if is_other { String::new() } else { ratio(&own.seconds, &other.seconds) },
            if is_other { String::new() } else { ratio(&own.cpu, &other.cpu) },
        ]);
    }
    table
}
