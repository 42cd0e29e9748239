//! What happens to a segment while it is copied, one case at a time.

use seglog::{Batch, FLAG_KEEP, HEAD_BYTES, SyncPolicy};

use super::*;

const ID: &str = "q";
const RECORD_BYTES: usize = 200;

/// A log of one sealed segment and the active one, and a place for its copy.
struct Bench {
    from: tempfile::TempDir,
    to: tempfile::TempDir,
    _log: Log,
}

impl Bench {
    fn new() -> Bench {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let options = LogOptions {
            segment_bytes_first: 16 << 10,
            segment_bytes_max: 16 << 10,
            ..LogOptions::default()
        };
        let at = |name: &str| from.path().join(name);
        let store = LogStore::open(Arc::new(FsStorage), at(QUEUES), at(RECYCLE), options).unwrap();
        let log = Log::create(&store, ID).unwrap();
        let mut next = 0;
        while log.segments() < 2 || next % 50 != 0 {
            let mut batch = Batch::new();
            for _ in 0..5 {
                batch.push(next, &record());
                next += 1;
            }
            log.append(&mut batch, SyncPolicy::None).unwrap();
            // Each batch's marker vouches for those before.
            log.sync().unwrap();
        }
        Bench { from, to, _log: log }
    }

    /// First offset and path of a segment.
    fn segment(&self, index: usize) -> (u64, PathBuf) {
        segments(self.from.path(), ID).unwrap().swap_remove(index)
    }

    fn target(&self, index: usize) -> PathBuf {
        segment_path(self.to.path(), ID, &self.segment(index).1).unwrap()
    }

    /// Copies a segment of a running broker; `meanwhile` gets the number of the try, the copy and what its name stands for.
    fn copy(
        &self,
        index: usize,
        mut meanwhile: impl FnMut(usize, &Path, Named) -> Named,
    ) -> anyhow::Result<(usize, Option<Segment>)> {
        let (first, path) = self.segment(index);
        let mut tries = 0;
        let mut copy = |path: &Path, target: &Path| {
            tries += 1;
            let named = copy_file(path, target)?;
            Ok(meanwhile(tries, target, named))
        };
        let segment = copy_segment(&path, &self.target(index), first, true, &mut copy)?;
        Ok((tries, segment))
    }
}

fn record() -> Vec<u8> {
    let mut record = vec![7; RECORD_BYTES];
    record[..HEAD_BYTES].fill(0);
    record[4..8].copy_from_slice(&(RECORD_BYTES as u32).to_le_bytes());
    record[16..18].copy_from_slice(&FLAG_KEEP.to_le_bytes());
    record
}

/// A page that was read before records came to it, among pages that were read later.
fn make_hole(copy: &Path) {
    let file = File::options().write(true).open(copy).unwrap();
    file.write_all_at(&[0; 1000], 4096).unwrap();
}

#[test]
fn an_active_segment_is_cut_where_the_copy_has_a_hole() {
    let bench = Bench::new();
    let (tries, segment) = bench
        .copy(1, |_, copy, named| {
            make_hole(copy);
            named
        })
        .unwrap();
    let segment = segment.unwrap();
    assert_eq!(tries, 1);
    assert!(
        segment.gaps.is_empty() && segment.end <= 4096 && segment.end > 3000,
        "{segment:?}"
    );
    let copied = seal(bench.to.path(), ID).unwrap();
    assert!((10..25).contains(&copied.records), "{copied:?}");
    assert!(copied.notes.is_empty(), "{copied:?}");
}

#[test]
fn a_segment_that_was_sealed_meanwhile_is_copied_again() {
    let bench = Bench::new();
    let (tries, segment) = bench
        .copy(0, |tries, copy, named| {
            if tries < 3 {
                make_hole(copy);
            }
            named
        })
        .unwrap();
    let segment = segment.unwrap();
    assert_eq!(tries, 3);
    assert!(segment.gaps.is_empty() && segment.footer.is_some(), "{segment:?}");
}

#[test]
fn damage_stays_and_is_told() {
    let bench = Bench::new();
    let refused = bench
        .copy(0, |_, copy, named| {
            make_hole(copy);
            named
        })
        .unwrap_err()
        .to_string();
    let path = bench.segment(0).1;
    assert!(
        refused.contains(path.to_str().unwrap()) && refused.contains("damaged"),
        "{refused}"
    );
}

#[test]
fn a_segment_that_has_gone_or_has_no_records_yet_is_left_out() {
    let bench = Bench::new();
    let (tries, segment) = bench.copy(0, |_, _, _| Named::Nothing).unwrap();
    assert!(tries == 1 && segment.is_none());
    assert!(!bench.target(0).exists());
    let (tries, segment) = bench
        .copy(1, |_, copy, named| {
            fs::write(copy, [0; 1 << 16]).unwrap();
            named
        })
        .unwrap();
    assert!(tries == 1 && segment.is_none());
    assert!(!bench.target(1).exists());
}

#[test]
fn a_segment_that_was_rewritten_meanwhile_is_copied_again() {
    let bench = Bench::new();
    let again = |tries, _: &Path, named| match tries {
        1 => Named::Other,
        _ => named,
    };
    let (tries, segment) = bench.copy(0, again).unwrap();
    assert!(tries == 2 && segment.is_some());
}

#[test]
fn a_name_is_known_by_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["a", "b"] {
        fs::write(at(name), "the same").unwrap();
    }
    let opened = File::open(at("a")).unwrap();
    assert_eq!(named(&at("a"), &opened).unwrap(), Named::Still);
    fs::rename(at("a"), at("recycled")).unwrap();
    assert_eq!(named(&at("a"), &opened).unwrap(), Named::Nothing);
    fs::rename(at("b"), at("a")).unwrap();
    assert_eq!(named(&at("a"), &opened).unwrap(), Named::Other);
}
