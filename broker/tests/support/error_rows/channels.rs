//! Class channel, and methods of the connection class that have no place on an open connection.

use wire::Method;

use super::super::errors::{Row, channel, connection, method, row};

pub fn channels() -> Vec<Row> {
    vec![
        method(
            "channel.open of an open channel",
            Method::ChannelOpen,
            connection(504, (20, 10), "CHANNEL_ERROR - second 'channel.open' seen"),
        ),
        method(
            "channel.flow that asks for silence",
            Method::ChannelFlow { active: false },
            connection(540, (20, 20), "NOT_IMPLEMENTED - active=false"),
        ),
        row(
            "a method on a channel that is not open",
            |client| {
                client.send(
                    2,
                    Method::QueuePurge {
                        queue: "q",
                        no_wait: false,
                    },
                )
            },
            connection(504, (50, 30), "CHANNEL_ERROR - expected 'channel.open'"),
        ),
        row(
            "a method on a channel that was closed",
            |client| {
                let close = Method::ChannelClose {
                    reply_code: 200,
                    reply_text: "",
                    class_id: 0,
                    method_id: 0,
                };
                client.send(1, close);
                client.expect(1, Method::ChannelCloseOk);
                client.send(
                    1,
                    Method::QueuePurge {
                        queue: "q",
                        no_wait: false,
                    },
                );
            },
            connection(504, (50, 30), "CHANNEL_ERROR - expected 'channel.open'"),
        ),
        row(
            "a channel method on channel 0",
            |client| client.send(0, Method::ChannelOpen),
            connection(
                504,
                (20, 10),
                "CHANNEL_ERROR - unexpected method in connection state running",
            ),
        ),
        row(
            "a queue method on channel 0",
            |client| {
                client.send(
                    0,
                    Method::QueuePurge {
                        queue: "q",
                        no_wait: false,
                    },
                )
            },
            connection(
                504,
                (50, 30),
                "CHANNEL_ERROR - unexpected method in connection state running",
            ),
        ),
        row(
            "connection.open of an open connection",
            |client| client.send(0, Method::ConnectionOpen { virtual_host: "/" }),
            connection(
                504,
                (10, 40),
                "CHANNEL_ERROR - unexpected method in connection state running",
            ),
        ),
        row(
            "connection.tune-ok of an open connection",
            |client| {
                client.send(
                    0,
                    Method::ConnectionTuneOk {
                        channel_max: 1,
                        frame_max: 4096,
                        heartbeat: 0,
                    },
                )
            },
            connection(
                504,
                (10, 31),
                "CHANNEL_ERROR - unexpected method in connection state running",
            ),
        ),
        method(
            "a connection method on channel 1",
            Method::ConnectionOpen { virtual_host: "/" },
            connection(503, (10, 40), "COMMAND_INVALID - unimplemented method"),
        ),
        method(
            "a method that only brokers send",
            Method::BasicConsumeOk { consumer_tag: "c" },
            connection(503, (60, 21), "COMMAND_INVALID - unimplemented method"),
        ),
        method(
            "another method that only brokers send",
            Method::QueuePurgeOk { message_count: 0 },
            connection(503, (50, 31), "COMMAND_INVALID - unimplemented method"),
        ),
        row(
            "more channels than were agreed on",
            |client| {
                // Every broker allows this one by its number; RabbitMQ counts instead.
                client.send(65_000, Method::ChannelOpen);
            },
            connection(
                530,
                (0, 0),
                "NOT_ALLOWED - number of channels opened * has reached the negotiated channel_max (2047)",
            ),
        )
        .not_rabbitmq("it takes any number while fewer channels are open"),
        method(
            "the first error of a channel is the one that counts",
            Method::BasicGet {
                queue: "error-missing",
                no_ack: true,
            },
            channel(404, (60, 70), "NOT_FOUND - no queue 'error-missing' in vhost '/'"),
        ),
    ]
}
