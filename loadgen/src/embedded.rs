//! The reference broker as a child process: this executable again, in its hidden `broker` mode.
//!
//! A separate process, so that its memory and CPU are measured alone. Parent and child are tied by the child's
//! standard input: when it closes (because the parent stops the broker, or died) the child raises SIGTERM on itself
//! and shuts down as on any SIGTERM. The child has its own process group: Ctrl-C reaches only the generator.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use thiserror::Error;

/// The hidden subcommand that is the broker.
const SUBCOMMAND: &str = "broker";
/// The hidden subcommand that becomes another build of the broker.
const EXEC_SUBCOMMAND: &str = "exec-broker";

/// How long the broker may take until it listens.
const LISTEN_DEADLINE: Duration = Duration::from_secs(30);
/// How long it may take to shut down before it is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait for the rest of its log once it has ended.
const LOG_DEADLINE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);
/// Lines of its log that are kept for an error message.
const LOG_LINES_MAX: usize = 12;
const LISTENING: &str = "broker listening on ";

/// Why there is no broker.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// It could not be started.
    #[error("cannot start the broker: {0}")]
    Start(#[source] io::Error),
    /// It did not say in time where it listens.
    #[error("the broker did not listen within {} s{}", LISTEN_DEADLINE.as_secs(), log_text(.log))]
    Silent {
        /// Its last words.
        log: Vec<String>,
    },
    /// It said something else.
    #[error("the broker announced {line:?} instead of an address")]
    Announcement {
        /// What it said.
        line: String,
    },
    /// It ended by itself.
    #[error("the broker ended with {status}{}", log_text(.log))]
    Died {
        /// How.
        status: ExitStatus,
        /// Its last words.
        log: Vec<String>,
    },
}

/// A broker of ours, on a data directory of its own that lives as long as this value.
#[derive(Debug)]
pub struct EmbeddedBroker {
    /// What starts it, with all its flags.
    program: PathBuf,
    arguments: Vec<OsString>,
    process: Process,
    /// Removed when the broker is gone.
    _data_dir: tempfile::TempDir,
}

/// A child process that announces its address and serves until its standard input ends; killed when dropped without
/// [`Process::stop`].
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Held open: its end tells the child to stop.
    stdin: Option<ChildStdin>,
    /// Whether it is a program of its own, not this executable.
    is_other_build: bool,
    address: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
    log_reader: JoinHandle<()>,
}

impl EmbeddedBroker {
    /// Starts the broker on a free loopback port with an empty data directory, made in `parent` or where temporary files
    /// go. `program` is a build of the broker other than this executable's; `arguments` are further broker flags.
    ///
    /// # Errors
    /// When it cannot start, ends early or does not listen in time.
    pub fn start(
        program: Option<&Path>,
        arguments: &[OsString],
        parent: Option<&Path>,
    ) -> Result<Self, BrokerError> {
        let executable = std::env::current_exe().map_err(BrokerError::Start)?;
        let leading: Vec<OsString> = match program {
            None => vec![SUBCOMMAND.into()],
            Some(program) => vec![EXEC_SUBCOMMAND.into(), program.into()],
        };
        Self::spawn(executable, &leading, arguments, parent)
    }

