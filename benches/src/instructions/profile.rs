//! Where a request's instructions go.

use std::collections::BTreeMap;

use super::callgrind::Counts;

/// What a line of a profile stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// A function, with all that was inlined into it
    Functions,
    /// A source file, wherever its code was inlined
    Files,
    /// A source line
    Lines,
}

/// The `top` costliest places of one competitor.
pub(crate) fn render(name: &str, counts: &Counts, by: By, requests: u64, top: usize) -> String {
    let mut costs = BTreeMap::<String, u64>::new();
    for (place, count) in &counts.places {
        let key = match by {
            By::Functions => place.function.clone(),
            By::Files => short(&place.file).to_owned(),
            By::Lines => format!("{}:{}", short(&place.file), place.line),
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

/// The end of a path, which names the crate and the file.
fn short(path: &str) -> &str {
    const COMPONENTS: usize = 4;
    path.rmatch_indices('/').nth(COMPONENTS - 1).map_or(path, |(at, _)| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_to_its_end() {
        assert_eq!(
            short("/registry/src/index/io-uring-0.7.15/src/sys/mod.rs"),
            "io-uring-0.7.15/src/sys/mod.rs"
        );
        assert_eq!(short("syscall.S"), "syscall.S");
    }
}
