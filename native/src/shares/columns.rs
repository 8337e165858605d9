//! A party's factor: columns over M slots, from its rows and their slots or from shares that an earlier product left.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::word::Word;
use super::{CHUNK, MAX_COLUMNS};
use crate::error::{Error, Result};

/// Where a party's rows lie, chunk after chunk: made once for a matching, used by every query over it.
pub struct Placement {
    slots: usize,
    /// Rows of chunk c are those numbered `starts[c]..starts[c + 1]` below.
    starts: Vec<usize>,
    place_in_chunk: Vec<u16>,
    row: Vec<u32>,
}

impl Placement {
    /// `order[i]` is the row that was sent at place i and received `slots[i]`, the rows being in their own order if there is none.
    /// `Malformed` if the coordinator gave a slot outside `0..total` or one slot twice.
    pub fn new(total: usize, slots: &[[u8; 4]], order: Option<&[[u8; 4]]>) -> Result<Self> {
        if order.is_some_and(|order| order.len() != slots.len()) {
            return Err(Error::Parameters("an order has one row for each slot"));
        }
        let chunks = total.div_ceil(CHUNK);
        let mut starts = vec![0; chunks + 1];
        for slot in slots {
            let slot = u32::from_le_bytes(*slot) as usize;
            if slot >= total {
                return Err(Error::Malformed);
            }
            starts[slot / CHUNK + 1] += 1;
        }
        for chunk in 0..chunks {
            starts[chunk + 1] += starts[chunk];
        }
        let mut free = starts.clone();
        let mut place_in_chunk = vec![0; slots.len()];
        let mut row = vec![0; slots.len()];
        for (i, slot) in slots.iter().enumerate() {
            let slot = u32::from_le_bytes(*slot) as usize;
            let at = free[slot / CHUNK];
            free[slot / CHUNK] += 1;
            place_in_chunk[at] = (slot % CHUNK) as u16;
            row[at] = order.map_or(i as u32, |order| u32::from_le_bytes(order[i]));
        }
        let placement = Self {
            slots: total,
            starts,
            place_in_chunk,
            row,
        };
        placement.check_distinct()?;
        Ok(placement)
    }

    /// M, the number of slots.
    pub fn slots(&self) -> usize {
        self.slots
    }

    fn check_distinct(&self) -> Result<()> {
        for rows in self.starts.windows(2) {
            let mut taken = [false; CHUNK];
            for &place in &self.place_in_chunk[rows[0]..rows[1]] {
                if std::mem::replace(&mut taken[place as usize], true) {
                    return Err(Error::Malformed);
                }
            }
        }
        Ok(())
    }
}

/// M slots × columns.
pub struct Columns {
    slots: usize,
    columns: usize,
    values: Values,
}

enum Values {
    /// Column after column, the rows' values in the placement's order; zero in every other slot.
    Placed(Arc<Placement>, Vec<Vec<u64>>),
    /// All slots in wire order.
    Dense(Vec<u64>),
}

impl Columns {
    /// Columns over rows. A row of the order past a column's end is a dummy: zero.
    pub fn placed(placement: Arc<Placement>, columns: &[&[[u8; 8]]]) -> Result<Self> {
        check_columns(columns.len())?;
        let gather = |column: &&[[u8; 8]]| {
            let value = |row: &u32| {
                column
                    .get(*row as usize)
                    .map_or(0, |v| u64::from_le_bytes(*v))
            };
            placement.row.iter().map(value).collect()
        };
        let values = columns.par_iter().map(gather).collect();
        Ok(Self {
            slots: placement.slots,
            columns: columns.len(),
            values: Values::Placed(placement, values),
        })
    }

    /// Shares of all slots in wire order, as `slotwise` returns them.
    pub fn dense(slots: usize, columns: usize, words: &[[u8; 8]]) -> Result<Self> {
        check_columns(columns)?;
        if slots.checked_mul(columns) != Some(words.len()) {
            return Err(Error::Parameters(
                "dense columns hold a word for every slot",
            ));
        }
        let words = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        Ok(Self {
            slots,
            columns,
            values: Values::Dense(words),
        })
    }

    /// M.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Overwrites `out` with a chunk, column after column.
    pub(super) fn fill<W: Word>(&self, chunk: usize, out: &mut [W]) {
        match &self.values {
            Values::Dense(words) => {
                for (out, word) in out.iter_mut().zip(&words[chunk * CHUNK * self.columns..]) {
                    *out = W::from(*word);
                }
            }
            Values::Placed(placement, values) => {
                out.fill(W::default());
                let height = out.len() / self.columns;
                let rows = placement.starts[chunk]..placement.starts[chunk + 1];
                let places = &placement.place_in_chunk[rows.clone()];
                for (column, out) in values.iter().zip(out.chunks_mut(height)) {
                    for (&place, &value) in places.iter().zip(&column[rows.clone()]) {
                        out[place as usize] = W::from(value);
                    }
                }
            }
        }
    }
}

/// The slots of a chunk, of `slots` in all.
pub fn chunk_slots(chunk: usize, slots: usize) -> Range<usize> {
    chunk * CHUNK..((chunk + 1) * CHUNK).min(slots)
}

pub(super) fn check_columns(columns: usize) -> Result<()> {
    if (1..=MAX_COLUMNS).contains(&columns) {
        Ok(())
    } else {
        Err(Error::Parameters("a factor has 1 to 64 columns"))
    }
}
