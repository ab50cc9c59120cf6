//! The bytes of a segment from text: a line for every few bytes that are not all 0, after one with their number.

/// The bytes of a text; `None` if it is no such text.
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
