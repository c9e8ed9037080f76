//! What `build()` says of a chain.

use chainring_chains::{BuildError, Chain};

/// Why the chain that `steps` describes is refused.
pub(crate) fn refusal(steps: impl FnOnce(&mut Chain<()>)) -> BuildError {
    let mut c = Chain::new("test");
    steps(&mut c);
    match c.build() {
        Ok(program) => panic!("accepted:\n{}", program.explain()),
        Err(error) => error,
    }
}

/// The same, in words.
pub(crate) fn refused(steps: impl FnOnce(&mut Chain<()>)) -> String {
    refusal(steps).to_string()
}

/// It is not refused.
pub(crate) fn accepted(steps: impl FnOnce(&mut Chain<()>)) {
    let mut c = Chain::new("test");
    steps(&mut c);
    c.build().unwrap_or_else(|error| panic!("{error}"));
}
