//! What a request costs in user space, counted by callgrind.
//!
//! As in [`instructions`](crate::instructions): the first load only wakes everything up, the second and the third differ in
//! nothing but the number of requests, and the difference of their counts is the requests'.

use super::benchmark::Benchmark;
use super::servers::Server;
use super::{CORES, Options};
use crate::Result;
use crate::instructions::{Callgrind, render};
use crate::table;

/// Lines of a profile.
const TOP: usize = 40;

pub(super) fn run(options: &Options, servers: &[Server], pipeline: u32) -> Result<comfy_table::Table> {
    let callgrind = Callgrind::find()?;
    let counted = options.requests.unwrap_or(20_000);
    let base = u64::from(options.connections * pipeline) * 20;
    let mut table = table::new(vec!["test", "server", "instructions each", "requests a turn"]);
    for test in &options.tests {
        for server in servers {
            eprintln!("{test}: {}", server.name);
            let session = callgrind.session()?;
            let running = server.program.start(CORES, Some(session.wrapper()))?;
            let mut dumps = Vec::new();
            for requests in [base, base, base + counted] {
                let benchmark = Benchmark { test, requests, connections: options.connections, pipeline };
                benchmark
                    .run(running.address, CORES.load)
                    .map_err(|error| format!("{}, {test}: {error}", server.name))?;
                std::thread::sleep(crate::instructions::SETTLE);
                dumps.push(session.dump(running.pid())?);
            }
            running.kill();
            let counts = dumps[2].minus(&dumps[1]);
            table.add_row(vec![
                test.clone(),
                server.name.to_owned(),
                table::grouped(counts.per(counted)),
                counts.per_turn(counted).map_or("n/a".to_owned(), |turns| format!("{turns:.1}")),
            ]);
            if let Some(by) = options.profile {
                println!("{}", render(&format!("{}, {test}", server.name), &counts, by, counted, TOP));
            }
        }
    }
    Ok(table)
}
