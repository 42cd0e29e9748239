//! The worker: takes one share after the other, from one coordinator at a time.
//!
//! A thread listens to the coordinator, the driver has one of its own, this one reports. When the coordinator is gone, the
//! load ends at once and the queues are deleted.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::figures::WorkerFigures;
use super::merge::encoded;
use super::protocol::{
    Assignment, Finished, HELLO_BYTES_MAX, LINE_BYTES_MAX, Lines, Order, Progress, Report, VERSION, send,
};
use crate::control::Control;
use crate::driver::{Driver, LapinDriver, NativeDriver};
use crate::environment::Environment;
use crate::live::Live;
use crate::plan::Plan;
use crate::recorder::{IntervalHistograms, Recording};
use crate::result::LatencyUs;
use crate::sampler::Sampler;
use crate::scenario::{DriverKind, Scenario};
use crate::usage::Usage;

/// How often it reports.
const TICK: Duration = Duration::from_millis(100);
/// How long somebody who connects may take to introduce itself and to hand out a share: meanwhile nobody else is served.
const HELLO_MAX: Duration = Duration::from_secs(10);
/// How long a coordinator may take to read a report.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// Serves coordinators for ever. `say` tells the operator what happens.
///
/// # Errors
/// When it cannot accept connections any more.
pub fn serve(listener: &TcpListener, token: Option<&str>, say: &mut dyn FnMut(&str)) -> io::Result<()> {
    loop {
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            // Whoever hung up before it was accepted is no reason to end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        match attend(stream, token, say) {
            Ok(()) => say(&format!("{peer}: done")),
            Err(why) => say(&format!("{peer}: {why}")),
        }
    }
}

/// Serves one coordinator; says why nothing came of it.
fn attend(stream: TcpStream, token: Option<&str>, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let broke = |error: io::Error| format!("the connection broke: {error}");
    stream.set_nodelay(true).map_err(broke)?;
    stream.set_read_timeout(Some(HELLO_MAX)).map_err(broke)?;
    stream.set_write_timeout(Some(WRITE_MAX)).map_err(broke)?;
    let mut output = stream.try_clone().map_err(broke)?;
    let mut input = Lines::new(stream.try_clone().map_err(broke)?);
    let hello = input.receive(HELLO_BYTES_MAX);
    if let Err(why) = check_hello(hello.map_err(|error| error.to_string()), token) {
        // Whoever is refused may have hung up already.
        let _ = send(&mut output, &Report::Refused { why: why.clone() });
        return Err(format!("refused: {why}"));
    }
    let commit = Environment::detect().commit_short();
    let welcome = Report::Welcome {
        version: VERSION,
        commit,
    };
    send(&mut output, &welcome).map_err(broke)?;
    let assignment = match input.receive(LINE_BYTES_MAX) {
        Ok(Order::Assignment(assignment)) => assignment,
        Ok(_) => return Err("it handed out no share".into()),
        Err(error) => {
            // A file of TLS that is not on this machine is among the reasons. Whoever handed it out may have hung up already.
            let why = format!("it cannot take its share: {error}");
            let _ = send(&mut output, &Report::Failed { why: why.clone() });
            return Err(why);
        }
    };
    stream.set_read_timeout(None).map_err(broke)?;
    let last = match Scenario::from_json("the share", &assignment.scenario.to_string()) {
        Ok(scenario) => {
            say(&format!(
                "a share of {}: {} producers, {} consumers, on {}",
                scenario.name, scenario.producers, scenario.consumers, assignment.target
            ));
            let (sender, orders) = mpsc::channel();
            let reading = thread::spawn(move || {
                while let Ok(order) = input.receive(LINE_BYTES_MAX) {
                    if sender.send(order).is_err() {
                        break;
                    }
                }
            });
            let last = carry_out(&scenario, &assignment, &orders, &mut output);
            let sent = send(&mut output, &last).map_err(broke);
            // The reader waits for orders that will not come.
            let _ = stream.shutdown(Shutdown::Both);
            let _ = reading.join();
            sent?;
            last
        }
        Err(error) => {
            let last = Report::Failed {
                why: error.to_string(),
            };
            send(&mut output, &last).map_err(broke)?;
            last
        }
    };
    match last {
        Report::Failed { why } => Err(why),
        _ => Ok(()),
    }
}

fn check_hello(hello: Result<Order, String>, token: Option<&str>) -> Result<(), String> {
    match hello {
        Ok(Order::Hello {
            version,
            token: shown,
        }) => {
            if version != VERSION {
                return Err(format!(
                    "this worker speaks version {VERSION} of the protocol, not {version}"
                ));
            }
            let agrees = token
                .is_none_or(|token| shown.is_some_and(|shown| is_same(token.as_bytes(), shown.as_bytes())));
            if agrees {
                Ok(())
            } else {
                Err("the token is wrong or missing (--token)".into())
            }
        }
        Ok(_) => Err("the first line is no hello".into()),
        Err(error) => Err(format!("the first line is no hello: {error}")),
    }
}

