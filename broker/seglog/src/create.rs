//! A new segment: durable, with its name, before the first record is written to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::active::ActiveSegment;
use crate::error::failed;
use crate::header::SegmentHeader;
use crate::open_files::OpenFile;
use crate::storage::{OpenMode, StorageFile};
use crate::{LogStore, SeglogError};

/// Name of the segment that starts with `first`.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// The first offset in a segment's name; none for other files.
pub(crate) fn segment_first(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// Makes a segment in a log's directory, out of a recycled file when there is one of that size.
pub(crate) fn create_segment(
    store: &LogStore,
    directory: &Path,
    header: SegmentHeader,
) -> Result<ActiveSegment, SeglogError> {
    let path = directory.join(segment_name(header.first));
    let recycled = store
        .is_recyclable(header.capacity)
        .then(|| store.recycled.take())
        .flatten();
    let file = match recycled {
        Some(recycled) => revive(store, recycled, &path, &header)?,
        None => create(store, &path, &header)?,
    };
    store
        .storage
        .sync_dir(directory)
        .map_err(failed("sync", directory))?;
    store.counters.segments_created.add(1);
    store.counters.segment_added(header.capacity);
    Ok(ActiveSegment::new(header, OpenFile::new(path, file, store)))
}

/// Cut anywhere, this leaves a file that holds nothing behind its header; recovery knows it by that.
fn create(
    store: &LogStore,
    path: &Path,
    header: &SegmentHeader,
) -> Result<Arc<dyn StorageFile>, SeglogError> {
    let file = store
        .storage
        .open(path, OpenMode::CreateNew)
        .map_err(failed("create", path))?;
    file.allocate(header.capacity).map_err(failed("allocate", path))?;
    write_header(store, &*file, path, header)?;
    Ok(file)
}

/// The new header is durable before the file has a segment's name, so that it is never seen with its old one.
fn revive(
    store: &LogStore,
    recycled: PathBuf,
    path: &Path,
    header: &SegmentHeader,
) -> Result<Arc<dyn StorageFile>, SeglogError> {
    let file = store
        .storage
        .open(&recycled, OpenMode::ReadWrite)
        .map_err(failed("open", &recycled))?;
    write_header(store, &*file, &recycled, header)?;
    store
        .storage
        .rename(&recycled, path)
        .map_err(failed("rename", &recycled))?;
    Ok(file)
}

fn write_header(
    store: &LogStore,
    file: &dyn StorageFile,
    path: &Path,
    header: &SegmentHeader,
) -> Result<(), SeglogError> {
    let bytes = header.encode();
    file.write_all_at(&bytes, 0).map_err(failed("write", path))?;
    store.counters.writes.add(1);
    store.counters.bytes_written.add(bytes.len() as u64);
    store.counters.syncs.add(1);
    file.sync_data().map_err(failed("sync", path))
}
