//! Segments in the memory of a model: see [`crate::sys::model`].

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::arena::Owner;
use super::attach::{Attached, seat_byte};
use super::{Segment, SegmentOptions};
use crate::atomic::Relaxed;
use crate::error::Result;
use crate::layout::{self, BlockRef};
use crate::sys::lease::{Mode, try_lock};
use crate::sys::map::Map;
use crate::sys::model::{ProcessId, acting, label_cell, memory};
use crate::sys::shm;

impl Segment {
    /// Attaches `process` to the segment that lies over the model's memory, in the seat of that number; the first one lays it.
    pub fn in_model(participants: u32, process: ProcessId) -> Result<Self> {
        acting(process, || {
            let attached = attachment(participants, process)?;
            if process == 1 {
                let options = SegmentOptions::new().participants(participants);
                let fixed = layout::arena_offset(participants);
                attached.words(0, fixed / 8)?.iter().for_each(|word| word.store(0, Relaxed));
                options.fill_header(attached.header(), fixed, attached.map.len())?;
            }
            let label = process as u32;
            assert!(
                try_lock(attached.file()?, seat_byte(label), Mode::Exclusive)? && attached.take_seat(label)
            );
            attached.label.store(label, Ordering::Relaxed);
            Ok(Self::over(Arc::new(attached)))
        })
    }

    /// Attaches `process` as any process does: in a free seat, or that of somebody dead.
    pub fn newcomer_in_model(participants: u32, process: ProcessId) -> Result<Self> {
        let attached = attachment(participants, process)?;
        let label = attached.find_seat(attached.file()?)?;
        attached.label.store(label, Ordering::Relaxed);
        Ok(Self::over(Arc::new(attached)))
    }

    /// How many blocks of the arena are somebody's.
    pub fn blocks_in_use(&self) -> usize {
        let block = |extent, index| self.attached.block(BlockRef { extent, index }.pack()).ok();
        let used = |extent| (0..).map_while(move |i| block(extent, i)).filter(|b| !b.is(Owner::Free)).count();
        (0..layout::EXTENTS as u32).take_while(|extent| block(*extent, 0).is_some()).map(used).sum()
    }
}

fn attachment(participants: u32, process: ProcessId) -> Result<Attached> {
    let (base, len) = memory();
    let map = Map::Given { base, len, _keeper: Box::new(()) };
    let file = File::open("/dev/null").map_err(|e| crate::sys::io_error("opening /dev/null", &e))?;
    let stat = shm::stat(&file)?;
    Ok(Attached::over("model", file, &stat, map, participants, label_cell(process)))
}
