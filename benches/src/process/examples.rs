//! Building the example programs of the root package.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::Result;

/// What has been built, or why it has not been: cargo is asked once.
static BUILT: Mutex<BTreeMap<String, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());

/// Builds one example in release mode, unless that was done before, and returns its path.
pub(crate) fn build(example: &str) -> Result<PathBuf> {
    build_all(&[example]);
    let built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.get(example).cloned().ok_or("it was not built")?.map_err(Into::into)
}

/// Builds several at once. What cannot be built is told to whoever needs it.
pub(crate) fn build_all(examples: &[&str]) {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<_> = examples.iter().copied().filter(|&example| !built.contains_key(example)).collect();
    if missing.is_empty() {
        return;
    }
    let outcome = cargo_build(&missing);
    for example in missing {
        let path = outcome.as_ref().map_err(Clone::clone).and_then(|messages| {
            let path = messages.lines().find_map(|line| executable(line, example));
            path.ok_or_else(|| format!("cargo names no program for example {example}"))
        });
        built.insert(example.to_owned(), path);
    }
}

/// What cargo says while it builds them.
fn cargo_build(examples: &[&str]) -> Result<String, String> {
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "--package", "chainring", "--message-format", "json"]);
    command.args(examples.iter().flat_map(|example| ["--example", example])).current_dir(workspace());
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        let names = examples.join(", ");
        return Err(format!("cargo cannot build the examples {names}: {}", complaint(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program that a message of cargo names for the example.
fn executable(message: &str, example: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let target = message.get("target")?;
    let is_it = target.get("name")? == example
        && target.get("kind")?.as_array()?.iter().any(|kind| kind == "example");
    is_it.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
}

/// The first error that cargo reports.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let first = text.lines().map(str::trim).find(|line| line.starts_with("error"));
    first.unwrap_or("it does not say why").to_owned()
}

/// The cargo that runs this program, or built it.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| option_env!("CARGO").unwrap_or("cargo").into())
}

/// The workspace that this program was built from, if it is still there; else wherever we are.
fn workspace() -> &'static Path {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    if built_from.join("Cargo.toml").is_file() { built_from } else { Path::new(".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_the_messages() {
        let library =
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"echo"},"executable":null}"#;
        let example = r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"echo"},"executable":"/t/echo"}"#;
        let finished = r#"{"reason":"build-finished","success":true}"#;
        let found: Vec<_> =
            [library, example, finished].iter().filter_map(|line| executable(line, "echo")).collect();
        assert_eq!(found, [PathBuf::from("/t/echo")]);
        assert_eq!(executable(example, "other"), None);
    }

    #[test]
    fn of_many_lines_the_error_is_told() {
        assert_eq!(
            complaint(b"   Compiling x\nerror: no example target named `x`\n\nHelp"),
            "error: no example target named `x`"
        );
    }
}
