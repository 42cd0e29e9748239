//! A full ring refuses with the limit that was hit, changes nothing, and takes records again once there is room.
#![cfg(not(loom))]

use std::sync::Arc;

use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig, RingFull};

fn pool(bytes_budget: usize) -> Arc<ChunkPool> {
    ChunkPool::new(PoolConfig {
        bytes_budget,
        chunk_bytes: 4096,
    })
}

fn fill(ring: &mut Ring, record: &[u8]) -> RingFull {
    loop {
        if let Err(full) = ring.try_append(&[record]) {
            return full;
        }
    }
}

/// The state that a refused append must leave alone.
fn state(ring: &Ring) -> (usize, usize, Offset, Offset) {
    (ring.len(), ring.bytes(), ring.head(), ring.next_offset())
}

#[test]
fn messages() {
    let config = RingConfig {
        messages_max: 10,
        bytes_max: 1 << 20,
        chunk_bytes_first: 64,
    };
    let mut ring = Ring::new(config, pool(1 << 20), Offset::ZERO);
    assert_eq!(fill(&mut ring, b"x"), RingFull::Messages);
    assert_eq!(state(&ring), (10, 10, Offset(0), Offset(10)));
    assert_eq!(ring.fill_ratio(), 1.0);
    assert_eq!(ring.capacity_messages(), 10);
    assert!(ring.release(Offset(4)));
    assert_eq!(ring.fill_ratio(), 0.9);
    assert_eq!(ring.try_append(&[b"y"]), Ok(Offset(10)));
    assert_eq!(ring.try_append(&[b"y"]), Err(RingFull::Messages));
}

#[test]
fn bytes() {
    let config = RingConfig {
        messages_max: 1 << 20,
        bytes_max: 20_000,
        chunk_bytes_first: 1024,
    };
    let pool = pool(1 << 20);
    let mut ring = Ring::new(config, Arc::clone(&pool), Offset::ZERO);
    for lap in 0..50 {
        assert_eq!(fill(&mut ring, &[1; 100]), RingFull::Bytes);
        let before = state(&ring);
        assert_eq!(ring.try_append(&[&[1; 100]]), Err(RingFull::Bytes));
        assert_eq!(state(&ring), before);
        assert!(
            ring.len() >= 160,
            "lap {lap}: {} records of 104 bytes in 20,000",
            ring.len()
        );
        assert!(ring.bytes_held() <= 20_000 && ring.bytes_held() == pool.bytes_used());
        assert!(ring.fill_ratio() > 0.9, "{}", ring.fill_ratio());
        let (head, half) = (ring.head(), ring.len() as u64 / 2);
        assert_eq!(ring.release_range(head, half), half);
        assert!(ring.fill_ratio() < 0.8, "{}", ring.fill_ratio());
    }
}

#[test]
fn the_budget_that_all_rings_share() {
    let config = RingConfig {
        messages_max: 1 << 20,
        bytes_max: 1 << 20,
        chunk_bytes_first: 1024,
    };
    let pool = pool(10_000);
    let mut hog = Ring::new(config, Arc::clone(&pool), Offset::ZERO);
    let mut other = Ring::new(config, Arc::clone(&pool), Offset::ZERO);
    assert_eq!(fill(&mut hog, &[1; 50]), RingFull::Budget);
    assert!(
        hog.len() > 150,
        "the budget is used to its end: {} records of 54 bytes",
        hog.len()
    );
    assert_eq!(other.try_append(&[&[1; 500]]), Err(RingFull::Budget));
    assert_eq!(
        (other.len(), other.bytes_held(), other.next_offset()),
        (0, 0, Offset(0))
    );
    assert!(hog.clear() > 150);
    assert_eq!(pool.bytes_used(), 0);
    assert_eq!(other.try_append(&[&[1; 500]]), Ok(Offset(0)));
    assert_eq!(
        hog.try_append(&[b"again"]).map(|offset| offset == Offset(0)),
        Ok(false)
    );
    drop((hog, other));
    assert_eq!(pool.bytes_used(), 0);
}

