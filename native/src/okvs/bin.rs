//! The linear system of one bin: peeling, the few rows that do not peel, back substitution.
//!
//! Raghuraman and Rindal 2022, §3.1–3.2. Row r reads three sparse columns and the dense columns weighted by d, d², …,
//! where d is the row's hash in GF(2^128). Instead of lists of rows, a column keeps how many live rows it has and the
//! XOR of their numbers: at one row, the XOR is that row.

use super::hashing::Hasher;
use crate::block::Block;
use crate::error::{Error, Result};
use crate::field;

#[derive(Clone, Copy, Default)]
struct Column {
    live: u16,
    rows: u16,
}

/// A row solved for one of its columns.
#[derive(Clone, Copy)]
struct Pivot {
    row: u16,
    column: u16,
    others: [u16; 2],
}

/// Working memory of a thread.
#[derive(Default)]
pub struct Scratch {
    rows: Vec<[u16; 3]>,
    columns: Vec<Column>,
    /// Columns in the order in which they came down to one live row; room for one more than there are.
    queue: Vec<u16>,
    queued: usize,
    /// Each pivot's column appears in no later pivot and no gap row that outlived it.
    pivots: Vec<Pivot>,
    gap: Vec<u16>,
}

impl Scratch {
    /// Fills `bin` (zeros: sparse, then dense columns) so that every hash decodes to its value; `Exhausted` if the
    /// system has no solution of the form sought. `values` are used up.
    pub fn solve(
        &mut self,
        hasher: &Hasher,
        hashes: &[Block],
        values: &mut [Block],
        bin: &mut [Block],
        dense: usize,
    ) -> Result<()> {
        let (sparse, dense) = bin.split_at_mut(bin.len() - dense);
        self.place(hasher, hashes, sparse.len());
        self.peel(dense.len())?;
        if !self.gap.is_empty() {
            self.solve_gap(hashes, values, dense)?;
            subtract_dense(hashes, values, dense);
        }
        for pivot in self.pivots.iter().rev() {
            let [a, b] = pivot.others;
            sparse[usize::from(pivot.column)] =
                values[usize::from(pivot.row)] ^ sparse[usize::from(a)] ^ sparse[usize::from(b)];
        }
        Ok(())
    }

    fn place(&mut self, hasher: &Hasher, hashes: &[Block], sparse: usize) {
        self.columns.clear();
        self.columns.resize(sparse, Column::default());
        self.rows.clear();
        for (row, &hash) in hashes.iter().enumerate() {
            let columns = hasher.columns(hash);
            for column in columns {
                let column = &mut self.columns[usize::from(column)];
                column.live += 1;
                column.rows ^= row as u16;
            }
            self.rows.push(columns);
        }
    }

    /// Gives each row a pivot or a place in the gap, which may grow to `dense` rows.
    fn peel(&mut self, dense: usize) -> Result<()> {
        self.pivots.clear();
        self.gap.clear();
        self.queue.clear();
        self.queue.resize(self.columns.len() + 1, 0);
        self.queued = 0;
        for (number, column) in self.columns.iter().enumerate() {
            self.queue[self.queued] = number as u16;
            self.queued += usize::from(column.live == 1);
        }
        let mut next = 0;
        loop {
            while next < self.queued {
                self.take(self.queue[next]);
                next += 1;
            }
            if self.pivots.len() + self.gap.len() == self.rows.len() {
                return Ok(());
            }
            self.open_gap(dense)?;
        }
    }

    /// Makes the last live row of a column its pivot, unless another column has taken that row meanwhile.
    #[inline]
    fn take(&mut self, column: u16) {
        let Column { live, rows: row } = self.columns[usize::from(column)];
        if live == 0 {
            return;
        }
        let [a, b, c] = self.rows[usize::from(row)];
        let others = [
            if a == column { b } else { a },
            if c == column { b } else { c },
        ];
        self.pivots.push(Pivot {
            row,
            column,
            others,
        });
        self.remove(row);
    }

    #[inline]
    fn remove(&mut self, row: u16) {
        for number in self.rows[usize::from(row)] {
            let column = &mut self.columns[usize::from(number)];
            column.live -= 1;
            column.rows ^= row;
            self.queue[self.queued] = number;
            self.queued += usize::from(column.live == 1);
        }
    }

