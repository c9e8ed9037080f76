//! The tree beside a map in memory.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::Error;
use crate::pairs::mix;
use crate::tree::Tree;

/// Ranges that are compared.
const RANGES: u64 = 1000;

/// Compares every key, keys beside them that are not there, and ranges of all lengths.
pub(crate) async fn verify(tree: &Tree, pairs: Vec<(u64, u64)>) -> Result<(), Error> {
    let map: BTreeMap<u64, u64> = pairs.into_iter().collect();
    if tree.header.keys != map.len() as u64 {
        return Err(format!("the tree has {} keys, and not {}", tree.header.keys, map.len()).into());
    }
    // Not in their order, in which they would be found in one node after the other.
    let mut keys: Vec<u64> = map.keys().copied().collect();
    keys.sort_by_key(|key| mix(*key));
    let begin = Instant::now();
    let values = tree.get(keys.clone()).await?;
    let seconds = begin.elapsed().as_secs_f64();
    for (key, value) in keys.iter().zip(values) {
        if value != map.get(key).copied() {
            return Err(format!("key {key}: {value:?} in the tree, {:?} in the map", map.get(key)).into());
        }
    }
    let missing = [0, u64::MAX]
        .into_iter()
        .chain(keys.iter().flat_map(|key| [key.wrapping_sub(1), key.wrapping_add(1)]));
    let missing: Vec<u64> = missing.filter(|key| !map.contains_key(key)).collect();
    let values = tree.get(missing.clone()).await?;
    if let Some((key, value)) = missing.iter().zip(values).find(|(_, value)| value.is_some()) {
        return Err(format!("key {key}: {value:?} in the tree, and not in the map").into());
    }
    let mut entries = 0;
    for number in 0..RANGES {
        let from = mix(number);
        // From one key to about half of them.
        let to = from.saturating_add(u64::MAX >> (1 + mix(from) % 63));
        let found = tree.range(from, to, u64::MAX).await?;
        if !found.iter().copied().eq(map.range(from..=to).map(|(key, value)| (*key, *value))) {
            return Err(format!("the range from {from} to {to} differs: {} pairs", found.len()).into());
        }
        entries += found.len();
    }
    println!(
        "{} keys found ({:.0} a second), {} others not, {RANGES} ranges of {entries} pairs in all: as in the map",
        keys.len(),
        keys.len() as f64 / seconds,
        missing.len(),
    );
    Ok(())
}
