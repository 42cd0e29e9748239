//! The flags of `broker backup`.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;

/// Which directory, and where to.
///
/// Exit codes: 0 the backup is complete and verified; 1 it could not be made; 2 wrong usage.
#[derive(Clone, Debug, Args)]
pub(crate) struct BackupCommand {
    /// Data directory of a broker, which may run.
    #[arg(long, value_name = "PATH", default_value = Config::default().data_dir.into_os_string())]
    pub(super) data_dir: PathBuf,

    /// Directory to make: a data directory with everything that was confirmed before the backup began. It must not exist, and
    /// has its name when it is complete.
    #[arg(long, value_name = "PATH")]
    pub(super) to: PathBuf,
}
