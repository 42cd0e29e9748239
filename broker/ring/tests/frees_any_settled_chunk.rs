//! A chunk goes back to the pool the moment its last record is released, wherever it stands.
#![cfg(not(loom))]

use std::sync::Arc;

use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig};

const CHUNK: usize = 1024;
/// With 124 bytes and a slot each, eight records fill a chunk exactly.
const RECORDS_PER_CHUNK: u64 = 8;

fn filled(chunks: u64) -> (Ring, Arc<ChunkPool>) {
    let pool = ChunkPool::new(PoolConfig {
        bytes_budget: 1 << 20,
        chunk_bytes: CHUNK,
    });
    let config = RingConfig {
        messages_max: 10_000,
        bytes_max: 1 << 20,
        chunk_bytes_first: CHUNK,
    };
    let mut ring = Ring::new(config, Arc::clone(&pool), Offset::ZERO);
    for offset in 0..chunks * RECORDS_PER_CHUNK {
        assert_eq!(ring.try_append(&[&[offset as u8; 124]]), Ok(Offset(offset)));
    }
    assert_eq!(ring.bytes_held(), chunks as usize * CHUNK);
    (ring, pool)
}

fn offsets(ring: &Ring, from: u64) -> Vec<u64> {
    ring.records_from(Offset(from))
        .map(|(offset, _)| offset.0)
        .collect()
}

#[test]
fn while_the_oldest_record_stays_live() {
    let (mut ring, pool) = filled(10);
    for offset in 1..80 {
        assert!(ring.release(Offset(offset)));
        assert_eq!(ring.head(), Offset(0));
    }
    // The first chunk is pinned; the last, open one is kept for the next append; all others are gone.
    assert_eq!((ring.bytes_held(), pool.bytes_used()), (2 * CHUNK, 2 * CHUNK));
    assert_eq!((ring.len(), ring.bytes()), (1, 124));
    // So a flow of any length passes the stuck record by.
    for offset in 80..10_000 {
        assert_eq!(ring.try_append(&[&[offset as u8; 124]]), Ok(Offset(offset)));
        assert_eq!(offsets(&ring, 0), [0, offset]);
        assert!(ring.release(Offset(offset)));
        assert_eq!(ring.bytes_held(), 2 * CHUNK);
    }
    assert_eq!(ring.get(Offset(0)), Some(&[0; 124][..]));
    assert!(ring.release(Offset(0)));
    assert_eq!(ring.head(), ring.next_offset());
    drop(ring);
    assert_eq!(pool.bytes_used(), 0);
}

#[test]
fn in_the_middle_and_the_walk_passes_over_the_gap() {
    let (mut ring, _) = filled(4);
    (8..24)
        .rev()
        .for_each(|offset| assert!(ring.release(Offset(offset))));
    assert_eq!(ring.bytes_held(), 2 * CHUNK);
    let expected: Vec<u64> = (0..8).chain(24..32).collect();
    assert_eq!(offsets(&ring, 0), expected);
    assert_eq!(offsets(&ring, 6), [6, 7, 24, 25, 26, 27, 28, 29, 30, 31]);
    assert_eq!(offsets(&ring, 12), (24..32).collect::<Vec<_>>());
    assert_eq!(offsets(&ring, 31), [31]);
    assert_eq!(offsets(&ring, 32), []);
    for gone in 8..24 {
        assert_eq!(ring.get(Offset(gone)), None);
        assert!(!ring.release(Offset(gone)), "{gone} was released before");
    }
}

#[test]
fn by_range_over_whole_and_partial_chunks() {
    let (mut ring, pool) = filled(6);
    assert!(ring.release(Offset(5)));
    assert_eq!(
        ring.release_range(Offset(4), 30),
        29,
        "one of them was released before"
    );
    assert_eq!(ring.bytes_held(), 3 * CHUNK);
    assert_eq!(ring.release_range(Offset(4), 30), 0);
    assert_eq!(offsets(&ring, 0), (0..4).chain(34..48).collect::<Vec<_>>());
    assert_eq!((ring.len(), ring.bytes()), (18, 18 * 124));
    assert_eq!(ring.release_range(Offset(0), u64::MAX), 18);
    assert_eq!((ring.len(), ring.bytes(), ring.bytes_held()), (0, 0, CHUNK));
    assert_eq!(ring.next_offset(), Offset(48));
    assert_eq!(pool.bytes_used(), CHUNK);
}

#[test]
fn by_scattered_release_in_a_fixed_random_order() {
    let (mut ring, pool) = filled(100);
    let count = 100 * RECORDS_PER_CHUNK;
    // 7,919 is prime and shares no factor with the count: a permutation.
    for step in 0..count {
        let offset = Offset(step * 7_919 % count);
        assert_eq!(ring.get(offset).map(|bytes| bytes[0]), Some(offset.0 as u8));
        assert!(ring.release(offset));
        assert!(!ring.release(offset));
        assert_eq!(ring.len() as u64, count - step - 1);
    }
    assert_eq!(pool.bytes_used(), CHUNK);
    assert!(ring.clear() == 0 && pool.bytes_used() == 0);
}
