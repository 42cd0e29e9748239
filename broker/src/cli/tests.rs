//! Flags, one by one.

use super::*;
use crate::alarms::Watermark;
use crate::http::ManagementConfig;
use crate::limits::LimitSettings;
use crate::meter::PublishRate;
use crate::tls::{LoginFrom, MinimumVersion, SanType, TlsSettings, Verify};
use crate::topology::Sizes;

fn parsed(flags: &[&str]) -> Result<Config, String> {
    let args = ["broker"].iter().chain(flags).map(OsString::from);
    match parse(args, []) {
        Ok(Order::Serve(loaded, _)) => Ok(loaded.config),
        Ok(order) => Err(format!("{order:?}")),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn subcommands_have_flags_of_their_own() {
    let directory = |flags: &[&str]| {
        let args = ["broker"].iter().chain(flags).map(OsString::from);
        match parse(args, []) {
            Ok(Order::Log(command)) => Ok(command.data_dir().to_owned()),
            Ok(Order::Definitions(DefinitionsCommand::Export(flags))) => Ok(flags.data_dir),
            Ok(order) => Err(format!("{order:?}")),
            Err(error) => Err(error.to_string()),
        }
    };
    assert_eq!(directory(&["log", "verify"]).unwrap(), Config::default().data_dir);
    for command in [&["verify"][..], &["dump", "--queue=q"], &["repair", "--apply"]] {
        let flags = [&["log"], command, &["--data-dir=/x"]].concat();
        assert_eq!(directory(&flags).unwrap(), PathBuf::from("/x"));
    }
    let flags = ["definitions", "export", "--data-dir=/x"];
    assert_eq!(directory(&flags).unwrap(), PathBuf::from("/x"));
    for wrong in [
        &["log"][..],
        &["log", "dump"],
        &["log", "verify", "--apply"],
        &["log", "verify", "--listen=127.0.0.1:0"],
        &["--listen=127.0.0.1:0", "log", "verify"],
        &["logs"],
    ] {
        directory(wrong).unwrap_err();
    }
}

#[test]
fn no_flags_give_the_defaults() {
    Flags::command().debug_assert();
    assert_eq!(parsed(&[]).unwrap(), Config::default());
}

#[test]
fn every_flag_reaches_the_configuration() {
    let flags = [
        "--listen=127.0.0.1:0",
        "--listen=[::1]:5673",
        "--management-listen=127.0.0.1:0",
        "--metrics-queues-max=5",
        "--management-sample-interval=1s",
        "--listen-tls=127.0.0.1:5671",
        "--listen-unix=/run/mq.sock",
        "--unix-mode=600",
        "--tls-cacertfile=ca.pem",
        "--tls-certfile=mq.pem",
        "--tls-keyfile=mq.key",
        "--tls-sni=a.example=a.pem,a.key",
        "--tls-verify=peer",
        "--tls-fail-if-no-peer-cert",
        "--tls-version-min=1.3",
        "--tls-login-from=subject_alternative_name",
        "--tls-login-san-type=email",
        "--tls-login-san-index=1",
        "--data-dir=/x",
        "--reactors=3",
        "--memory-high-watermark=40%",
        "--write-timeout=15s",
        "--publish-rate-max=1000",
        "--publish-bytes-rate-max=1MiB",
        "--user-publish-rate-max=2000",
        "--user-publish-bytes-rate-max=2MiB",
        "--unacked-bytes-max=3MiB",
        "--channels-max=4",
        "--queues-max=5",
        "--exchanges-max=6",
        "--bindings-max=7",
        "--connections-max=7",
        "--consumers-per-channel-max=9",
        "--channel-max=8",
        "--frame-max=8KiB",
        "--product=Broker/1.2",
        "--message-bytes-max=1MB",
        "--handshake-timeout=2min",
        "--consumer-timeout=1min",
        "--heartbeat=0",
        "--outbox-bytes=64KiB",
        "--memory-budget=1GiB",
        "--ring-messages=128",
        "--ring-bytes=4MiB",
        "--spill-above=50",
        "--durability=write",
        "--offset-checkpoint-interval=0",
        "--segment-bytes=1MiB",
        "--disk-free-min=1MB",
        "--compaction-rate=0",
        "--statistics-interval=1s",
        "--auth-failure-delay=250ms",
        "--user=ada:x",
        "--user=bob:y:z",
        "--loopback-users=guest,ada",
    ];
    let expected = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:5673".parse().unwrap()],
        listen_tls: vec!["127.0.0.1:5671".parse().unwrap()],
        listen_unix: vec![PathBuf::from("/run/mq.sock")],
        unix_mode: 0o600,
        tls: TlsSettings {
            cacertfile: Some(PathBuf::from("ca.pem")),
            certfile: Some(PathBuf::from("mq.pem")),
            keyfile: Some(PathBuf::from("mq.key")),
            server_names: vec!["a.example=a.pem,a.key".parse().unwrap()],
            verify: Verify::Peer,
            fail_if_no_peer_cert: true,
            version_min: MinimumVersion::Tls13,
            login_from: LoginFrom::SubjectAlternativeName,
            login_san_type: SanType::Email,
            login_san_index: 1,
        },
        management: ManagementConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            metrics_queues_max: 5,
            sample_interval: Duration::from_secs(1),
        },
        data_dir: PathBuf::from("/x"),
        reactors: 3,
        limits: LimitSettings {
            memory_high_watermark: Watermark::Percent(40),
            write_timeout: Duration::from_secs(15),
            publish_rate: PublishRate {
                messages: 1000,
                bytes: 1 << 20,
            },
            user_publish_rate: PublishRate {
                messages: 2000,
                bytes: 2 << 20,
            },
            unacked_bytes_max: 3 << 20,
            channels_max: 4,
            sizes: Sizes {
                queues: 5,
                exchanges: 6,
                bindings: 7,
            },
        },
        connections_max: 7,
        consumers_per_channel_max: 9,
        channel_max: 8,
        frame_max: 8 << 10,
        product: "Broker/1.2".parse().unwrap(),
        message_bytes_max: 1_000_000,
        handshake_timeout: Duration::from_secs(120),
        consumer_timeout: Duration::from_secs(60),
        heartbeat: Duration::ZERO,
        outbox_bytes: 64 << 10,
        memory_budget: 1 << 30,
        ring_messages: 128,
        ring_bytes: 4 << 20,
        spill_above: 50,
        durability: Durability::Write,
        checkpoint_interval: Duration::ZERO,
        segment_bytes: 1 << 20,
        disk_free_min: 1_000_000,
        compaction_rate: CompactionRate(0),
        statistics_interval: Duration::from_secs(1),
        auth_failure_delay: Duration::from_millis(250),
        users: vec!["ada:x".parse().unwrap(), "bob:y:z".parse().unwrap()],
        definitions: None,
        loopback_users: vec!["guest".to_owned(), "ada".to_owned()],
    };
    // Without a look into the files that they name.
    let args = ["broker"].iter().chain(&flags).map(OsString::from);
    let given = Flags::try_parse_from(args).unwrap().settings.config();
    assert_eq!(given, expected);
    assert_eq!(expected.contradictions(), []);
}

