//! Times the kernels of the `blind` mode: `cargo run --release --example blind [log2 rows]`, CPU time of all threads,
//! the least of five runs, in ns per item.

use std::hint::black_box;
use std::sync::Arc;

use fedsandbox_native::block::Block;
use fedsandbox_native::keys::encoding::{Column, Slice, Text};
use fedsandbox_native::keys::gather::gather;
use fedsandbox_native::keys::{hash, permutation};
use fedsandbox_native::matching::join;
use fedsandbox_native::prg::Prg;
use fedsandbox_native::shares::columns::{Columns, Placement};
use fedsandbox_native::shares::inner::{self, Party, Role, Shape};

fn time<T>(what: &str, items: usize, mut run: impl FnMut() -> T) {
    let least = (0..5)
        .map(|_| {
            let start = cpu_ns();
            black_box(run());
            cpu_ns() - start
        })
        .min()
        .unwrap_or(0);
    println!("{what:44} {:8.2} ns/item", least as f64 / items as f64);
}

/// Nanoseconds that this process's threads have run, which other processes do not inflate (Linux).
fn cpu_ns() -> u64 {
    // The kernel brings a thread's account up to date when it schedules.
    std::thread::yield_now();
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

fn main() {
    let log_rows = std::env::args()
        .nth(1)
        .map_or(20, |text| text.parse().expect("log2 of the rows"));
    let rows = 1usize << log_rows;
    keys(rows);
    matching(rows);
    for (p, q) in [(1, 2), (4, 4), (16, 16)] {
        shares(rows, p, q);
    }
}

fn keys(rows: usize) {
    let all = Slice {
        offset: 0,
        length: rows,
    };
    let ints: Vec<u8> = (0..rows as u64).flat_map(u64::to_le_bytes).collect();
    let texts: Vec<String> = (0..rows).map(|i| format!("unit-{i:08}")).collect();
    let offsets: Vec<u8> = (0..=rows as u32)
        .flat_map(|i| (i * 13).to_le_bytes())
        .collect();
    let data = texts.concat();
    let int = || Column::int64(&ints, None, all).expect("column");
    let text = || Column::text(Text::Utf8, &offsets, data.as_bytes(), None, all).expect("column");
    let key = [3; 32];
    time("hash int64", rows, || hash::hash(&[vec![int()]], &key));
    time("hash utf8 of 13 bytes", rows, || {
        hash::hash(&[vec![text()]], &key)
    });
    time("hash (int64, utf8)", rows, || {
        hash::hash(&[vec![int(), text()]], &key)
    });
    time("permutation", rows, || permutation::permutation(&key, rows));
    let order: Vec<[u8; 4]> = permutation::permutation(&key, rows)
        .expect("order")
        .into_iter()
        .map(u32::to_le_bytes)
        .collect();
    let values = ints.as_chunks::<8>().0;
    time("gather of 8 bytes", rows, || {
        gather(&[values], &order, u64::from_le_bytes)
    });
    time("expand a block", rows, || {
        let mut out = vec![0; rows];
        Prg::new(1).fill(&mut out);
        out
    });
}

fn matching(rows: usize) {
    let tags = |first: usize| -> Vec<[u8; 16]> {
        let mut blocks = vec![0; first + rows];
        Prg::new(9).fill(&mut blocks);
        blocks[first..]
            .iter()
            .copied()
            .map(Block::to_le_bytes)
            .collect()
    };
    let (a, b, c) = (tags(0), tags(rows / 2), tags(rows / 4));
    time("match two parties, half matching", 2 * rows, || {
        join::match_tags(&[&a, &b], &[1; 32])
    });
    time("match three parties", 3 * rows, || {
        join::match_tags(&[&a, &b, &c], &[1; 32])
    });
}

/// Per slot; a party has rows in half of the slots.
fn shares(rows: usize, p: usize, q: usize) {
    let slots = 2 * rows;
    println!("-- XᵀY, p = {p}, q = {q}");
    let order = permutation::permutation(&[5; 32], slots).expect("slots");
    let given: Vec<[u8; 4]> = order[..rows]
        .iter()
        .map(|slot| slot.to_le_bytes())
        .collect();
    let column: Vec<[u8; 8]> = (0..rows as u64).map(u64::to_le_bytes).collect();
    time("placement", slots, || Placement::new(slots, &given, None));
    let placement = Arc::new(Placement::new(slots, &given, None).expect("placement"));
    let columns = |count: usize| {
        Columns::placed(Arc::clone(&placement), &vec![&column[..]; count]).expect("columns")
    };
    time("columns", slots, || columns(p));
    let (x, y) = (Arc::new(columns(p)), Arc::new(columns(q)));
    time("deal", slots, || inner::deal(1, 2, Shape { slots, p, q }));
    let a = || Party::new(Role::A, Arc::clone(&x), q, 1).expect("A");
    let b = || Party::new(Role::B, Arc::clone(&y), p, 2).expect("B");
    let (d, e) = (a().next_message(usize::MAX), b().next_message(usize::MAX));
    // About 2 MB a message.
    let chunks = 128usize.div_ceil(p);
    time("A sends", slots, || {
        let mut a = a();
        while !black_box(a.next_message(chunks)).is_empty() {}
    });
    time("A absorbs", slots, || {
        a().absorb(bytemuck::must_cast_slice(&e))
    });
    time("B absorbs", slots, || {
        b().absorb(bytemuck::must_cast_slice(&d))
    });
}
