//! A broker whose configuration is a file.

use std::path::PathBuf;

use super::Watched;

/// A broker and the file that it was started with.
pub struct Configured {
    pub broker: Watched,
    pub directory: tempfile::TempDir,
}

impl Configured {
    pub fn start(text: &str, flags: &[&str]) -> Configured {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.toml");
        std::fs::write(&path, text).unwrap();
        let config = format!("--config={}", path.display());
        let flags = [&[config.as_str()], flags].concat();
        Configured {
            broker: Watched::start(&flags, &[("RUST_LOG", "info")], 1),
            directory,
        }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("broker.toml")
    }

    /// Writes the file anew and tells the broker.
    pub fn reload(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
        self.broker.signal("HUP");
    }
}
