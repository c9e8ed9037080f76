//! What `#[chainring::main(cores = N)]` makes of the outputs of its cores.

use std::process::ExitCode;

/// What `main` may return when it runs on several cores: nothing, an `ExitCode`, or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "a `main` on several cores cannot return `{Self}`",
    note = "it may return `()`, `ExitCode`, or a `Result` of one of these"
)]
pub trait Outcome: Sized {
    /// The outcome of the program: the first one that is a failure.
    fn all(outcomes: Vec<Self>) -> Self;
}

impl Outcome for () {
    fn all(_: Vec<()>) {}
}

impl Outcome for ExitCode {
    fn all(outcomes: Vec<ExitCode>) -> ExitCode {
        outcomes.into_iter().find(|code| *code != ExitCode::SUCCESS).unwrap_or(ExitCode::SUCCESS)
    }
}

impl<T: Outcome, E> Outcome for Result<T, E> {
    fn all(outcomes: Vec<Result<T, E>>) -> Result<T, E> {
        outcomes.into_iter().collect::<Result<Vec<T>, E>>().map(T::all)
    }
}
