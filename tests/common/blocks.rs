//! The arena of a segment as its file says, for audits: which blocks are in use.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sharecell::layout_table;

/// The owners' words of the blocks that are not free, as `docs/layout.md` says where they are.
pub fn owners(segment: &str) -> Vec<u64> {
    let size_of = |of| layout_table().iter().find(|row| row.0 == of && row.1.is_empty()).expect("a struct").3;
    let file = File::open(format!("/dev/shm/sharecell.{segment}")).expect("the segment's file");
    let words = |at: usize, count: usize| -> Vec<u64> {
        let mut bytes = vec![0; count * 8];
        file.read_exact_at(&mut bytes, at as u64).expect("the segment's words");
        bytes.chunks_exact(8).map(|w| u64::from_ne_bytes(w.try_into().expect("eight bytes"))).collect()
    };
    let participants = (words(24, 1)[0] >> 32) as usize;
    let extents = size_of("Header") + participants * size_of("Slot");
    let mut owners = Vec::new();
    for extent in (0..1024).map(|i| extents + i * size_of("Extent")) {
        let [shape, start] = words(extent, 2)[..] else { unreachable!() };
        if start == 0 {
            break;
        }
        let count = blocks(shape as usize & 0xffff, shape as usize >> 16);
        owners.extend(words(start as usize, count).into_iter().filter(|owner| *owner != 0));
    }
    owners
}

/// How many blocks of a class an extent of so many bytes has.
fn blocks(class: usize, len: usize) -> usize {
    let block = if class < 8 { (class + 1) * 128 } else { (9 + class % 8) * (128 << (class / 8 - 1)) };
    let mut blocks = len / (block + 8);
    while (blocks * 8).next_multiple_of(128) + blocks * block > len {
        blocks -= 1;
    }
    blocks
}
