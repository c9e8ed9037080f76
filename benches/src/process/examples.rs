//! Building the example programs of the root package.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Builds one example in release mode and returns its path.
pub(crate) fn build(example: &str) -> Result<PathBuf> {
    let output = Command::new(cargo())
        .args([
            "build",
            "--release",
            "--package",
            "chainring",
            "--message-format",
            "json",
            "--example",
            example,
        ])
        .current_dir(workspace())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo cannot build example {example}: {}", complaint(&output.stderr)).into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().find_map(|line| executable(line, example));
    built.ok_or_else(|| format!("cargo names no program for example {example}").into())
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