#[test]
fn an_emptied_ring_keeps_no_memory_while_the_pool_is_short() {
    let config = RingConfig {
        messages_max: 1 << 20,
        bytes_max: 1 << 20,
        chunk_bytes_first: 1024,
    };
    let pool = pool(4096);
    let mut ring = Ring::new(config, Arc::clone(&pool), Offset::ZERO);
    assert_eq!(ring.try_append(&[b"a"]), Ok(Offset(0)));
    assert!(ring.release(Offset(0)));
    assert_eq!(pool.bytes_used(), 1024, "plenty left: kept");
    assert!(pool.try_charge(2000));
    assert_eq!(ring.try_append(&[b"b"]), Ok(Offset(1)));
    assert!(ring.release(Offset(1)));
    assert_eq!(pool.bytes_used(), 2000, "short: given back");
}

#[test]
fn oversized_records_get_a_chunk_of_their_own() {
    let config = RingConfig {
        messages_max: 100,
        bytes_max: 100_000,
        chunk_bytes_first: 1024,
    };
    let pool = pool(1 << 20);
    let mut ring = Ring::new(config, Arc::clone(&pool), Offset::ZERO);
    let big = vec![9; 60_000];
    assert_eq!(ring.try_append(&[b"small"]), Ok(Offset(0)));
    assert_eq!(ring.try_append(&[&big[..100], &big[100..]]), Ok(Offset(1)));
    assert_eq!(ring.bytes_held(), 1024 + 60_004);
    assert_eq!(ring.try_append(&[&big]), Err(RingFull::Bytes));
    assert_eq!(
        ring.try_append(&[&vec![0; 100_000]]),
        Err(RingFull::Bytes),
        "never fits: the index needs room too"
    );
    assert_eq!(
        ring.try_append(&[b"small"]),
        Ok(Offset(2)),
        "a smaller one still does"
    );
    assert_eq!(ring.get(Offset(1)), Some(&big[..]));
    assert!(ring.release(Offset(1)));
    assert!(ring.bytes_held() < 10_000, "freed at once");
    assert_eq!(ring.try_append(&[&big]), Ok(Offset(3)));
    assert_eq!(
        ring.records_from(Offset(0))
            .map(|(_, bytes)| bytes.len())
            .collect::<Vec<_>>(),
        [5, 5, 60_000]
    );
    ring.clear();
    assert_eq!(pool.bytes_used(), 0);
    // One that leaves an empty ring behind is not rewound but given back.
    assert_eq!(ring.try_append(&[&big]), Ok(Offset(4)));
    assert!(ring.release(Offset(4)));
    assert_eq!(pool.bytes_used(), 0);
}

#[test]
fn an_empty_ring_never_refuses_what_fits_its_limits() {
    let config = RingConfig {
        messages_max: 10,
        bytes_max: 4200,
        chunk_bytes_first: 4096,
    };
    let mut ring = Ring::new(config, pool(1 << 20), Offset::ZERO);
    assert_eq!(ring.try_append(&[b"keeps a chunk of 4096"]), Ok(Offset(0)));
    assert!(ring.release(Offset(0)));
    assert_eq!(ring.bytes_held(), 4096);
    assert_eq!(
        ring.try_append(&[&[0; 4196]]),
        Ok(Offset(1)),
        "the kept chunk makes way"
    );
    assert_eq!(ring.bytes_held(), 4200);
}

#[test]
fn middling_records_let_the_chunks_grow() {
    let config = RingConfig {
        messages_max: 1000,
        bytes_max: 1 << 20,
        chunk_bytes_first: 256,
    };
    let mut ring = Ring::new(config, pool(1 << 20), Offset::ZERO);
    (0..30).for_each(|_| assert!(ring.try_append(&[&[0; 400]]).is_ok()));
    assert_eq!(
        ring.bytes_held() % 4096,
        1024,
        "{}: one chunk of 1024, then full ones",
        ring.bytes_held()
    );
}
