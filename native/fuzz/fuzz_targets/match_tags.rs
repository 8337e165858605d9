//! Tags of hostile providers at the dealer.
#![no_main]

use std::collections::{HashMap, HashSet};

use fedsandbox_fuzz::Input;
use fedsandbox_native::matching::join::match_tags;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let count = usize::from(input.byte() % 8);
    // Few values, so that tags repeat within a party and among parties.
    let parties: Vec<Vec<[u8; 16]>> = (0..count)
        .map(|_| {
            let tags = usize::from(input.byte());
            input.take(tags).iter().map(|byte| [*byte; 16]).collect()
        })
        .collect();
    let views: Vec<&[[u8; 16]]> = parties.iter().map(Vec::as_slice).collect();
    let distinct = |tags: &Vec<[u8; 16]>| tags.iter().collect::<HashSet<_>>().len() == tags.len();
    let well = (2..=5).contains(&count) && parties.iter().all(distinct);
    let Ok(slots) = match_tags(&views, &[7; 32]) else {
        assert!(!well);
        return;
    };
    assert!(well);
    let total: usize = parties.iter().map(Vec::len).sum();
    let mut of_tag = HashMap::new();
    for (tags, slots) in parties.iter().zip(&slots) {
        assert_eq!(tags.len(), slots.len());
        for (tag, slot) in tags.iter().zip(slots) {
            assert!((*slot as usize) < total);
            assert_eq!(of_tag.entry(tag).or_insert(slot), &slot);
        }
    }
    assert_eq!(of_tag.values().collect::<HashSet<_>>().len(), of_tag.len());
});
