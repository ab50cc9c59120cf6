//! The bytes of a segment as text: a line for every 32 bytes that are not all 0.

use std::fmt::Write;

const LINE: usize = 32;

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes\n", bytes.len());
    for (line, at) in bytes.chunks(LINE).zip((0..).step_by(LINE)) {
        if line.iter().any(|byte| *byte != 0) {
            write!(text, "{at:x}:").unwrap();
            line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push('\n');
        }
    }
    text
}

/// The bytes of a text; `None` if it is not one of [`encode`]'s.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (len, lines) = text.split_once(" bytes\n")?;
    let mut bytes = vec![0; len.parse().ok()?];
    for line in lines.lines() {
        let (at, digits) = line.split_once(':')?;
        let at = usize::from_str_radix(at, 16).ok()?;
        for (i, digits) in digits.as_bytes().chunks(2).enumerate() {
            *bytes.get_mut(at + i)? = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
    }
    Some(bytes)
}