    fn spawn(
        program: PathBuf,
        leading: &[OsString],
        arguments: &[OsString],
        parent: Option<&Path>,
    ) -> Result<Self, BrokerError> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("loadgen-");
        let data_dir = match parent {
            Some(parent) => builder.tempdir_in(parent),
            None => builder.tempdir(),
        };
        let data_dir = data_dir.map_err(BrokerError::Start)?;
        let own: [OsString; 4] = [
            "--listen".into(),
            "127.0.0.1:0".into(),
            "--data-dir".into(),
            data_dir.path().into(),
        ];
        let arguments = [leading, &own, arguments].concat();
        let process = Process::start(&program, &arguments, LISTENING)?;
        Ok(Self {
            program,
            arguments,
            process,
            _data_dir: data_dir,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The reason for its end, if it has ended.
    pub fn death(&mut self) -> Option<BrokerError> {
        let status = self.process.child.try_wait().ok().flatten()?;
        Some(self.process.died(status))
    }

    /// Kills it with SIGKILL, and waits until it is gone. What it had handed to the kernel stays: this is the end of a
    /// process, not of the machine.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill(&mut self) -> Result<(), BrokerError> {
        if let Some(death) = self.death() {
            return Err(death);
        }
        self.process.child.kill().map_err(BrokerError::Start)?;
        self.process.child.wait().map_err(BrokerError::Start)?;
        Ok(())
    }

    /// Shuts it down in order, and waits until it is gone; after a deadline by force.
    ///
    /// # Errors
    /// When it had ended before, or ends with a failure.
    pub fn shut_down(&mut self) -> Result<(), BrokerError> {
        if let Some(death) = self.death() {
            return Err(death);
        }
        self.process.stop()
    }

    /// Stops its process (SIGSTOP): it is there, and does nothing until [`EmbeddedBroker::go_on`].
    ///
    /// # Errors
    /// When it had ended before.
    pub fn pause(&mut self) -> Result<(), BrokerError> {
        if let Some(death) = self.death() {
            return Err(death);
        }
        let stopped = kill_process(Pid::from_child(&self.process.child), Signal::STOP);
        stopped.map_err(|error| BrokerError::Start(error.into()))
    }

    /// Lets it go on (SIGCONT) if it was stopped.
    pub fn go_on(&mut self) {
        self.process.go_on();
    }

    /// Starts it again after its end, with the same flags on the same data directory; the port may be
    /// another one. Returns when it listens.
    ///
    /// # Errors
    /// When it cannot start, ends early or does not listen in time.
    pub fn restart(&mut self) -> Result<(), BrokerError> {
        self.process = Process::start(&self.program, &self.arguments, LISTENING)?;
        Ok(())
    }

    /// Shuts it down in order; after a deadline by force.
    ///
    /// # Errors
    /// When it ended with a failure.
    pub fn stop(mut self) -> Result<(), BrokerError> {
        self.process.stop()
    }
}

impl Process {
    /// Starts it and returns when it listens: its first line is `listening` and an address.
    pub(crate) fn start(
        program: &Path,
        arguments: &[OsString],
        listening: &str,
    ) -> Result<Self, BrokerError> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(BrokerError::Start)?;
        let stdin = child.stdin.take();
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let log_reader = keep_last_lines(child.stderr.take(), Arc::clone(&log));
        let announcement = first_line(child.stdout.take());
        let unresolved = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self {
            child,
            stdin,
            is_other_build: arguments.first().is_some_and(|first| first == EXEC_SUBCOMMAND),
            address: unresolved,
            log,
            log_reader,
        };
        process.address = process.await_address(&announcement, listening)?;
        Ok(process)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn await_address(
        &mut self,
        announcement: &mpsc::Receiver<String>,
        listening: &str,
    ) -> Result<SocketAddr, BrokerError> {
        match announcement.recv_timeout(LISTEN_DEADLINE) {
            Ok(line) => {
                let address = line
                    .strip_prefix(listening)
                    .and_then(|address| address.trim().parse().ok());
                address.ok_or(BrokerError::Announcement { line })
            }
            Err(RecvTimeoutError::Timeout) => Err(BrokerError::Silent {
                log: self.log_lines(),
            }),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().map_err(BrokerError::Start)?;
                Err(self.died(status))
            }
        }
    }

    /// The signal fails only when the process has ended, which whoever waits for it finds out.
    fn go_on(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::CONT);
    }

    /// Closes its standard input and waits for its end; after a deadline ends it by force.
    pub(crate) fn stop(&mut self) -> Result<(), BrokerError> {
        // One that is stopped would not notice.
        self.go_on();
        self.stdin = None;
        if self.is_other_build {
            // It does not watch its input. The signal fails only when it has ended, which is found out below.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        loop {
            match self.child.try_wait().map_err(BrokerError::Start)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.died(status)),
                None if Instant::now() >= deadline => break,
                None => thread::sleep(POLL),
            }
        }
        self.child.kill().map_err(BrokerError::Start)?;
        let status = self.child.wait().map_err(BrokerError::Start)?;
        Err(self.died(status))
    }

    fn died(&self, status: ExitStatus) -> BrokerError {
        // Its last words may still be in the pipe.
        let deadline = Instant::now() + LOG_DEADLINE;
        while !self.log_reader.is_finished() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        BrokerError::Died {
            status,
            log: self.log_lines(),
        }
    }

    fn log_lines(&self) -> Vec<String> {
        self.log.lock().iter().cloned().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the process has been reaped, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child does, if `arguments` (the program's name first) say that this process is one.
#[must_use]
pub fn run_hidden(arguments: &[OsString]) -> Option<ExitCode> {
    let first = arguments.get(1)?;
    if first == SUBCOMMAND {
        return Some(run(arguments.iter().skip(1).cloned()));
    }
    (first == EXEC_SUBCOMMAND).then(|| exec(&arguments[2..]))
}

/// Becomes another program, which ends when the parent does.
fn exec(command: &[OsString]) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else {
        eprintln!("{EXEC_SUBCOMMAND}: no program");
        return ExitCode::from(2);
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        eprintln!("cannot tie the broker to its parent: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("cannot run {}: {error}", program.display());
    ExitCode::FAILURE
}

/// Runs the broker in this process. Ends when standard input ends.
fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    thread::spawn(|| {
        // An error means the same as the end: nobody holds the other side.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = signal_hook::low_level::raise(signal_hook::consts::SIGTERM);
    });
    broker::cli::run(arguments)
}

/// Hands over the first line, then goes on reading so that the writer never blocks.
fn first_line(stdout: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        if reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            let _ = sender.send(line.trim_end().to_string());
        }
        drop(sender);
        let _ = io::copy(&mut reader, &mut io::sink());
    });
    receiver
}

