//! Commands as a line of words, as a person types them: `SET greeting "hello there"`.

use super::violation::Violation;

/// Splits a line into words, which `word` is told of. Words may be quoted: between double quotes `\n`, `\r`, `\t`, `\b`,
/// `\a` and `\xhh` stand for bytes; between single ones only `\'` does.
pub(super) fn split(line: &[u8], mut word: impl FnMut(&[u8])) -> Result<(), Violation> {
    let mut rest = line;
    let mut bytes = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(());
        }
        bytes.clear();
        while let [first, after @ ..] = rest {
            rest = match first {
                b'"' => closed(quoted(after, &mut bytes)?)?,
                b'\'' => closed(literal(after, &mut bytes)?)?,
                byte if byte.is_ascii_whitespace() => break,
                byte => {
                    bytes.push(*byte);
                    after
                }
            };
        }
        word(&bytes);
    }
}

/// What follows a closing quote is the end of the word.
fn closed(rest: &[u8]) -> Result<&[u8], Violation> {
    match rest.first() {
        Some(byte) if !byte.is_ascii_whitespace() => Err(Violation::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

/// Up to the closing double quote.
fn quoted<'l>(mut rest: &'l [u8], bytes: &mut Vec<u8>) -> Result<&'l [u8], Violation> {
    loop {
        match rest {
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            [b'\\', byte, after @ ..] => {
                bytes.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
            [] => return Err(Violation::UnbalancedQuotes),
        }
    }
}

/// Up to the closing single quote.
fn literal<'l>(mut rest: &'l [u8], bytes: &mut Vec<u8>) -> Result<&'l [u8], Violation> {
    loop {
        match rest {
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => {
                bytes.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
            [] => return Err(Violation::UnbalancedQuotes),
        }
    }
}

fn digit(hex: u8) -> u8 {
    (hex as char).to_digit(16).unwrap_or(0) as u8
}
