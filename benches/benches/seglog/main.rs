//! The log and what stands around it: append, group commit, reads, acknowledgements, checkpoints, recovery.
//!
//! Everything that is written lies in a directory below the build directory, on a disk, and is removed afterwards. Every bench checks
//! its own result. Without `--bench`, as under `cargo test --benches`, sizes are tiny and nothing is measured.

mod append;
mod read;
mod recovery;
mod settle;

use criterion::{criterion_group, criterion_main};

/// On the disk that the build directory is on.
const PARENT: &str = env!("CARGO_TARGET_TMPDIR");

criterion_group!(
    benches,
    append::batches,
    append::group_commit,
    read::sequential,
    read::in_order,
    read::random,
    settle::offset_update,
    settle::acknowledgements,
    recovery::checkpoint_write,
    recovery::unsealed,
    recovery::sealed
);
criterion_main!(benches);
