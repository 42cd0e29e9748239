//! Class connection: what a client is told before its connection is open.

use wire::{Method, PROTOCOL_HEADER, TableRef};

use super::super::Client;
use super::super::errors::{Row, connection, handshake};

const NOBODY: (u16, u16) = (0, 0);
const TUNE_OK: (u16, u16) = (10, 31);
const OPEN: (u16, u16) = (10, 40);
/// It says nothing for three seconds and closes the socket.
const SILENT: &str = "it closes the socket without a word";

/// Logs in, and answers the broker's tune with this.
fn tune_ok(client: &mut Client, channel_max: u16, frame_max: u32) {
    client.start("guest", "guest");
    let tune = client.frame();
    assert!(matches!(tune.method(), Method::ConnectionTune { .. }), "{tune:?}");
    let tune_ok = Method::ConnectionTuneOk {
        channel_max,
        frame_max,
        heartbeat: 0,
    };
    client.send(0, tune_ok);
}

fn greeted(client: &mut Client) {
    client.write(&PROTOCOL_HEADER);
    client.frame();
}

pub fn handshakes() -> Vec<Row> {
    let early = "CHANNEL_ERROR - unexpected method in connection state starting";
    vec![
        handshake(
            "a wrong password",
            |client| client.start("guest", "wrong"),
            connection(
                403,
                NOBODY,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
            ),
        ),
        handshake(
            "an unknown user",
            |client| client.start("nobody", "guest"),
            connection(
                403,
                NOBODY,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.",
            ),
        ),
        handshake(
            "frames larger than the broker's",
            |client| tune_ok(client, 2047, 1 << 30),
            connection(
                530,
                TUNE_OK,
                "NOT_ALLOWED - negotiated frame_max = 1073741824 is higher than the maximum allowed value (131072)",
            ),
        )
        .not_rabbitmq(SILENT),
        handshake(
            "frames smaller than the specification's",
            |client| tune_ok(client, 2047, 4095),
            connection(
                530,
                TUNE_OK,
                "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)",
            ),
        )
        .not_rabbitmq(SILENT),
        handshake(
            "more channels than the broker's",
            |client| tune_ok(client, 65_535, 131_072),
            connection(
                530,
                TUNE_OK,
                "NOT_ALLOWED - negotiated channel_max = 65535 is higher than the maximum allowed value (2047)",
            ),
        )
        .not_rabbitmq(SILENT),
        handshake(
            "a virtual host that is not there",
            |client| {
                tune_ok(client, 2047, 131_072);
                client.send(
                    0,
                    Method::ConnectionOpen {
                        virtual_host: "error-missing",
                    },
                );
            },
            connection(530, OPEN, "NOT_ALLOWED - vhost error-missing not found"),
        ),
        handshake(
            "connection.open before the login",
            |client| {
                greeted(client);
                client.send(0, Method::ConnectionOpen { virtual_host: "/" });
            },
            connection(504, OPEN, early),
        )
        .not_rabbitmq(SILENT),
        handshake(
            "connection.tune-ok before the login",
            |client| {
                greeted(client);
                client.send(
                    0,
                    Method::ConnectionTuneOk {
                        channel_max: 0,
                        frame_max: 0,
                        heartbeat: 0,
                    },
                );
            },
            connection(504, TUNE_OK, early),
        )
        .not_rabbitmq(SILENT),
        handshake(
            "a second login",
            |client| {
                client.start("guest", "guest");
                client.frame();
                let again = Method::ConnectionStartOk {
                    client_properties: TableRef::EMPTY,
                    mechanism: "PLAIN",
                    response: b"\0guest\0guest",
                    locale: "en_US",
                };
                client.send(0, again);
            },
            connection(
                504,
                (10, 11),
                "CHANNEL_ERROR - unexpected method in connection state tuning",
            ),
        )
        .not_rabbitmq(SILENT),
        handshake(
            "a channel before connection.open",
            |client| {
                tune_ok(client, 2047, 131_072);
                client.send(1, Method::ChannelOpen);
            },
            connection(
                505,
                NOBODY,
                "UNEXPECTED_FRAME - only methods on channel 0 before connection.open",
            ),
        )
        .not_rabbitmq(SILENT),
    ]
}
