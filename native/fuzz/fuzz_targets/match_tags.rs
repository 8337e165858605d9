//! Tags of hostile members at the coordinator, as short as they are sent.
#![no_main]

use std::collections::{HashMap, HashSet};

use fedsandbox_fuzz::Input;
use fedsandbox_native::keys::gather::lengthened;
use fedsandbox_native::matching::join::match_tags;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    let (count, width) = (usize::from(choice & 7), 1 + usize::from(choice >> 4));
    // Few values, so that tags repeat within a party and among parties.
    let parties: Vec<Vec<[u8; 16]>> = (0..count)
        .map(|_| {
            let tags = usize::from(input.byte());
            let bytes = input.take(tags);
            let sent: Vec<u8> = bytes.iter().flat_map(|byte| vec![*byte; width]).collect();
            let tags = lengthened(&sent, width);
            assert_eq!(tags.len(), bytes.len());
            tags.into_iter().map(u128::to_le_bytes).collect()
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
