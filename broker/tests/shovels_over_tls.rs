//! `broker shovel` with TLS on both sides: whom it trusts, what it shows, whom it logs in as, and that a loss of either side
//! loses nothing here, too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::relay::Relay;
use support::shovel::{Ended, Shovel};
use support::tls::{Authority, shown};
use support::{Client, Watched, wait_for};
use wire::FieldTable;

const QUEUE: &str = "q";

/// A broker with TLS, and what a shovel's URI says of it.
struct Side {
    broker: Watched,
    place: String,
}

impl Side {
    fn start(authority: &Authority, more: &[&str]) -> Self {
        let flags = authority.flags();
        let flags: Vec<&str> = flags
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        let broker = Watched::start(&flags, &[("RUST_LOG", "info")], 2);
        let port = broker
            .announced_after("with TLS on ")
            .rsplit_once(':')
            .unwrap()
            .1
            .to_owned();
        let mut client = Client::connect(&broker);
        client.declare_durable(1, QUEUE, &FieldTable::new());
        Side {
            broker,
            place: format!("localhost:{port}"),
        }
    }

    fn publish(&self, count: u64) {
        let mut client = Client::connect(&self.broker);
        client.confirm_select(1);
        for number in 0..count {
            client.publish_persistent(1, "", QUEUE, &number.to_be_bytes());
        }
        client.await_confirms(count);
    }

    fn ready(&self) -> u32 {
        Client::connect(&self.broker).ready(1, QUEUE)
    }

    /// As `guest`.
    fn uri(&self, options: &str) -> String {
        format!("amqps://guest:guest@{}?{options}", self.place)
    }
}

fn flags<'a>(from: &'a str, to: &'a str) -> Vec<&'a str> {
    vec![
        "--from",
        from,
        "--to",
        to,
        "--from-queue",
        QUEUE,
        "--to-queue",
        QUEUE,
    ]
}

/// Moves what is there, or ends at the first failure.
fn shovel(from: &str, to: &str) -> Ended {
    let once = ["--delete-after=queue-length", "--reconnect-delay=0"];
    Shovel::run(&[&flags(from, to)[..], &once].concat())
}

fn trusting(authority: &Authority) -> String {
    format!("cacertfile={}", shown(&authority.path("ca.pem")))
}

#[test]
fn a_client_is_what_its_certificate_says() {
    let authority = Authority::new();
    for name in ["ada", "eve"] {
        authority.write(name, &authority.sign_client("Test", name, "mail@example.org"));
    }
    let mutual = [
        "--tls-verify=peer",
        "--tls-fail-if-no-peer-cert",
        "--tls-login-from=common_name",
        "--user=ada:unused",
    ];
    let (source, destination) = (Side::start(&authority, &mutual), Side::start(&authority, &[]));
    source.publish(300);
    let trusts = trusting(&authority);
    let file = |name: &str| shown(&authority.path(name));
    let showing = |name: &str| {
        let (certfile, keyfile) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
        format!("{trusts}&certfile={certfile}&keyfile={keyfile}")
    };
    let external = |name: &str| {
        let shows = showing(name);
        format!("amqps://{}?{shows}&auth_mechanism=external", source.place)
    };
    let to = destination.uri(&trusts);
    // A password is of no use without a certificate; eve has one, but is no user.
    let refused = shovel(&source.uri(&trusts), &to);
    assert_eq!(refused.code, Some(1), "{}", refused.told);
    let refused = shovel(&external("eve"), &to);
    assert_eq!(refused.code, Some(1), "{}", refused.told);
    assert!(refused.told.contains("ACCESS_REFUSED"), "{}", refused.told);
    let ended = shovel(&external("ada"), &to);
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert!(ended.told.contains("moved 300\n"), "{}", ended.told);
    assert_eq!((source.ready(), destination.ready()), (0, 300));
}