    /// Every column has two live rows or more: sets all but one row of a lightest column aside. Called `dense` times
    /// at most for a bin, and hardly ever at all.
    fn open_gap(&mut self, dense: usize) -> Result<()> {
        let columns = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.live > 0);
        let Some((lightest, column)) = columns.min_by_key(|(_, column)| column.live) else {
            return Err(Error::Exhausted);
        };
        let spare = usize::from(column.live) - 1;
        if self.gap.len() + spare > dense {
            return Err(Error::Exhausted);
        }
        let mut live = vec![true; self.rows.len()];
        for row in self
            .pivots
            .iter()
            .map(|pivot| pivot.row)
            .chain(self.gap.iter().copied())
        {
            live[usize::from(row)] = false;
        }
        let crowd: Vec<u16> = (0..self.rows.len())
            .filter(|&row| live[row] && self.rows[row].contains(&(lightest as u16)))
            .map(|row| row as u16)
            .collect();
        for &row in &crowd[1..] {
            self.gap.push(row);
            self.remove(row);
        }
        Ok(())
    }

    /// Solves for the dense columns: to each gap row are added the pivots' rows that cancel its sparse columns.
    fn solve_gap(&self, hashes: &[Block], values: &[Block], dense: &mut [Block]) -> Result<()> {
        let mut equations: Vec<Vec<Block>> = vec![vec![0; dense.len() + 1]; self.gap.len()];
        let mut add = |equation: usize, row: u16| {
            let (hash, value) = (hashes[usize::from(row)], values[usize::from(row)]);
            let mut power = 1;
            for coefficient in &mut equations[equation][..dense.len()] {
                power = field::mul(power, hash);
                *coefficient ^= power;
            }
            equations[equation][dense.len()] ^= value;
        };
        // Bit i of a column: gap row i, with what has been added to it, reads the column.
        let mut readers = vec![0u32; self.columns.len()];
        for (i, &row) in self.gap.iter().enumerate() {
            add(i, row);
            for column in self.rows[usize::from(row)] {
                readers[usize::from(column)] ^= 1 << i;
            }
        }
        for pivot in &self.pivots {
            let reading = readers[usize::from(pivot.column)];
            if reading == 0 {
                continue;
            }
            for column in self.rows[usize::from(pivot.row)] {
                readers[usize::from(column)] ^= reading;
            }
            (0..self.gap.len())
                .filter(|i| (reading >> i) & 1 == 1)
                .for_each(|i| add(i, pivot.row));
        }
        eliminate(equations, dense)
    }
}

/// Gauss and Jordan over GF(2^128). Each equation ends with its right side; columns without a pivot stay zero.
fn eliminate(mut equations: Vec<Vec<Block>>, unknowns: &mut [Block]) -> Result<()> {
    let mut pivots = Vec::new();
    for i in 0..equations.len() {
        let Some(pivot) = (0..unknowns.len()).find(|&k| equations[i][k] != 0) else {
            return Err(Error::Exhausted);
        };
        let scale = field::inverse(equations[i][pivot]);
        let scaled: Vec<Block> = equations[i].iter().map(|&c| field::mul(c, scale)).collect();
        for (j, equation) in equations.iter_mut().enumerate() {
            if j != i {
                let factor = equation[pivot];
                field::axpy(equation, &scaled, factor);
            }
        }
        equations[i] = scaled;
        pivots.push(pivot);
    }
    for (equation, pivot) in equations.iter().zip(pivots) {
        unknowns[pivot] = equation[unknowns.len()];
    }
    Ok(())
}

/// values[r] -= Σ dense[k]·hashes[r]^(k+1).
fn subtract_dense(hashes: &[Block], values: &mut [Block], dense: &[Block]) {
    let mut sums = vec![0; values.len()];
    let mut plus = vec![0; values.len()];
    for &coefficient in dense.iter().rev() {
        plus.fill(coefficient);
        field::mul_add(&mut sums, hashes, &plus);
    }
    plus.copy_from_slice(values);
    field::mul_add(&mut sums, hashes, &plus);
    values.copy_from_slice(&sums);
}
