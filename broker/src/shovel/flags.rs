//! The command line of `broker shovel`.

use std::str::FromStr;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::node::Node;
use crate::cli::duration;

/// What to move, from where, to where, and how.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("destination").required(true).args(["to_queue", "to_exchange"]))]
pub(crate) struct ShovelCommand {
    /// Broker to take messages from, amqp[s]://USER:PASSWORD@HOST:PORT/VHOST?OPTION=VALUE, with RabbitMQ's options; repeat it for the nodes of a cluster, which are tried in turn.
    #[arg(long, value_name = "URI", required = true, value_parser = Node::from_str)]
    pub(super) from: Vec<Node>,

    /// Queue to take them from. It must exist.
    #[arg(long, value_name = "QUEUE")]
    pub(super) from_queue: String,

    /// Broker to bring them to; repeat it for the nodes of a cluster.
    #[arg(long, value_name = "URI", required = true, value_parser = Node::from_str)]
    pub(super) to: Vec<Node>,

    /// Queue to bring them to. It must exist.
    #[arg(long, value_name = "QUEUE")]
    pub(super) to_queue: Option<String>,

    /// Exchange to bring them to. It must exist.
    #[arg(long, value_name = "EXCHANGE")]
    pub(super) to_exchange: Option<String>,

    /// Routing key to publish with; without it each message keeps its own.
    #[arg(
        long,
        value_name = "KEY",
        requires = "to_exchange",
        conflicts_with = "to_queue"
    )]
    pub(super) to_key: Option<String>,

    /// Most messages on their way at the same time.
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) prefetch: u16,

    /// When to acknowledge a message to the source.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = AckMode::OnConfirm)]
    pub(super) ack_mode: AckMode,

    /// When to end: never, after as many messages as the queue has at the start (queue-length), or after a number of them.
    #[arg(long, value_name = "never|queue-length|COUNT", default_value = "never", value_parser = DeleteAfter::from_str)]
    pub(super) delete_after: DeleteAfter,

    /// Time between a lost connection, or a message that the destination refused, and the next attempt; 0 ends the command instead.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(super) reconnect_delay: Duration,

    /// Add to each message's header x-shovelled where it came from and went to.
    #[arg(long)]
    pub(super) add_forward_headers: bool,

    /// Print nothing but errors.
    #[arg(long)]
    pub(super) quiet: bool,
}

/// When a message is acknowledged to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AckMode {
    /// When the destination has confirmed it: none is lost, some may come twice.
    OnConfirm,
    /// When it is published: what is on its way is lost with a connection.
    OnPublish,
    /// When it is delivered: what is on its way is lost with a connection.
    NoAck,
}

/// When the command has done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeleteAfter {
    Never,
    /// As many as the queue had when it was first looked at.
    QueueLength,
    Count(u64),
}

impl FromStr for DeleteAfter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "queue-length" => Ok(Self::QueueLength),
            count => match count.parse() {
                Ok(count @ 1..) => Ok(Self::Count(count)),
                _ => Err("expected never, queue-length or a number from 1".to_owned()),
            },
        }
    }
}

impl ShovelCommand {
    /// Exchange and, unless each message keeps its own, key.
    pub(super) fn address(&self) -> (&str, Option<&str>) {
        match (&self.to_queue, &self.to_exchange) {
            (Some(queue), _) => ("", Some(queue)),
            (None, exchange) => (exchange.as_deref().unwrap_or_default(), self.to_key.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        command: ShovelCommand,
    }

    fn parsed(flags: &[&str]) -> Result<ShovelCommand, String> {
        let start = ["shovel", "--from=amqp://a", "--from-queue=q", "--to=amqp://b"];
        Line::try_parse_from(start.iter().chain(flags))
            .map(|line| line.command)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_destination_is_a_queue_or_an_exchange() {
        assert_eq!(parsed(&["--to-queue=x"]).unwrap().address(), ("", Some("x")));
        assert_eq!(parsed(&["--to-exchange=x"]).unwrap().address(), ("x", None));
        let keyed = parsed(&["--to-exchange=x", "--to-key=k"]).unwrap();
        assert_eq!(keyed.address(), ("x", Some("k")));
        for wrong in [
            &[][..],
            &["--to-queue=x", "--to-exchange=y"],
            &["--to-queue=x", "--to-key=k"],
        ] {
            parsed(wrong).unwrap_err();
        }
    }

    #[test]
    fn values_out_of_range_are_refused_with_what_is_allowed() {
        for (flag, expected) in [
            ("--delete-after=0", "never, queue-length or a number from 1"),
            ("--delete-after=soon", "never, queue-length or a number from 1"),
            ("--ack-mode=maybe", "on-confirm, on-publish, no-ack"),
            ("--prefetch=0", "1..=65535"),
            ("--reconnect-delay=soon", "such as 10s"),
            ("--from=amqps://c?verify=maybe", "verify_peer, verify_none"),
        ] {
            let told = parsed(&["--to-queue=x", flag]).unwrap_err();
            assert!(told.contains(expected), "{flag}: {told}");
        }
    }
}