/// Compares secrets without telling by its time where they differ.
fn is_same(secret: &[u8], shown: &[u8]) -> bool {
    let differing = secret
        .iter()
        .zip(shown)
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    secret.len() == shown.len() && differing == 0
}

/// Makes the share's load; the last report.
fn carry_out(
    scenario: &Scenario,
    assignment: &Assignment,
    orders: &Receiver<Order>,
    output: &mut TcpStream,
) -> Report {
    let plan = Plan::new(scenario, assignment.seed, &assignment.tag);
    let (control, live) = (Control::new(), Live::default());
    let (sender, histograms) = mpsc::channel();
    live.stream_histograms(sender);
    let sampler = Sampler::start(control.clock(), None);
    let mut reporter = Reporter {
        output,
        live: &live,
        histograms: &histograms,
        reported: 0,
        is_gone: false,
    };
    let driven = thread::scope(|scope| {
        let (plan, control, live) = (&plan, &control, &live);
        let driving = scope.spawn(move || {
            let mut driver: Box<dyn Driver> = match plan.scenario.driver {
                DriverKind::Native => Box::new(NativeDriver),
                DriverKind::Lapin => Box::new(LapinDriver),
            };
            catch_unwind(AssertUnwindSafe(|| {
                driver.run(plan, &assignment.target, control, live)
            }))
        });
        let mut told = false;
        while !driving.is_finished() {
            match orders.recv_timeout(TICK) {
                Ok(Order::Begin) if control.is_connected() && control.started_ns().is_none() => {
                    begin(scenario, control)
                }
                Ok(Order::Interrupt) => control.interrupt(),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => reporter.is_gone = true,
            }
            if !told && control.is_connected() {
                told = true;
                reporter.report(&Report::Connected);
            }
            reporter.progress();
            if reporter.is_gone {
                // Nobody waits for what comes of it: neither load nor drain.
                control.interrupt();
                control.interrupt();
                let _ = orders.recv_timeout(TICK);
                thread::sleep(TICK / 10);
            }
        }
        driving.join().unwrap_or_else(Err)
    });
    reporter.progress();
    let samples = sampler.stop();
    match driven {
        Ok(Ok(recording)) => {
            let usage = Usage::within(&samples, control.measure_window());
            Report::Finished(Box::new(finished(scenario, recording, usage)))
        }
        Ok(Err(error)) => Report::Failed {
            why: error.to_string(),
        },
        Err(_) => Report::Failed {
            why: "its driver panicked; this is a fault of the generator".into(),
        },
    }
}

fn begin(scenario: &Scenario, control: &Control) {
    let seconds = Duration::from_secs_f64;
    control.begin(
        seconds(scenario.warmup_s),
        seconds(scenario.duration_s),
        seconds(scenario.drain_s),
    );
}

fn finished(scenario: &Scenario, recording: Recording, usage: Option<Usage>) -> Finished {
    let figures = WorkerFigures {
        producers: scenario.producers,
        consumers: scenario.consumers,
        schedule_lag_us_p99: LatencyUs::of(&recording.schedule_lag).map(|lag| lag.p99),
        cpu_cores: usage.map(|usage| usage.generator.cpu_cores),
        steal: usage.map(|usage| usage.steal),
        // The coordinator knows the rest.
        ..WorkerFigures::default()
    };
    Finished {
        recording: Recording {
            intervals: Vec::new(),
            ..recording
        },
        figures,
    }
}

struct Reporter<'a> {
    output: &'a mut TcpStream,
    live: &'a Live,
    histograms: &'a Receiver<IntervalHistograms>,
    /// Intervals that have been reported.
    reported: usize,
    /// Whether the coordinator is gone.
    is_gone: bool,
}

impl Reporter<'_> {
    fn report(&mut self, report: &Report) {
        self.is_gone |= send(self.output, report).is_err();
    }

    /// Reports the totals and what has ended since the last time.
    fn progress(&mut self) {
        // The intervals first: the histograms of an interval are there before it is.
        let intervals = self.live.intervals_from(self.reported);
        self.reported += intervals.len();
        let histograms = self
            .histograms
            .try_iter()
            .map(|histograms| encoded(&histograms))
            .collect();
        let progress = Progress {
            totals: self.live.totals(),
            harm: self.live.harm(),
            intervals,
            histograms,
        };
        self.report(&Report::Progress(Box::new(progress)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: u32, token: Option<&str>) -> Result<Order, String> {
        Ok(Order::Hello {
            version,
            token: token.map(str::to_owned),
        })
    }

    #[test]
    fn only_the_right_version_and_secret_are_let_in() {
        assert_eq!(check_hello(hello(VERSION, None), None), Ok(()));
        assert_eq!(check_hello(hello(VERSION, Some("s")), Some("s")), Ok(()));
        for shown in [None, Some(""), Some("t"), Some("ss")] {
            let why = check_hello(hello(VERSION, shown), Some("s")).unwrap_err();
            assert!(why.contains("--token"), "{why}");
        }
        assert!(check_hello(hello(99, None), None).unwrap_err().contains("not 99"));
        assert!(check_hello(Ok(Order::Begin), None).is_err());
        assert!(check_hello(Err("x".into()), None).is_err());
    }
}
