//! Ten thousand queues that do nothing cost next to nothing, also after they were busy once.
#![cfg(not(loom))]

use std::sync::Arc;

use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig, SettledSet};

const RINGS: usize = if cfg!(miri) { 100 } else { 10_000 };

fn pool() -> Arc<ChunkPool> {
    ChunkPool::new(PoolConfig {
        bytes_budget: 512 << 20,
        chunk_bytes: PoolConfig::CHUNK_BYTES,
    })
}

fn rings(pool: &Arc<ChunkPool>) -> Vec<Ring> {
    (0..RINGS)
        .map(|_| Ring::new(RingConfig::default(), Arc::clone(pool), Offset::ZERO))
        .collect()
}

#[test]
fn a_new_ring_is_a_few_words() {
    let pool = pool();
    let rings = rings(&pool);
    assert_eq!(pool.bytes_used(), 0);
    assert_eq!(rings.iter().map(Ring::bytes_held).sum::<usize>(), 0);
    let state_bytes = size_of::<Ring>() + size_of::<SettledSet>();
    assert!(state_bytes <= 320, "{state_bytes} bytes of state a queue");
}

#[test]
fn a_ring_with_one_message_holds_one_small_chunk() {
    let pool = pool();
    let mut rings = rings(&pool);
    for ring in &mut rings {
        assert!(ring.try_append(&[&[1; 100]]).is_ok());
    }
    assert_eq!(pool.bytes_used(), RINGS * RingConfig::default().chunk_bytes_first);
}

#[test]
fn an_idle_ring_gives_its_chunk_back_and_a_busy_one_keeps_it() {
    let pool = pool();
    let mut ring = Ring::new(RingConfig::default(), Arc::clone(&pool), Offset::ZERO);
    let burst = |ring: &mut Ring| {
        let first = ring.next_offset();
        (0..1000).for_each(|_| assert!(ring.try_append(&[&[1; 1000]]).is_ok()));
        assert_eq!(ring.release_range(first, 1000), 1000);
    };
    assert!(!ring.trim(), "nothing to give");
    burst(&mut ring);
    assert_eq!(pool.bytes_used(), PoolConfig::CHUNK_BYTES);
    assert!(!ring.trim(), "it was busy since the last call");
    burst(&mut ring);
    assert!(!ring.trim(), "and again");
    assert!(ring.trim());
    assert_eq!((pool.bytes_used(), ring.bytes_held()), (0, 0));
    assert!(!ring.trim());
    assert_eq!(ring.try_append(&[b"small again"]), Ok(Offset(2000)));
    assert_eq!(pool.bytes_used(), RingConfig::default().chunk_bytes_first);
    assert!(!ring.trim());
    assert!(!ring.trim(), "a ring with a record is never trimmed");
    assert_eq!(ring.get(Offset(2000)), Some(&b"small again"[..]));
}
