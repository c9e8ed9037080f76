//! The keys and values of a tree: made, or read from a file of lines.

use std::path::PathBuf;

use crate::Error;

/// What goes into the tree.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// So many keys that look random
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    keys: u64,
    /// Which ones: another number, other keys
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Lines of a key and a value instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "seed"])]
    from: Option<PathBuf>,
}

impl Options {
    /// The pairs in ascending order. Of two lines with the same key the last one counts.
    pub(crate) fn sorted(&self) -> Result<Vec<(u64, u64)>, Error> {
        let mut pairs: Vec<_> = match &self.from {
            None => (0..self.keys)
                .map(|number| mix(number ^ self.seed << 32))
                .map(|key| (key, mix(key)))
                .collect(),
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                text.lines()
                    .enumerate()
                    .map(|(number, line)| parse(path, number, line))
                    .collect::<Result<_, _>>()?
            }
        };
        pairs.sort_by_key(|pair| pair.0);
        pairs.reverse();
        pairs.dedup_by_key(|pair| pair.0);
        pairs.reverse();
        Ok(pairs)
    }
}

fn parse(path: &std::path::Path, number: usize, line: &str) -> Result<(u64, u64), Error> {
    let numbers: Option<Vec<u64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[key, value]) => Ok((key, value)),
        _ => Err(format!("{}, line {}: not a key and a value", path.display(), number + 1).into()),
    }
}

/// The mixing step of splitmix64: no two numbers come to the same.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
