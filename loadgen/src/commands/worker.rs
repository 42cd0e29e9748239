//! `loadgen worker`: takes shares of runs that another loadgen coordinates.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::failure::{EXIT_INVALID, Failure};
use crate::workers;

/// `loadgen worker --listen ADDRESS:PORT`.
#[derive(Clone, Debug, Args)]
pub struct WorkerArguments {
    /// Where to wait for coordinators; port 0 = a free one, which is printed. Whoever may connect can make this machine load
    /// any broker, so another address than loopback needs a --token.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// A secret that coordinators must show (their --token). It crosses the network as it is.
    #[arg(long, value_name = "SECRET")]
    pub token: Option<String>,
}

/// Serves coordinators until the process is ended.
///
/// # Errors
/// When it may not or cannot listen.
pub fn worker(arguments: &WorkerArguments) -> Result<u8, Failure> {
    let WorkerArguments { listen, token } = arguments;
    check(*listen, token.as_deref()).map_err(Failure::usage)?;
    let listener = TcpListener::bind(listen)
        .with_context(|| format!("cannot listen on {listen}"))
        .map_err(Failure::usage)?;
    let address = listener
        .local_addr()
        .context("has no address")
        .map_err(Failure::usage)?;
    // Whoever started it may not read on; that is no reason to end.
    let _ = writeln!(io::stdout(), "loadgen worker listens on {address}").and_then(|()| io::stdout().flush());
    let ended = workers::serve(&listener, token.as_deref(), &mut |text| {
        let _ = writeln!(io::stderr(), "{text}");
    });
    ended
        .context("cannot accept coordinators any more")
        .map_err(|error| Failure {
            exit_code: EXIT_INVALID,
            error,
        })?;
    Ok(0)
}

fn check(listen: SocketAddr, token: Option<&str>) -> anyhow::Result<()> {
    if token == Some("") {
        return Err(anyhow!("--token is empty; allowed: at least one character"));
    }
    if !listen.ip().is_loopback() && token.is_none() {
        return Err(anyhow!(
            "--listen is {listen}; allowed without --token: a loopback address, for whoever connects can use this machine"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_let_in_only_with_a_secret() {
        let loopback = "127.0.0.1:0".parse().unwrap();
        let everywhere = "0.0.0.0:7000".parse().unwrap();
        assert!(check(loopback, None).is_ok() && check(everywhere, Some("s")).is_ok());
        assert!(check("[::1]:0".parse().unwrap(), None).is_ok());
        let message = check(everywhere, None).unwrap_err().to_string();
        assert!(
            message.starts_with("--listen is 0.0.0.0:7000; allowed without --token"),
            "{message}"
        );
        assert!(check(loopback, Some("")).is_err());
    }
}
