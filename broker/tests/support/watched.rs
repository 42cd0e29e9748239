//! A broker whose log and announcements a test reads.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::{BrokerProcess, DEADLINE};

/// Where a broker listens, as it says.
const ANNOUNCEMENT: &str = "broker listening ";
const MANAGEMENT_ANNOUNCEMENT: &str = "broker management listening on ";

/// A running broker with its log.
#[derive(Debug)]
pub struct Watched {
    process: BrokerProcess,
    /// What it announced, one place each: `on ADDRESS`, `with TLS on ADDRESS`.
    pub announced: Vec<String>,
    log: Receiver<String>,
}

impl Watched {
    /// Starts a broker with these flags and variables, on a free port unless they say where, and waits until it listens
    /// in `listeners` places, the first of them for plain TCP.
    pub fn start(flags: &[&str], environment: &[(&str, &str)], listeners: usize) -> Watched {
        let data_dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
        command.arg("--data-dir").arg(data_dir.path()).args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--listen=")) {
            command.arg("--listen=127.0.0.1:0");
        }
        let mut child = command
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (announcements, log) = (
            lines(child.stdout.take().unwrap()),
            lines(child.stderr.take().unwrap()),
        );
        let (mut announced, mut management) = (Vec::new(), None);
        while announced.len() < listeners {
            match announcements.recv_timeout(DEADLINE) {
                Ok(line) => match line.strip_prefix(MANAGEMENT_ANNOUNCEMENT) {
                    Some(address) => management = Some(address.parse().unwrap()),
                    None => announced.push(line.strip_prefix(ANNOUNCEMENT).unwrap().to_owned()),
                },
                Err(_) => panic!("no announcement: {:?}", log.iter().collect::<Vec<_>>()),
            }
        }
        let first = announced[0].rsplit(' ').next().and_then(|text| text.parse().ok());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = BrokerProcess::adopt(child, first.unwrap_or(nowhere), data_dir);
        process.management = management;
        Watched {
            process,
            announced,
            log,
        }
    }

    /// Reads the log up to a line that has all of `words`, and returns it.
    pub fn expect_log(&self, words: &[&str]) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return line,
                Ok(line) => passed.push(line),
                Err(_) => panic!("no line with {words:?} in the log: {passed:#?}"),
            }
        }
    }

    /// The next line of the log, if there is one.
    pub fn next_log(&self) -> Option<String> {
        self.log.try_recv().ok()
    }

    /// What the log still has; waits for its end, which comes with that of the broker.
    pub fn rest_of_log(&self) -> Vec<String> {
        self.log.iter().collect()
    }

    /// The address that was announced after these words.
    pub fn announced_after(&self, words: &str) -> &str {
        let found = self.announced.iter().find_map(|line| line.strip_prefix(words));
        found.unwrap_or_else(|| panic!("{words:?}: {:?}", self.announced))
    }
}

impl Deref for Watched {
    type Target = BrokerProcess;

    fn deref(&self) -> &BrokerProcess {
        &self.process
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut BrokerProcess {
        &mut self.process
    }
}

/// The lines of a pipe, read as they come so that it never fills.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
