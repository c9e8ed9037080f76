//! From the path of a request to that of a file beneath the root.
//!
//! Decoded once, and refused if it means to leave: what is decided here are only words. That no link leads out the kernel
//! sees to, when it opens the path beneath the root.

/// Where a request leads, seen from the root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Without a slash in front; `.` for the root itself.
    pub(crate) path: String,
    /// It was written as a directory's, with a slash at its end.
    pub(crate) directory: bool,
}

/// # Errors
/// 400 for what is not decodable, and 403 for what leads out.
pub(crate) fn resolve(target: &str) -> Result<Place, u16> {
    let decoded = decode(target).ok_or(400_u16)?;
    // A NUL would end the path for the kernel.
    if decoded.contains('\0') {
        return Err(400);
    }
    let mut names: Vec<&str> = Vec::new();
    for name in decoded.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop().ok_or(403_u16)?;
            }
            name => names.push(name),
        }
    }
    let directory = matches!(decoded.rsplit('/').next(), Some("" | "." | ".."));
    let path = if names.is_empty() { ".".to_owned() } else { names.join("/") };
    Ok(Place { path, directory })
}

/// `%41` is `A`. Once only: what it comes to is not looked at again.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_put_in_order() {
        for (target, path, directory) in [
            ("/", ".", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("//a///b", "a/b", false),
            ("/a/./b/.", "a/b", true),
            ("/a/../b", "b", false),
            ("/a/b/..", "a", true),
            ("/a%20b%2Fc", "a b/c", false),
            ("/%2561", "%61", false),
            ("/%C3%A4", "\u{e4}", false),
            ("/...", "...", false),
            ("/a\\..\\b", "a\\..\\b", false),
        ] {
            assert_eq!(resolve(target), Ok(Place { path: path.to_owned(), directory }), "{target}");
        }
    }

    #[test]
    fn what_leads_out_is_refused_however_it_is_written() {
        for target in [
            "/..",
            "/../etc/passwd",
            "/a/../../b",
            "/%2e%2e/etc/passwd",
            "/%2E./x",
            "/a/%2e%2e/%2e%2e/b",
            "/..%2fetc",
        ] {
            assert_eq!(resolve(target), Err(403), "{target}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for target in ["/%", "/%2", "/%zz", "/%00", "/a%00.html", "/%ff", "/%c0%ae%c0%ae/", "/%+1"] {
            assert_eq!(resolve(target), Err(400), "{target}");
        }
    }
}
