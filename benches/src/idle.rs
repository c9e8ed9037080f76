//! What an idle connection costs: resident memory of a server before and after many have come, said one word, and stayed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::competitor::{ALL, Competitor};
use crate::process::server::Program;
use crate::process::subject::Cores;
use crate::report::Idle;
use crate::sys::limits;
use crate::workload::ECHO;

/// What the command line calls it.
pub(crate) const NAME: &str = "idle";

/// Connections, if so many descriptors are allowed.
const MANY: u64 = 10_000;

/// Those that come first and do not count: what a server makes once is made then.
const FIRST: u64 = 64;

/// Descriptors that a process needs for other things.
const OTHERS: u64 = 200;

/// Measures every competitor that echoes, or the named ones.
pub(crate) fn measure(only: &[String], quick: bool, cores: Cores) -> Result<Vec<Idle>> {
    let descriptors = limits::raise_descriptors()?;
    let many = MANY.min(descriptors.saturating_sub(OTHERS)) / if quick { 10 } else { 1 };
    let competitors = Competitor::select(only, ALL, &ECHO)?;
    let idle = competitors.into_iter().map(|competitor| {
        let measured = one(competitor, many, cores);
        let failure = measured.as_ref().err().map(ToString::to_string);
        Idle { name: competitor.name.to_owned(), bytes: measured.ok(), failure }
    });
    Ok(idle.collect())
}

fn one(competitor: &Competitor, many: u64, cores: Cores) -> Result<f64> {
    let server = Program::prepare(competitor, &ECHO, Path::new("."))?.start(cores, None)?;
    let mut streams = Vec::with_capacity(many as usize);
    let mut connect = |count: u64| {
        for _ in 0..count {
            streams.push(talk(server.address)?);
        }
        resident(server.pid())
    };
    let counted = many.saturating_sub(FIRST).max(1);
    let outcome = connect(FIRST).and_then(|before| Ok((before, connect(counted)?)));
    let (before, after) = match outcome {
        Ok(both) => both,
        Err(error) => return Err(server.explain(error)),
    };
    server.stop()?;
    Ok(after.saturating_sub(before) as f64 / counted as f64)
}

/// Connects and has a word echoed.
fn talk(server: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])?;
    Ok(stream)
}

/// Resident bytes of a process.
fn resident(pid: u32) -> Result<u64> {
    let file = Path::new("/proc").join(pid.to_string()).join("status");
    let text = std::fs::read_to_string(file)?;
    let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.and_then(|text| text.parse().ok()).ok_or("the kernel does not say")?;
    Ok(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_resident() {
        let before = resident(std::process::id()).unwrap();
        let touched = std::hint::black_box(vec![1_u8; 32 << 20]);
        let after = resident(std::process::id()).unwrap();
        assert!(after >= before + (30 << 20), "{before} and {after}");
        drop(touched);
    }
}
