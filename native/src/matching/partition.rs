//! Radix partitioning in parallel without unsafe: each segment of the input has a room of its own in each bucket.
//!
//! Buckets lie one after the other, and within a bucket the segments' rooms in the segments' order, so that a partition
//! is stable and does not depend on threads.

use std::slice;

/// How many of the labels name each bucket.
pub fn count(labels: impl Iterator<Item = usize>, buckets: usize) -> Vec<usize> {
    let mut counts = vec![0; buckets];
    for label in labels {
        counts[label] += 1;
    }
    counts
}

/// Sizes of the buckets, from counts per segment and bucket.
pub fn bucket_sizes(counts: &[Vec<usize>], buckets: usize) -> Vec<usize> {
    (0..buckets)
        .map(|bucket| counts.iter().map(|segment| segment[bucket]).sum())
        .collect()
}

/// A segment's room in a bucket, filled from its start.
pub struct Room<'a, T>(slice::IterMut<'a, T>);

impl<T> Room<'_, T> {
    /// Puts the next item; panics if there is no room left, which `count` would have found.
    #[inline]
    pub fn put(&mut self, item: T) {
        *self.0.next().expect("an item that was counted") = item;
    }
}

/// Each segment's rooms, one per bucket.
pub fn split<'a, T>(
    mut rest: &'a mut [T],
    counts: &[Vec<usize>],
    buckets: usize,
) -> Vec<Vec<Room<'a, T>>> {
    let mut rooms: Vec<Vec<Room<T>>> = counts.iter().map(|_| Vec::with_capacity(buckets)).collect();
    for bucket in 0..buckets {
        for (segment, rooms) in counts.iter().zip(&mut rooms) {
            let room;
            (room, rest) = rest.split_at_mut(segment[bucket]);
            rooms.push(Room(room.iter_mut()));
        }
    }
    rooms
}

/// Stretches of these sizes, one after the other.
pub fn cut<'a, T>(mut rest: &'a mut [T], sizes: &[usize]) -> Vec<&'a mut [T]> {
    sizes
        .iter()
        .map(|&size| {
            let stretch;
            (stretch, rest) = std::mem::take(&mut rest).split_at_mut(size);
            stretch
        })
        .collect()
}
