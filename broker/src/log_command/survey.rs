//! A whole data directory: descriptions, checkpoints and logs, each read in whole, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seglog::{Checkpoint, CheckpointStore, Found, SeglogError, Settled, Storage};

use super::problem::{Kind, Problem};
use super::read_only::ReadOnly;
use super::segment::Segment;
use super::verdict::{self, Verdict, judge};
use crate::store::metadata::{Entity, MetadataError, MetadataStore};
use crate::vhost::DEFAULT_VHOST;

/// Below the data directory, as in [`crate::store`].
pub(crate) const QUEUES: &str = "queues";
/// The same, of checkpoints.
pub(crate) const OFFSETS: &str = "offsets";
/// The same, of descriptions.
pub(crate) const METADATA: &str = "metadata";
const CHECKPOINT_SUFFIX: &str = ".json";

/// The names of queues and their logs.
#[derive(Debug)]
pub(super) struct Names {
    /// Identifier and name of each described queue, by identifier.
    pub(super) queues: BTreeMap<String, QueueName>,
    /// Logs that belong to none.
    pub(super) orphans: Vec<String>,
    problems: Vec<Problem>,
}

/// A queue's name, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueName {
    pub(super) vhost: String,
    pub(super) name: String,
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue '{}'", self.name.escape_debug())?;
        match self.vhost.as_str() {
            DEFAULT_VHOST => Ok(()),
            vhost => write!(f, " in vhost '{}'", vhost.escape_debug()),
        }
    }
}

/// What there is of one queue.
#[derive(Debug)]
pub(super) struct QueueSurvey {
    /// None when there is no description: an orphan.
    pub(super) name: Option<QueueName>,
    pub(super) id: String,
    /// Ascending.
    pub(super) segments: Vec<Segment>,
    /// One a segment.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) checkpoint: CheckpointSurvey,
    /// Where it is, or would be.
    pub(super) checkpoint_path: PathBuf,
}

/// What a start finds of a checkpoint.
#[derive(Debug)]
pub(super) enum CheckpointSurvey {
    Missing,
    Usable(Checkpoint),
    /// The one before, and why not the last.
    Previous(Checkpoint, String),
    Unusable(SeglogError),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) queues: Vec<QueueSurvey>,
    /// In the order in which they were found: descriptions, then queue by queue, then orphans.
    pub(super) problems: Vec<Problem>,
}

impl Names {
    /// Reads all descriptions.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Names> {
        let metadata = MetadataStore::open(Arc::new(ReadOnly), directory.join(METADATA))?;
        let mut names = Names {
            queues: BTreeMap::new(),
            orphans: Vec::new(),
            problems: Vec::new(),
        };
        for entity in metadata.survey()? {
            match entity {
                Ok(Entity::Queue(record)) => {
                    let name = QueueName {
                        vhost: record.vhost,
                        name: record.name,
                    };
                    names.queues.insert(record.id, name);
                }
                Ok(_) => {}
                Err(MetadataError::Unusable { path, what }) => names.problems.push(Problem {
                    kind: Kind::Description,
                    path,
                    place: None,
                    what,
                    meaning: "a broker does not start on it: put it right, or move it out of the directory"
                        .to_owned(),
                }),
                Err(MetadataError::Storage(error)) => return Err(error.into()),
            }
        }
        let logs = ReadOnly.list(&directory.join(QUEUES))?;
        names.orphans = logs
            .into_iter()
            .filter(|id| !names.queues.contains_key(id))
            .collect();
        Ok(names)
    }
}

impl Survey {
    /// Reads everything.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Survey> {
        let names = Names::read(directory)?;
        let checkpoints = CheckpointStore::open(Arc::new(ReadOnly), directory.join(OFFSETS))?;
        let mut survey = Survey {
            queues: Vec::new(),
            problems: names.problems,
        };
        let described = names.queues.iter().map(|(id, name)| (id, Some(name)));
        for (id, name) in described.chain(names.orphans.iter().map(|id| (id, None))) {
            let queue = QueueSurvey::read(directory, &checkpoints, id, name.cloned())?;
            survey.problems.extend(queue.problems(directory));
            survey.queues.push(queue);
        }
        let known: BTreeSet<_> = survey.queues.iter().map(|queue| queue.id.clone()).collect();
        for id in checkpoints.ids()?.into_iter().filter(|id| !known.contains(id)) {
            survey.problems.push(Problem {
                kind: Kind::Orphan,
                path: checkpoint_path(directory, &id),
                place: None,
                what: "a checkpoint of no queue that is described".to_owned(),
                meaning: "it is left as it is".to_owned(),
            });
        }
        Ok(survey)
    }
}

