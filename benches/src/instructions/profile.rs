//! Where a request's instructions go.

use std::collections::BTreeMap;

use super::callgrind::Counts;

/// What a line of a profile stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    /// A function, with all that was inlined into it
    Functions,
    /// A source file, wherever its code was inlined
    Files,
    /// A source line
    Lines,
}

/// The `top` costliest places of one competitor.
pub(super) fn render(name: &str, counts: &Counts, by: By, requests: u64, top: usize) -> String {
    let mut costs = BTreeMap::<String, u64>::new();
    for (place, count) in &counts.places {
        let key = match by {
            By::Functions => place.function.clone(),
            By::Files => place.file.clone(),
            By::Lines => format!("{}:{}", place.file, place.line),
        };
        *costs.entry(key).or_default() += count;
    }
    let mut costs: Vec<_> = costs.into_iter().filter(|&(_, count)| count > 0).collect();
    costs.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let mut text = format!("{name}: instructions a request, by {}\n", format!("{by:?}").to_lowercase());
    for (key, count) in costs.iter().take(top) {
        text += &format!("{:10.1}  {key}\n", *count as f64 / requests as f64);
    }
    let rest: u64 = costs.iter().skip(top).map(|&(_, count)| count).sum();
    text += &format!("{:10.1}  elsewhere\n", rest as f64 / requests as f64);
    text
}