#[test]
fn wrong_values_name_the_flag_and_what_is_allowed() {
    let cases = [
        (
            "--listen=localhost",
            "--listen <ADDRESS:PORT>",
            "invalid socket address",
        ),
        ("--reactors=0", "--reactors <THREADS>", "1..=1024"),
        ("--channel-max=0", "--channel-max <COUNT>", "1..=65535"),
        ("--frame-max=4k", "--frame-max <SIZE>", "KiB"),
        ("--frame-max=4095", "--frame-max 4095", "outside 4096 to 16777216"),
        ("--frame-max=5GiB", "--frame-max <SIZE>", "at most 4294967295"),
        (
            "--heartbeat=1500ms",
            "--heartbeat <TIME>",
            "whole seconds from 0s to 65535s",
        ),
        (
            "--handshake-timeout=0",
            "--handshake-timeout <TIME>",
            "whole seconds from 1s to 3600s",
        ),
        ("--ring-bytes=1GiB", "--ring-bytes 1073741824", "--memory-budget"),
        ("--outbox-bytes=4KiB", "--outbox-bytes 4096", "--frame-max"),
        ("--spill-above=0", "--spill-above <PERCENT>", "1..=95"),
        (
            "--memory-high-watermark=120%",
            "--memory-high-watermark <SIZE|PERCENT%>",
            "1% to 100%",
        ),
        (
            "--memory-high-watermark=much",
            "--memory-high-watermark <SIZE|PERCENT%>",
            "a percentage such as 60%, or 0 for none",
        ),
        (
            "--write-timeout=2h",
            "--write-timeout <TIME>",
            "whole seconds from 0s to 3600s",
        ),
        (
            "--publish-rate-max=2000000000",
            "--publish-rate-max <COUNT>",
            "0..=1000000000",
        ),
        (
            "--durability=disk",
            "--durability <none|write|sync>",
            "none, write or sync",
        ),
        (
            "--offset-checkpoint-interval=soon",
            "--offset-checkpoint-interval <TIME>",
            "10s or 500ms",
        ),
        (
            "--segment-bytes=1KiB",
            "--segment-bytes 1024",
            "outside 65536 to 1073741824",
        ),
        ("--user=ada", "--user <NAME:PASSWORD>", "NAME:PASSWORD"),
        ("--log=loud", "--log <LEVEL|FILTER>", "debug, trace"),
        (
            "--ring-byte=1",
            "--ring-byte",
            "similar argument exists: '--ring-bytes'",
        ),
    ];
    for (flag, named, allowed) in cases {
        let refused = parsed(&[flag]).unwrap_err();
        assert!(
            refused.contains(named) && refused.contains(allowed),
            "{flag}: {refused}"
        );
    }
}
