//! `--config FILE`, variables of the environment and flags; `broker config` about them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Client, Watched};
use wire::Method;

/// A directory with a file `broker.toml`, and its path.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broker.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path.display().to_string())
}

fn run(args: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_broker"))
        .args(args)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_broker_runs_with_what_the_file_says() {
    let (_kept, path) = file("heartbeat = 11\nuser = ['ada:secret']\n[channel]\nmax = 77\n");
    let environment = [("BROKER_FRAME_MAX", "8KiB"), ("BROKER_HEARTBEAT", "12")];
    let flags = ["--config", &path, "--channel-max=78"];
    let broker = Watched::start(&flags, &environment, 1);
    let mut client = Client::raw(&broker);
    client.start("ada", "secret");
    let expected = Method::ConnectionTune {
        channel_max: 78,
        frame_max: 8192,
        heartbeat: 12,
    };
    assert_eq!(client.frame().method(), expected);
}

#[test]
fn a_start_and_a_check_refuse_the_same_with_exit_code_2() {
    let (kept, path) = file("frame_max = '4k'\nheartbaet = 5\nring_bytes = '4KiB'\n");
    let data_dir = kept.path().join("data");
    let data_flag = format!("--data-dir={}", data_dir.display());
    for args in [
        &["--config", &path, &data_flag][..],
        &["config", "--check", "--config", &path, &data_flag],
        &["config", "--show", "--config", &path],
    ] {
        let (code, out, errors) = run(args, &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{errors}");
        assert!(
            errors.contains(&format!("{path}:1: frame_max = \"4k\": expected a size")),
            "{errors}"
        );
        assert!(
            errors.contains(&format!("{path}:2: unknown key 'heartbaet'; perhaps 'heartbeat'")),
            "{errors}"
        );
    }
    assert!(!data_dir.exists(), "nothing is done before all is right");
    std::fs::write(&path, "ring_bytes = '4KiB'").unwrap();
    let (code, _, errors) = run(&["config", "--check", "--config", &path], &[]);
    assert_eq!(code, Some(2));
    assert!(
        errors.starts_with(&format!("{path}:1: --ring-bytes 4096 is too small")),
        "{errors}"
    );
    std::fs::write(&path, "ring_bytes = '64MiB'").unwrap();
    let (code, out, errors) = run(&["config", "--check", "--config", &path], &[]);
    assert_eq!((code, out), (Some(0), format!("{path} is good\n")), "{errors}");
}

#[test]
fn definitions_are_read_by_a_check() {
    let (kept, path) = file("");
    let definitions = kept.path().join("definitions.json");
    std::fs::write(&path, format!("definitions = '{}'", definitions.display())).unwrap();
    let check = || run(&["config", "--check", "--config", &path], &[]);
    let (code, _, errors) = check();
    assert_eq!(code, Some(2));
    assert!(errors.contains("cannot read it"), "{errors}");
    std::fs::write(&definitions, "{}").unwrap();
    assert_eq!(check().0, Some(0));
}

#[test]
fn the_example_is_a_configuration() {
    let (code, example, _) = run(&["config", "--example"], &[]);
    assert_eq!(code, Some(0));
    let (_kept, path) = file(&example);
    let (code, _, errors) = run(&["config", "--check", "--config", &path], &[]);
    assert_eq!(code, Some(0), "{errors}");
    for words in [
        "--config FILE",
        "#heartbeat = \"60s\"",
        "# Largest message body\n# SIZE",
    ] {
        assert!(example.contains(words), "{words}: {example}");
    }
}

#[test]
fn what_is_in_force_is_shown_with_its_origin_and_without_passwords() {
    let (_kept, path) = file("\n[ring]\nbytes = '64MiB'\n");
    let environment = [
        ("BROKER_USER", "ada:topsecret"),
        ("BROKER_SERVICE_HOST", "10.0.0.1"),
    ];
    let args = ["config", "--show", "--config", &path, "--heartbeat=5"];
    let (code, shown, errors) = run(&args, &environment);
    assert_eq!(code, Some(0), "{errors}");
    for line in [
        &format!("ring_bytes = \"64MiB\"  # {path}:3")[..],
        "user = [\"ada:***\"]  # environment BROKER_USER",
        "heartbeat = 5  # command line",
        "frame_max = \"128KiB\"  # default",
        "# definitions is not set",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(!shown.contains("topsecret") && !errors.contains("topsecret"));
    assert!(
        errors.contains("environment BROKER_SERVICE_HOST is no setting of this broker"),
        "{errors}"
    );
    let again = shown.replace("ada:***", "ada:x");
    let (_kept_too, path) = file(&again);
    let (code, _, errors) = run(&["config", "--check", "--config", &path], &[]);
    assert_eq!(code, Some(0), "what is shown can be read: {errors}");
    assert!(Path::new(&path).exists());
}
