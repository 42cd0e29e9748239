//! Random histories of a ring and of a settled set, each step compared with a plain collection.
#![cfg(not(loom))]

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use proptest::{prelude::*, test_runner::RngSeed};
use ring::{ChunkPool, Offset, PoolConfig, Ring, RingConfig, RingFull, SettledSet};

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 400 },
        rng_seed: RngSeed::Fixed(0x51_7cc1_b727),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize, u8),
    /// An offset, as a share of those ever appended.
    Release(prop::sample::Index),
    ReleaseHead,
    ReleaseRange(prop::sample::Index, u64),
    Walk(prop::sample::Index),
    Trim,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..80usize, any::<u8>()).prop_map(|(bytes, fill)| Step::Append(bytes, fill)),
        1 => (80..3000usize, any::<u8>()).prop_map(|(bytes, fill)| Step::Append(bytes, fill)),
        4 => any::<prop::sample::Index>().prop_map(Step::Release),
        6 => Just(Step::ReleaseHead),
        1 => (any::<prop::sample::Index>(), 0..60u64).prop_map(|(first, count)| Step::ReleaseRange(first, count)),
        2 => any::<prop::sample::Index>().prop_map(Step::Walk),
        1 => Just(Step::Trim),
        1 => prop::bool::weighted(0.1).prop_map(|clear| if clear { Step::Clear } else { Step::ReleaseHead }),
    ]
}

const CONFIG: RingConfig = RingConfig {
    messages_max: 40,
    bytes_max: 6000,
    chunk_bytes_first: 64,
};
const BUDGET: usize = 5000;

fn at(index: &prop::sample::Index, next: Offset) -> Offset {
    Offset(index.index(next.0 as usize + 2) as u64)
}

fn apply(step: &Step, ring: &mut Ring, model: &mut BTreeMap<Offset, Vec<u8>>) {
    let next = ring.next_offset();
    match step {
        Step::Append(bytes, fill) => {
            let record = vec![*fill; *bytes];
            let (left, right) = record.split_at(bytes / 2);
            match ring.try_append(&[left, right]) {
                Ok(offset) => {
                    assert_eq!(offset, next);
                    model.insert(offset, record);
                }
                Err(RingFull::Messages) => assert_eq!(model.len(), CONFIG.messages_max),
                Err(RingFull::Bytes) => assert!(ring.bytes_held() + bytes + 4 > CONFIG.bytes_max),
                Err(RingFull::Budget) => assert!(ring.bytes_held() + bytes + 4 > BUDGET),
            }
        }
        Step::Release(index) => {
            let offset = at(index, next);
            assert_eq!(ring.release(offset), model.remove(&offset).is_some());
        }
        Step::ReleaseHead => {
            let head = ring.head();
            assert_eq!(ring.release(head), model.remove(&head).is_some());
        }
        Step::ReleaseRange(index, count) => {
            let first = at(index, next);
            let before = model.len();
            model.retain(|offset, _| *offset < first || *offset >= first.advance(*count));
            assert_eq!(ring.release_range(first, *count), (before - model.len()) as u64);
        }
        Step::Walk(index) => {
            let first = at(index, next);
            let held = model.range(first..).map(|(offset, bytes)| (*offset, &bytes[..]));
            assert!(ring.records_from(first).eq(held));
            assert_eq!(ring.get(first), model.get(&first).map(|bytes| &bytes[..]));
        }
        Step::Trim => {
            ring.trim();
        }
        Step::Clear => {
            assert_eq!(ring.clear(), model.len());
            model.clear();
        }
    }
}

fn assert_same(ring: &Ring, pool: &ChunkPool, model: &BTreeMap<Offset, Vec<u8>>) {
    assert_eq!(ring.len(), model.len());
    assert_eq!(ring.is_empty(), model.is_empty());
    assert_eq!(ring.bytes(), model.values().map(Vec::len).sum::<usize>());
    assert_eq!(
        ring.head(),
        model.keys().next().copied().unwrap_or(ring.next_offset())
    );
    assert_eq!(ring.bytes_held(), pool.bytes_used());
    assert!(ring.bytes_held() <= CONFIG.bytes_max && ring.bytes() + 4 * ring.len() <= ring.bytes_held());
    assert!((0.0..=1.0).contains(&ring.fill_ratio()));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ring(steps in prop::collection::vec(step(), 1..400)) {
        let pool = ChunkPool::new(PoolConfig { bytes_budget: BUDGET, chunk_bytes: 1024 });
        let mut ring = Ring::new(CONFIG, Arc::clone(&pool), Offset::ZERO);
        let mut model = BTreeMap::new();
        for step in &steps {
            apply(step, &mut ring, &mut model);
            assert_same(&ring, &pool, &model);
        }
        drop(ring);
        prop_assert_eq!(pool.bytes_used(), 0);
    }

    /// Offsets lie close enough together to fill whole blocks of 4096 by ranges.
    #[test]
    fn settled_set(
        first in 0..10_000u64,
        steps in prop::collection::vec((0..30_000u64, prop_oneof![3 => Just(1u64), 1 => 0..9_000u64], any::<bool>()), 1..120),
    ) {
        let mut set = SettledSet::new(Offset(first));
        let mut model: BTreeSet<u64> = (0..first).collect();
        let mut frontier = first;
        for (above, count, at_frontier) in steps {
            let at = if at_frontier { frontier.saturating_sub(above % 3) } else { first / 2 + above };
            let before = model.len() as u64;
            model.extend(at..at + count);
            let newly = model.len() as u64 - before;
            if count == 1 {
                prop_assert_eq!(set.settle(Offset(at)), newly == 1);
            } else {
                prop_assert_eq!(set.settle_range(Offset(at), count), newly);
            }
            while model.contains(&frontier) {
                frontier += 1;
            }
            prop_assert_eq!(set.frontier(), Offset(frontier));
            prop_assert_eq!(set.sparse_len(), model.len() as u64 - frontier);
            for probe in [at, at + count, at.saturating_sub(1), frontier, frontier + 1] {
                prop_assert_eq!(set.is_settled(Offset(probe)), model.contains(&probe));
            }
        }
        let ranges: Vec<_> = set.ranges().map(|range| (range.start.0, range.end.0)).collect();
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "ranges touch: {:?}", ranges);
        let listed: Vec<u64> = ranges.iter().flat_map(|(start, end)| *start..*end).collect();
        prop_assert!(listed.iter().eq(model.range(frontier..)));
    }
}