impl QueueSurvey {
    fn read(
        directory: &Path,
        checkpoints: &CheckpointStore,
        id: &str,
        name: Option<QueueName>,
    ) -> Result<QueueSurvey, SeglogError> {
        let checkpoint = match checkpoints.read(id) {
            Ok(Found::None) => CheckpointSurvey::Missing,
            Ok(Found::Current(checkpoint)) => CheckpointSurvey::Usable(checkpoint),
            Ok(Found::Previous(checkpoint, why)) => CheckpointSurvey::Previous(checkpoint, why),
            Err(error @ SeglogError::Damaged { .. }) => CheckpointSurvey::Unusable(error),
            Err(error) => return Err(error),
        };
        let segments = segments(directory, id)?
            .into_iter()
            .map(|(first, path)| Segment::read(&ReadOnly, &path, first))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(QueueSurvey {
            name,
            id: id.to_owned(),
            verdicts: judge(&segments),
            segments,
            checkpoint,
            checkpoint_path: checkpoint_path(directory, id),
        })
    }

    /// What the checkpoint that counts says.
    pub(super) fn settled(&self) -> Option<&Settled> {
        match &self.checkpoint {
            CheckpointSurvey::Usable(checkpoint) | CheckpointSurvey::Previous(checkpoint, _) => {
                Some(&checkpoint.settled)
            }
            CheckpointSurvey::Missing | CheckpointSurvey::Unusable(_) => None,
        }
    }

    /// Messages that can be read and survive a restart; and those of them that are settled.
    pub(super) fn messages(&self) -> (u64, u64) {
        let (mut kept, mut settled) = (0, 0);
        for (segment, verdict) in self.segments.iter().zip(&self.verdicts) {
            // What lies behind a torn place is cut with it.
            let behind = if *verdict == Verdict::Torn {
                &[][..]
            } else {
                &segment.kept_behind
            };
            for range in segment.kept.iter().chain(behind) {
                kept += range.end - range.start;
                settled += self.settled().map_or(0, |all| all.count_in(Range::clone(range)));
            }
        }
        (kept, settled)
    }

    fn problems(&self, directory: &Path) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.name.is_none() {
            problems.push(Problem {
                kind: Kind::Orphan,
                path: directory.join(QUEUES).join(&self.id),
                place: None,
                what: "a log of no queue that is described".to_owned(),
                meaning: "nothing of it is delivered, and it is left as it is".to_owned(),
            });
        }
        let segments = self.segments.iter().zip(&self.verdicts);
        problems.extend(segments.flat_map(|(segment, verdict)| verdict::problems(segment, *verdict)));
        let checkpoint = |what: String, meaning: &str| Problem {
            kind: Kind::Checkpoint,
            path: self.checkpoint_path.clone(),
            place: None,
            what,
            meaning: meaning.to_owned(),
        };
        match &self.checkpoint {
            CheckpointSurvey::Missing | CheckpointSurvey::Usable(_) => {}
            CheckpointSurvey::Previous(_, why) => {
                let meaning = "a start uses the one before: more messages are delivered again";
                problems.push(checkpoint(why.clone(), meaning));
            }
            CheckpointSurvey::Unusable(error) => {
                problems.push(checkpoint(error.to_string(), "a broker does not start on it"));
            }
        }
        problems
    }
}

/// First offset and path of each segment of a log, ascending.
pub(crate) fn segments(directory: &Path, id: &str) -> Result<Vec<(u64, PathBuf)>, SeglogError> {
    /// Digits of the first offset in a segment's name.
    const DIGITS: usize = 20;
    let log = directory.join(QUEUES).join(id);
    let names = ReadOnly.list(&log).map_err(|source| SeglogError::Io {
        action: "list",
        path: log.clone(),
        source,
    })?;
    let first = |name: &str| -> Option<u64> {
        let digits = name.strip_suffix(".log")?;
        let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok())?
    };
    let named = names
        .iter()
        .filter_map(|name| Some((first(name)?, log.join(name))));
    Ok(named.collect())
}

/// Where a queue's checkpoint is.
fn checkpoint_path(directory: &Path, id: &str) -> PathBuf {
    directory.join(OFFSETS).join(format!("{id}{CHECKPOINT_SUFFIX}"))
}
