//! Segments in the memory of a model: see [`crate::sys::model`].

use std::sync::atomic::Ordering;

use super::arena::Owner;
use super::attach::seat_byte;
use super::{Segment, SegmentOptions, fork, new_attachment};
use crate::atomic::Relaxed;
use crate::error::Result;
use crate::layout::{self, BlockRef};
use crate::sys::lease::{Lease, Mode, try_lock};
use crate::sys::map::Map;
use crate::sys::model::files::{self, NAME};
use crate::sys::model::{ProcessId, acting, memory};
use crate::sys::shm;

impl Segment {
    /// Attaches `process` to the segment that lies over the model's memory, in the seat of that number; the first one lays
    /// it. It is ephemeral.
    pub fn in_model(participants: u32, process: ProcessId) -> Result<Self> {
        acting(process, || {
            fork::registry().renew();
            let file = files::description()?;
            let (stat, map) = (shm::stat(&file)?, Map::of(&file, 0)?);
            let attached = new_attachment(NAME, file, &stat, map, participants)?;
            if process == 1 {
                let options = SegmentOptions::new().participants(participants).ephemeral(true);
                let fixed = layout::arena_offset(participants);
                attached.words(0, fixed / 8)?.iter().for_each(|word| word.store(0, Relaxed));
                options.fill_header(attached.header(), fixed, memory().1)?;
            }
            let (label, lease) = (process as u32, files::description()?);
            assert!(try_lock(&lease, seat_byte(label), Mode::Exclusive)? && attached.take_seat(label));
            attached.label.store(label, Ordering::Relaxed);
            // SAFETY: nobody else has this attachment yet.
            unsafe { *attached.lease.get() = Some(Lease::pin(lease, false)?) };
            fork::registry().add(&attached);
            Ok(Self::over(attached))
        })
    }

    /// Attaches the process that acts, as any process does: in a free seat, or that of somebody dead.
    pub fn newcomer_in_model() -> Result<Self> {
        fork::registry().renew();
        SegmentOptions::new().open(NAME)
    }

    /// How many blocks of the arena are somebody's.
    pub fn blocks_in_use(&self) -> usize {
        let block = |extent, index| self.attached.block(BlockRef { extent, index }.pack()).ok();
        let used = |extent| (0..).map_while(move |i| block(extent, i)).filter(|b| !b.is(Owner::Free)).count();
        (0..layout::EXTENTS as u32).take_while(|extent| block(*extent, 0).is_some()).map(used).sum()
    }
}