#[test]
fn a_broker_that_cannot_prove_who_it_is_ends_it() {
    let authority = Authority::new();
    let stranger = Authority::new();
    stranger.flags();
    let side = Side::start(&authority, &[]);
    side.publish(1);
    let (trusts, system) = (trusting(&authority), trusting(&stranger));
    let good = side.uri(&trusts);
    let named = format!("{trusts}&server_name_indication=elsewhere.example");
    // A name that has the address, but not the certificate.
    let numbered = good.replace("localhost", "127.0.0.1");
    for (uri, expected) in [
        (side.uri(&system), "cacertfile"),
        (side.uri(&named), "not for elsewhere.example"),
        (numbered, "not for 127.0.0.1"),
    ] {
        // It tries no second time, although it might.
        let ended = Shovel::run(&flags(&uri, &good));
        assert_eq!(ended.code, Some(1), "{}", ended.told);
        assert!(ended.told.contains(expected), "{}", ended.told);
        assert!(!ended.told.contains("tries again"), "{}", ended.told);
    }
    assert_eq!(side.ready(), 1);
    // Unless it is not asked to.
    let any = format!(
        "verify=verify_none&cacertfile={}",
        shown(&stranger.path("ca.pem"))
    );
    assert_eq!(shovel(&side.uri(&any), &good).code, Some(0));
    // Plain AMQP at the door of TLS, and TLS at the door of AMQP.
    let wrong = format!(
        "amqps://guest:guest@localhost:{}?{any}",
        side.broker.address.port()
    );
    let ended = Shovel::run(&flags(&wrong, &good));
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("is not TLS"), "{}", ended.told);
}

#[test]
fn a_node_that_cannot_prove_who_it_is_is_passed_over() {
    let authority = Authority::new();
    let (source, destination) = (Side::start(&authority, &[]), Side::start(&authority, &[]));
    source.publish(100);
    let trusts = trusting(&authority);
    let (from, to) = (source.uri(&trusts), destination.uri(&trusts));
    let [elsewhere, nowhere] = ["elsewhere", "nowhere"]
        .map(|name| destination.uri(&format!("{trusts}&server_name_indication={name}.example")));
    let more = ["--to", &nowhere, "--delete-after=queue-length"];
    // None of the nodes is who it should be: it tries no second time, although it might.
    let ended = Shovel::run(&[&flags(&from, &elsewhere)[..], &more].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.told);
    assert!(!ended.told.contains("tries again"), "{}", ended.told);
    for name in ["elsewhere", "nowhere"] {
        assert!(
            ended.told.contains(&format!("not for {name}.example")),
            "{}",
            ended.told
        );
    }
    // One of them is, the last.
    let ended = Shovel::run(&[&flags(&from, &elsewhere)[..], &more, &["--to", &to]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert!(ended.told.contains("goes on without a node"), "{}", ended.told);
    assert_eq!((source.ready(), destination.ready()), (0, 100));
}

#[test]
fn nothing_is_lost_when_a_session_breaks() {
    let authority = Authority::new();
    let (source, destination) = (Side::start(&authority, &[]), Side::start(&authority, &[]));
    source.publish(2000);
    let trusts = trusting(&authority);
    let relays = [&source, &destination].map(|side| {
        let port = side.place.rsplit_once(':').unwrap().1;
        Relay::new(Some(format!("127.0.0.1:{port}").parse().unwrap()))
    });
    let [from, to] = relays
        .each_ref()
        .map(|relay| format!("amqps://guest:guest@localhost:{}?{trusts}", relay.port()));
    let more = ["--prefetch=20", "--reconnect-delay=20ms"];
    let running = Shovel::start(&[&flags(&from, &to)[..], &more].concat());
    for relay in &relays {
        let goal = destination.ready() + 200;
        wait_for("messages to arrive", || {
            (destination.ready() >= goal).then_some(())
        });
        relay.cut();
    }
    wait_for("the source to be empty", || (source.ready() == 0).then_some(()));
    running.interrupt();
    let ended = running.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert!(ended.told.contains("tries again in 20 ms"), "{}", ended.told);
    let mut arrivals = vec![0u32; 2000];
    // What the shovel held at the end, and had not sent on, is back in the source.
    for side in [&destination, &source] {
        let mut client = Client::connect(&side.broker);
        while let Some(message) = client.get(1, QUEUE) {
            arrivals[u64::from_be_bytes(message.body.try_into().unwrap()) as usize] += 1;
        }
    }
    assert!(arrivals.iter().all(|&count| count > 0), "lost: {arrivals:?}");
}
