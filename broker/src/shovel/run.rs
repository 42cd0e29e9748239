//! Runs the command: sessions one after another, signals, exit codes.
//!
//! 0 after Ctrl-C, SIGTERM or the last message; 1 when a broker refused what was asked for, or a first failure was to end
//! it; 2 for wrong usage.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use super::flags::ShovelCommand;
use super::session;
use super::tally::Tally;

/// The order to stop: SIGINT or SIGTERM.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for it.
    pub(super) async fn ordered(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Moves messages until it is told to stop, or has moved what it was to.
pub(crate) fn run(command: &ShovelCommand) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut tally = Tally::new(command.delete_after, command.quiet);
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(again_and_again(command, &mut tally)),
        Err(error) => Err(format!("cannot start its runtime: {error}")),
    };
    tally.say(&tally.text());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("broker shovel: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn again_and_again(command: &ShovelCommand, tally: &mut Tally) -> Result<(), String> {
    let mut stop = Stop::new().map_err(|error| format!("cannot wait for signals: {error}"))?;
    loop {
        match session::run(command, tally, &mut stop).await {
            Ok(()) => return Ok(()),
            Err(Failure::Passing(_)) if tally.remaining == Some(0) => return Ok(()),
            Err(Failure::Passing(why)) if !command.reconnect_delay.is_zero() => {
                let delay_ms = command.reconnect_delay.as_millis();
                tally.say(&format!("{why}; tries again in {delay_ms} ms"));
            }
            Err(failure) => return Err(failure.text().to_owned()),
        }
        tokio::select! {
            () = tokio::time::sleep(command.reconnect_delay) => {}
            () = stop.ordered() => return Ok(()),
        }
    }
}
