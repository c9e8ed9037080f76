//! The servers of keys and values that are compared.

use std::path::Path;

use crate::Result;
use crate::competitor::Competitor;
use crate::process::server::Program;
use crate::workload::Workload;

pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) program: Program,
}

/// Those that there are.
pub(super) fn all() -> Result<Vec<Server>> {
    let workload = Workload::find("kv")?;
    let mut all = Vec::new();
    for name in ["chainring-chain", "chainring-await", super::OTHER] {
        let competitor = Competitor::find(name)?;
        if competitor.is_here(workload) {
            // Nothing is prepared for any of them.
            let program = Program::prepare(competitor, workload, Path::new("."))?;
            all.push(Server { name, program });
        } else {
            eprintln!("{name} is not installed, and left out");
        }
    }
    Ok(all)
}
