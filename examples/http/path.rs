//! From the path of a request to that of a file beneath the root.
//!
//! Decoded once, and refused if it means to leave: what is decided here are only words. That no link leads out the kernel
//! sees to, when it opens the path beneath the root.

/// Writes where a request leads, seen from the root, into `path`: without a slash in front; `.` for the root itself. True if
/// it was written as a directory's, with a slash at its end.
///
/// # Errors
/// 400 for what is not decodable, and 403 for what leads out.
pub(crate) fn resolve(target: &str, path: &mut String) -> Result<bool, u16> {
    let decoded;
    let target = match memchr::memchr(b'%', target.as_bytes()) {
        None => target,
        Some(_) => {
            decoded = decode(target).ok_or(400_u16)?;
            &decoded
        }
    };
    // A NUL would end the path for the kernel.
    if memchr::memchr(0, target.as_bytes()).is_some() {
        return Err(400);
    }
    path.clear();
    let (mut rest, mut directory) = (Some(target), true);
    while let Some(names) = rest {
        let end = names.bytes().position(|byte| byte == b'/');
        let name = &names[..end.unwrap_or(names.len())];
        rest = end.map(|end| &names[end + 1..]);
        directory = matches!(name, "" | "." | "..");
        match name {
            "" | "." => {}
            ".." if path.is_empty() => return Err(403),
            ".." => path.truncate(path.rfind('/').unwrap_or(0)),
            name => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(name);
            }
        }
    }
    if path.is_empty() {
        path.push('.');
    }
    Ok(directory)
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

    fn resolved(target: &str) -> Result<(String, bool), u16> {
        let mut path = "before".to_owned();
        resolve(target, &mut path).map(|directory| (path, directory))
    }

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
            assert_eq!(resolved(target), Ok((path.to_owned(), directory)), "{target}");
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
            assert_eq!(resolved(target), Err(403), "{target}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for target in ["/%", "/%2", "/%zz", "/%00", "/a%00.html", "/%ff", "/%c0%ae%c0%ae/", "/%+1"] {
            assert_eq!(resolved(target), Err(400), "{target}");
        }
    }
}
