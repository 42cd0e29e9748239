//! A ring carries many times its capacity, in turns of any size, without holding or asking for more memory.
#![cfg(not(loom))]

use std::sync::Arc;

use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig, RingFull};

const CONFIG: RingConfig = RingConfig {
    messages_max: 1000,
    bytes_max: 256 * 1024,
    chunk_bytes_first: 512,
};

fn pool() -> Arc<ChunkPool> {
    ChunkPool::new(PoolConfig {
        bytes_budget: 1 << 20,
        chunk_bytes: 8192,
    })
}

/// A record that names its offset and whose size varies with it.
fn record(offset: u64) -> Vec<u8> {
    let mut bytes = offset.to_le_bytes().to_vec();
    bytes.resize(8 + (offset * 7 % 120) as usize, offset as u8);
    bytes
}

fn append(ring: &mut Ring) -> Result<Offset, RingFull> {
    let record = record(ring.next_offset().0);
    let (left, right) = record.split_at(record.len() / 3);
    ring.try_append(&[left, &[], right])
}

#[test]
fn a_ring_kept_nearly_full_flows_for_twenty_capacities() {
    let pool = pool();
    let mut ring = Ring::new(CONFIG, Arc::clone(&pool), Offset(5));
    let mut held_max = 0;
    while ring.next_offset() < Offset(5 + 20 * 1000) {
        while append(&mut ring).is_ok() {}
        assert_eq!(ring.len(), 1000);
        held_max = held_max.max(ring.bytes_held());
        let head = ring.head();
        for (place, (offset, bytes)) in ring.records_from(head).enumerate() {
            assert_eq!(offset, head.advance(place as u64));
            assert_eq!(bytes, record(offset.0));
        }
        for offset in (head.0..head.0 + 137).map(Offset) {
            assert_eq!(ring.get(offset), Some(&record(offset.0)[..]));
            assert!(ring.release(offset));
            assert_eq!(ring.get(offset), None);
        }
        assert_eq!(ring.head(), head.advance(137));
    }
    // A thousand records of 8 to 128 bytes with their slots: about nine chunks, and one at either end.
    assert!((8 * 8192..=12 * 8192).contains(&held_max), "{held_max}");
    let rest = ring.len() as u64;
    assert_eq!(ring.release_range(ring.head(), rest), rest);
    assert!(ring.is_empty() && ring.bytes() == 0);
    drop(ring);
    assert_eq!(pool.bytes_used(), 0);
}

#[test]
fn a_ring_that_empties_at_every_turn_rewinds_in_place() {
    let pool = pool();
    let mut ring = Ring::new(CONFIG, Arc::clone(&pool), Offset::ZERO);
    let turn = |ring: &mut Ring, count: u64| {
        let first = ring.next_offset();
        (0..count).for_each(|_| assert!(append(ring).is_ok()));
        (first.0..first.0 + count).for_each(|offset| assert!(ring.release(Offset(offset))));
        assert!(ring.is_empty());
        assert_eq!(ring.head(), ring.next_offset());
    };
    (0..20).for_each(|_| turn(&mut ring, 40));
    let held = ring.bytes_held();
    assert!((1..=8192).contains(&held));
    for _ in 0..500 {
        turn(&mut ring, 40);
        assert_eq!(
            (ring.bytes_held(), pool.bytes_used()),
            (held, held),
            "grew, shrank or moved"
        );
    }
}

#[test]
fn a_released_offset_stays_gone_after_its_memory_was_used_again() {
    let mut ring = Ring::new(CONFIG, pool(), Offset::ZERO);
    assert_eq!(ring.try_append(&[b"first"]), Ok(Offset(0)));
    assert!(ring.release(Offset(0)));
    assert_eq!(ring.try_append(&[b"second"]), Ok(Offset(1)));
    assert_eq!(ring.get(Offset(0)), None);
    assert!(!ring.release(Offset(0)));
    assert_eq!(ring.get(Offset(1)), Some(&b"second"[..]));
    assert_eq!(ring.get(Offset(2)), None);
    assert!(!ring.release(Offset(2)), "not yet published");
    assert_eq!(
        ring.records_from(Offset(0)).collect::<Vec<_>>(),
        [(Offset(1), &b"second"[..])]
    );
}
