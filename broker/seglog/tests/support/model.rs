//! What one log must hold, may hold and must not hold.

use std::collections::BTreeMap;
use std::ops::Range;

use seglog::simulation::{CrashMode, Random};
use seglog::{FLAG_KEEP, HEAD_BYTES, Log, Records, Recovered, SeglogError, Settled};

/// How far an append came before the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Attempted,
    Written,
    Synced,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The record without its checksum, which is the log's business.
    content: Vec<u8>,
    stage: Stage,
    is_settled: bool,
    /// The log was told that it is settled: it need not be there any more.
    is_collected: bool,
}

/// Every record that a log may hold, by offset.
#[derive(Clone, Debug, Default)]
pub struct Model {
    entries: BTreeMap<u64, Entry>,
    /// The least offset that may be appended.
    pub next: u64,
}

/// A record as a caller of the log prepares it: head with length and flags, then `opaque`.
pub fn record(flags: u16, opaque: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    bytes[4..8].copy_from_slice(&((HEAD_BYTES + opaque.len()) as u32).to_le_bytes());
    bytes[16..18].copy_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(opaque);
    bytes
}

/// Opaque bytes that no other record has, now and then all zeros.
pub fn opaque(random: &mut Random, bytes: usize) -> Vec<u8> {
    if random.chance(5) {
        vec![0; bytes]
    } else {
        (0..bytes).map(|_| random.number() as u8).collect()
    }
}

/// All records from `from` on, each as (offset, record without checksum).
pub fn read_all(log: &Log, from: u64, bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, SeglogError> {
    let (mut next, mut found, mut out) = (from, Vec::new(), Vec::new());
    loop {
        out.clear();
        let reached = log.read(next, bytes_max, &mut out)?;
        found.extend(Records::new(&out).map(|(offset, record)| (offset, record[4..].to_vec())));
        assert_eq!(
            Records::new(&out).map(|(_, record)| record.len()).sum::<usize>(),
            out.len()
        );
        assert!(
            reached > next || out.is_empty(),
            "a read from {next} stands still"
        );
        if out.is_empty() {
            assert_eq!(reached, log.written().max(next));
            return Ok(found);
        }
        next = reached;
    }
}

impl Model {
    /// To be told before the append is tried.
    pub fn attempt(&mut self, offset: u64, record: &[u8]) {
        assert!(offset >= self.next);
        let mut content = record[4..].to_vec();
        content[4..12].copy_from_slice(&offset.to_le_bytes());
        let entry = Entry {
            content,
            stage: Stage::Attempted,
            is_settled: false,
            is_collected: false,
        };
        self.entries.insert(offset, entry);
        self.next = offset + 1;
    }

    /// To be told when an append or a sync has succeeded.
    pub fn reached(&mut self, stage: Stage) {
        for entry in self.entries.values_mut() {
            entry.stage = entry.stage.max(stage);
        }
    }

    /// Settles records: all up to some place, and some behind it.
    pub fn settle(&mut self, random: &mut Random) {
        let front = random.index(self.entries.len() + 1) / 2;
        let percent = [0, 30, 90][random.index(3)];
        for (index, entry) in self.entries.values_mut().enumerate() {
            entry.is_settled |= index < front || random.chance(percent);
        }
    }

    /// What the log is told of it.
    pub fn settled(&self) -> Settled {
        let mut unsettled = self.entries.iter().filter(|(_, entry)| !entry.is_settled);
        let frontier = unsettled.next().map_or(self.next, |(offset, _)| *offset);
        let mut ranges = Vec::<Range<u64>>::new();
        for (offset, _) in self
            .entries
            .range(frontier..)
            .filter(|(_, entry)| entry.is_settled)
        {
            match ranges.last_mut() {
                Some(range) if range.end == *offset => range.end += 1,
                _ => ranges.push(*offset..*offset + 1),
            }
        }
        Settled { frontier, ranges }
    }

    /// To be told before the log is.
    pub fn collect(&mut self) {
        self.entries
            .values_mut()
            .for_each(|entry| entry.is_collected = entry.is_settled);
    }

    /// To be told before the log is removed.
    pub fn collect_all(&mut self) {
        for entry in self.entries.values_mut() {
            (entry.is_settled, entry.is_collected) = (true, true);
        }
    }

    /// Compares what a running log has answered to a read of `from..reached`.
    pub fn check_read(&self, from: u64, reached: u64, found: &[(u64, Vec<u8>)]) {
        self.check_found(found);
        assert!(found.iter().all(|(offset, _)| (from..reached).contains(offset)));
        for (offset, entry) in self.entries.range(from..reached.max(from)) {
            let is_there = found.binary_search_by_key(offset, |found| found.0).is_ok();
            let must_be = entry.stage >= Stage::Written && !entry.is_collected;
            assert!(
                is_there || !must_be,
                "a read from {from} to {reached} leaves out {offset}"
            );
        }
    }

    /// Compares with what was recovered after crashes of which `mode` was the cruellest, and goes on from there: what
    /// was lost must stay lost, what was found must stay.
    pub fn check_recovered(
        &mut self,
        log: &Log,
        recovered: &Recovered,
        mode: CrashMode,
        random: &mut Random,
    ) {
        let found = read_all(log, 0, random.index(3000)).unwrap_or_else(|error| panic!("read: {error}"));
        self.check_found(&found);
        let offsets: Vec<u64> = found.iter().map(|(offset, _)| *offset).collect();
        let kept: Vec<u64> = recovered.kept.iter().cloned().flatten().collect();
        assert_eq!(kept, offsets, "recovered and read");
        assert!(
            recovered.kept.windows(2).all(|pair| pair[0].end <= pair[1].start),
            "{:?}",
            recovered.kept
        );
        let safe = if mode == CrashMode::KeepAll {
            Stage::Written
        } else {
            Stage::Synced
        };
        for (offset, entry) in &self.entries {
            let must_be = entry.is_kept() && entry.stage >= safe && !entry.is_collected;
            assert!(
                !must_be || offsets.binary_search(offset).is_ok(),
                "offset {offset} is lost: {recovered:?}"
            );
        }
        assert!(
            offsets.last().is_none_or(|last| *last < recovered.next),
            "{recovered:?}"
        );
        assert!(recovered.next <= self.next, "{} > {}", recovered.next, self.next);
        assert_eq!((log.written(), log.synced()), (recovered.next, recovered.next));
        self.adopt(&offsets, recovered.next);
    }

    fn adopt(&mut self, found: &[u64], next: u64) {
        self.next = next;
        self.entries.retain(|offset, entry| {
            let is_found = found.binary_search(offset).is_ok();
            entry.stage = entry
                .stage
                .max(if is_found { Stage::Synced } else { entry.stage });
            // The file of a collected record may come back as long as its removal is not durable.
            *offset < next && (is_found || entry.is_collected && entry.is_kept())
        });
    }

    fn check_found(&self, found: &[(u64, Vec<u8>)]) {
        assert!(
            found.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "offsets ascend"
        );
        for (offset, content) in found {
            let entry = self.entries.get(offset);
            let entry = entry.unwrap_or_else(|| panic!("offset {offset} is there and must not be"));
            assert!(entry.content == *content, "offset {offset} holds other bytes");
        }
    }
}

impl Entry {
    fn is_kept(&self) -> bool {
        u16::from_le_bytes([self.content[12], self.content[13]]) & FLAG_KEEP != 0
    }
}
