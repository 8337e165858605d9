//! Slots that a hostile dealer hands out.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;

use fedsandbox_fuzz::Input;
use fedsandbox_native::shares::columns::{Columns, Placement};
use fedsandbox_native::shares::inner;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let total = usize::from(u16::from_le_bytes([input.byte(), input.byte()])) % 5000;
    let narrow = input.byte() & 1 != 0;
    // Half of the time numbers that mostly lie among the slots.
    let slots: Vec<[u8; 4]> = if narrow {
        let numbers = input.0.chunks_exact(2);
        numbers
            .map(|pair| [pair[0], pair[1] & 0x1f, 0, 0])
            .collect()
    } else {
        input.0.as_chunks().0.to_vec()
    };
    let numbers: Vec<u32> = slots.iter().map(|slot| u32::from_le_bytes(*slot)).collect();
    let well = numbers.iter().all(|&slot| (slot as usize) < total)
        && numbers.iter().collect::<HashSet<_>>().len() == numbers.len();
    // An order is the party's own; rows past the columns' end are dummies.
    let order: Vec<[u8; 4]> = (0..slots.len() as u32)
        .rev()
        .map(u32::to_le_bytes)
        .collect();
    let Ok(placement) = Placement::new(total, &slots, Some(&order)) else {
        assert!(!well);
        return;
    };
    assert!(well);
    let rows = slots.len() / 2;
    let values: Vec<[u8; 8]> = (1..=rows as u64).map(u64::to_le_bytes).collect();
    let columns = Columns::placed(Arc::new(placement), &[&values]).unwrap();
    let square: u64 = (1..=rows as u64)
        .map(|value| value.wrapping_mul(value))
        .sum();
    assert_eq!(*inner::local(&columns, &columns).unwrap(), [square]);
});