fn keep_last_lines(
    stderr: Option<impl Read + Send + 'static>,
    log: Arc<Mutex<VecDeque<String>>>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in stderr
            .into_iter()
            .flat_map(|stderr| BufReader::new(stderr).lines())
            .map_while(Result::ok)
        {
            let mut log = log.lock();
            if log.len() == LOG_LINES_MAX {
                log.pop_front();
            }
            log.push_back(line);
        }
    })
}

fn log_text(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    format!("; its last words:\n  {}", log.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell stands in for the broker.
    fn start(script: &str) -> Result<EmbeddedBroker, BrokerError> {
        let leading = ["-c", script, "sh"].map(OsString::from);
        EmbeddedBroker::spawn("/bin/sh".into(), &leading, &[], None)
    }

    #[test]
    fn learns_the_address_and_stops_it_by_closing_its_input() {
        let broker = start("echo broker listening on 127.0.0.1:4567; cat >/dev/null").unwrap();
        assert_eq!(broker.address().to_string(), "127.0.0.1:4567");
        broker.stop().unwrap();
    }

    #[test]
    fn an_early_end_is_reported_with_its_last_words() {
        let message = start("echo cannot bind >&2; exec >&-; exit 3")
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "the broker ended with exit status: 3; its last words:\n  cannot bind"
        );
    }

    #[test]
    fn another_announcement_is_not_an_address() {
        let message = start("echo hello; cat >/dev/null").unwrap_err().to_string();
        assert_eq!(message, "the broker announced \"hello\" instead of an address");
    }

    #[test]
    fn a_killed_broker_starts_again_on_its_data_with_the_same_flags() {
        // Announces as its port how often it was started; $4 is the data directory.
        let script = r#"test "$1 $2 $3" = "--listen 127.0.0.1:0 --data-dir" || exit 9
            echo x >>"$4/starts"; echo "broker listening on 127.0.0.1:$(wc -l <"$4/starts")"; exec cat >/dev/null"#;
        let mut broker = start(script).unwrap();
        assert_eq!(broker.address().port(), 1);
        let pid = broker.pid();
        broker.kill().unwrap();
        assert!(broker.death().is_some());
        broker.restart().unwrap();
        assert_eq!(broker.address().port(), 2);
        assert_ne!(broker.pid(), pid);
        assert!(broker.death().is_none());
        broker.stop().unwrap();
    }

    #[test]
    fn the_data_directory_is_made_where_asked_and_removed_in_the_end() {
        let parent = tempfile::tempdir().unwrap();
        let leading = [
            "-c",
            "echo broker listening on 127.0.0.1:1; exec cat >/dev/null",
            "sh",
        ];
        let leading = leading.map(OsString::from);
        let broker = EmbeddedBroker::spawn("/bin/sh".into(), &leading, &[], Some(parent.path())).unwrap();
        let entries = || std::fs::read_dir(parent.path()).unwrap().count();
        assert_eq!(entries(), 1);
        broker.stop().unwrap();
        assert_eq!(entries(), 0);
    }

    #[test]
    fn a_death_is_noticed() {
        let mut broker = start("echo broker listening on 127.0.0.1:1; exit 7").unwrap();
        let deadline = Instant::now() + STOP_DEADLINE;
        let death = loop {
            match broker.death() {
                Some(death) => break death.to_string(),
                None => assert!(Instant::now() < deadline, "the shell ends at once"),
            }
            thread::yield_now();
        };
        assert!(death.contains("exit status: 7"), "{death}");
    }
}
