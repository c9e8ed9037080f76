//! Says on standard error what is being done: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that disappears in the end, or lines that stay.
pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    /// For so many steps.
    pub(crate) fn new(steps: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress::Lines;
        }
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {wide_msg}");
        Progress::Bar(ProgressBar::new(steps).with_style(style.expect("the template is valid")))
    }

    /// A stage begins, which consists of steps: one line where there is no bar.
    pub(crate) fn stage(&self, what: &str) {
        match self {
            Progress::Lines => eprintln!("{what}"),
            Progress::Bar(bar) => {
                bar.set_message(what.to_owned());
                bar.tick();
            }
        }
    }

    /// A step begins.
    pub(crate) fn step(&self, what: String) {
        if let Progress::Bar(bar) = self {
            bar.set_message(what);
            bar.inc(1);
            bar.tick();
        }
    }

    /// Prints something in between that stays.
    pub(crate) fn print(&self, text: &str) {
        match self {
            Progress::Bar(bar) => bar.suspend(|| println!("{text}")),
            Progress::Lines => println!("{text}"),
        }
    }

    /// All is done; the bar disappears.
    pub(crate) fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
