//! The text: cut into slices for the workers, and counted plainly, to have something to compare with.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use memmap2::{Mmap, UncheckedAdvice};

/// How many bytes of text are in a slice, so that with its head it fills a block of 64 KiB.
pub const SLICE: usize = (64 << 10) - 16;

/// Words of more bytes are counted, but no frequency is kept of them.
pub const LONGEST: usize = 64;

/// How much of the text is looked at before its memory is given back.
const WINDOW: usize = 8 << 20;

/// White space as the C locale has it; all else is part of a word.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// A file that is mapped, of which little is in memory at a time.
pub struct Text(Option<Mmap>);

impl Text {
    /// Maps a file, which must not be truncated while it is counted.
    pub fn map(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if file.metadata()?.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the map is only read. Whoever writes to the file meanwhile changes the counts, and whoever
        // truncates it ends this process, which the documentation of `map` says.
        Ok(Self(Some(unsafe { Mmap::map(&file)? })))
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Gives back the memory of the windows that end between two offsets; it is read again when needed.
    fn passed(&self, from: usize, to: usize) {
        let (from, to) = (from / WINDOW * WINDOW, to / WINDOW * WINDOW);
        if let Some(map) = self.0.as_ref().filter(|_| to > from) {
            // SAFETY: the pages of a shared map of a file that nobody writes to come back as they were.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) };
        }
    }

    /// The slices, in order; at least one, if only of an empty text.
    pub fn slices(&self) -> Slices<'_> {
        Slices { text: self, at: 0, number: 0 }
    }

    /// Counts all words, and how often each of some words occurs: one process, one pass.
    pub fn count(&self, of: &[Vec<u8>]) -> (u64, HashMap<Vec<u8>, u64>) {
        let bytes = self.bytes();
        let mut wanted: HashMap<Vec<u8>, u64> = of.iter().map(|word| (word.clone(), 0)).collect();
        // Nearly all words can be told from those by length and first byte, without a look into the table.
        let mut like_one = vec![false; (LONGEST + 1) << 8];
        let likeness = |word: &[u8]| word.len().min(LONGEST) << 8 | usize::from(word[0]);
        of.iter().for_each(|word| like_one[likeness(word)] = true);
        let (mut words, mut at) = (0, 0);
        for word in bytes.split(|byte| is_space(*byte)).filter(|word| !word.is_empty()) {
            words += 1;
            if like_one[likeness(word)]
                && let Some(count) = wanted.get_mut(word)
            {
                *count += 1;
            }
            let end = word.as_ptr_range().end as usize - bytes.as_ptr() as usize;
            self.passed(at, end);
            at = end;
        }
        (words, wanted)
    }
}

/// Some of the text, cut where no word is cut, unless a single word is longer than a slice.
pub struct Slice<'a> {
    /// Its place among the slices.
    pub number: u64,
    /// Whether it begins within a word, which is then counted where it began.
    pub starts_inside: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The slices of a text.
pub struct Slices<'a> {
    text: &'a Text,
    at: usize,
    number: u64,
}

impl<'a> Iterator for Slices<'a> {
    type Item = Slice<'a>;

    fn next(&mut self) -> Option<Slice<'a>> {
        let (text, start) = (self.text.bytes(), self.at);
        if start == text.len() && self.number > 0 {
            return None;
        }
        let mut end = text.len().min(start + SLICE);
        if text.get(end).is_some_and(|byte| !is_space(*byte)) {
            let last_space = text[start..end].iter().rposition(|byte| is_space(*byte));
            end = last_space.map_or(end, |space| start + space + 1);
        }
        let starts_inside = start > 0 && !is_space(text[start - 1]) && !is_space(text[start]);
        self.text.passed(start, end);
        self.at = end;
        self.number += 1;
        Some(Slice { number: self.number - 1, starts_inside, bytes: &text[start..end] })
    }
}
