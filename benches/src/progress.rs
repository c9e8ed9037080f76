//! A line on standard error that says what is being done and how much is left.

use indicatif::{ProgressBar, ProgressStyle};

/// Shows nothing if standard error is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(steps: u64) -> Self {
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
        let bar = ProgressBar::new(steps).with_style(style.expect("the template is valid"));
        Self(bar)
    }

    /// A step begins.
    pub(crate) fn step(&self, what: String) {
        self.0.set_message(what);
        self.0.inc(1);
        self.0.tick();
    }

    /// All is done; the line disappears.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
