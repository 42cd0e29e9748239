//! What recovery makes of one segment, before it touches any.

use std::ops::Range;
use std::path::PathBuf;

use crate::error::{damaged, failed};
use crate::footer::{Footer, FooterBuilder, Summary};
use crate::header::{HEADER_BYTES, SegmentHeader};
use crate::record::Invalid;
use crate::recovery::Cut;
use crate::scan::{End, agrees, bytes_lost, judge, scan};
use crate::storage::OpenMode;
use crate::{LogStore, SeglogError};

/// A segment as it was found.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) path: PathBuf,
    /// None when the segment's creation was cut.
    pub(crate) header: Option<SegmentHeader>,
    pub(crate) summary: Option<Summary>,
    pub(crate) bytes: u64,
    pub(crate) kept: Vec<Range<u64>>,
    pub(crate) action: Action,
    pub(crate) cut: Option<Cut>,
    pub(crate) scanned_bytes: u64,
    /// Every segment of which the first offset is below was durable in whole at some time.
    pub(crate) durable_before: u64,
}

/// What is to be done with it.
#[derive(Debug)]
pub(crate) enum Action {
    /// It holds no record to keep.
    Remove,
    /// Its footer is believed, on its own word (`is_proven`) or a later segment's.
    Keep { is_proven: bool },
    /// Its footer was found true by reading the body; it is to say so.
    Prove,
    /// It ends where this footer says.
    Seal(FooterBuilder),
}

impl Examined {
    pub(crate) fn is_removed(&self) -> bool {
        matches!(self.action, Action::Remove)
    }

    pub(crate) fn epoch(&self) -> u64 {
        let header = self.header.map_or(0, |header| header.epoch);
        self.summary.map_or(0, |summary| summary.epoch).max(header)
    }
}

/// Reads what has to be read. `durable_before` is what later segments say of this one.
pub(crate) fn examine(
    store: &LogStore,
    path: PathBuf,
    first: u64,
    is_last: bool,
    durable_before: u64,
) -> Result<Examined, SeglogError> {
    let file = store
        .storage
        .open(&path, OpenMode::Read)
        .map_err(failed("open", &path))?;
    let mapping = file.map().map_err(failed("map", &path))?;
    let file: &[u8] = &mapping;
    let header = match SegmentHeader::parse(file) {
        Ok(header) if header.first != first => {
            let what = format!("the header is of the segment that starts with {}", header.first);
            return Err(damaged(&path, 0, what));
        }
        Ok(header) => header,
        // Records come only after the header and the name are durable.
        Err(what) if is_last && is_nothing_behind_header(file) => return Ok(unborn(path, file, what)),
        Err(what) => return Err(damaged(&path, 0, what)),
    };
    let is_durable = first < durable_before;
    let footer = Footer::parse(file, first, header.seed);
    let is_proven = footer.as_ref().is_some_and(|footer| footer.is_body_durable);
    let mut examined = Examined {
        path,
        header: Some(header),
        summary: footer.as_ref().map(|footer| footer.summary),
        bytes: file.len() as u64,
        kept: Vec::new(),
        action: Action::Keep { is_proven },
        cut: None,
        scanned_bytes: 0,
        durable_before: header.durable_before,
    };
    match &footer {
        Some(footer) if is_durable || is_proven => examined.kept = footer.kept(file).collect(),
        _ => examined.scan(file, &header, footer.as_ref(), is_durable)?,
    }
    if examined.kept.is_empty() {
        examined.action = Action::Remove;
    }
    Ok(examined)
}

impl Examined {
    fn scan(
        &mut self,
        file: &[u8],
        header: &SegmentHeader,
        footer: Option<&Footer>,
        is_durable: bool,
    ) -> Result<(), SeglogError> {
        let limit = footer.map_or(file.len(), |footer| footer.summary.end as usize);
        let found = scan(file, limit, header);
        let end = found.footer.summary().end;
        self.scanned_bytes = end - HEADER_BYTES;
        self.kept = found.footer.kept().collect();
        if found.saw_sync {
            self.durable_before = self.durable_before.max(header.first);
        }
        if footer.is_some_and(|footer| agrees(footer, &found)) {
            self.action = Action::Prove;
            return Ok(());
        }
        let what = found.stop.map_or_else(
            || "the file ends without a footer".to_owned(),
            |stop| stop.to_string(),
        );
        match judge(file, end as usize, limit, header.seed) {
            End::Damaged { witness } => {
                let what = format!("{what}, and the marker at byte {witness} proves that this was durable");
                return Err(damaged(&self.path, end, what));
            }
            _ if is_durable => {
                let what =
                    format!("{what}, and a later segment proves that this one was durable, footer and all");
                return Err(damaged(&self.path, end, what));
            }
            End::Clean if footer.is_none() && matches!(found.stop, None | Some(Invalid::Empty)) => (),
            End::Clean | End::Torn => {
                let bytes = bytes_lost(file, end as usize, limit);
                self.cut = Some(Cut {
                    path: self.path.clone(),
                    position: end,
                    bytes,
                    what,
                });
            }
        }
        self.summary = Some(*found.footer.summary());
        self.action = Action::Seal(found.footer);
        Ok(())
    }
}

fn is_nothing_behind_header(file: &[u8]) -> bool {
    file.iter().skip(HEADER_BYTES as usize).all(|byte| *byte == 0)
}

/// A segment whose creation was cut.
fn unborn(path: PathBuf, file: &[u8], what: String) -> Examined {
    Examined {
        cut: Some(Cut {
            path: path.clone(),
            position: 0,
            bytes: bytes_lost(file, 0, file.len()),
            what,
        }),
        path,
        header: None,
        summary: None,
        bytes: file.len() as u64,
        kept: Vec::new(),
        action: Action::Remove,
        scanned_bytes: 0,
        durable_before: 0,
    }
}
