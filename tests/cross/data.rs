//! Bytes as a word of a line: `-` if there are none, hexadecimal digits, or `*LEN:FIRST` for a long pattern.

/// So long that it cannot be mistaken for a power of two.
const PERIOD: usize = 251;
/// Bytes in hexadecimal digits have at most this length.
const SHORT: usize = 64;

/// A pattern that shows misplaced and lost bytes.
fn pattern(len: usize, first: usize) -> Vec<u8> {
    (0..len).map(|i| ((first + i) % PERIOD) as u8).collect()
}

/// The bytes that a word means.
pub fn decode(word: &str) -> Vec<u8> {
    if word == "-" {
        return Vec::new();
    }
    if let Some((len, first)) = word.strip_prefix('*').and_then(|rest| rest.split_once(':')) {
        return pattern(len.parse().expect("a length"), first.parse().expect("a first byte"));
    }
    let digits = word.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{word}: no bytes"))).collect()
}

/// The word for some bytes; `garbled:LEN` if they are long and no pattern.
pub fn encode(data: &[u8]) -> String {
    match data {
        [] => "-".to_owned(),
        _ if data.len() <= SHORT => data.iter().map(|byte| format!("{byte:02x}")).collect(),
        [first, ..] if data == pattern(data.len(), (*first).into()) => format!("*{}:{first}", data.len()),
        _ => format!("garbled:{}", data.len()),
    }
}
