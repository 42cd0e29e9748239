"""Exchanges and bindings."""

from harness import PEER, Skip, expect, feature
from pika import BasicProperties


@feature
def topology(session):
    channel, queue = session.channel, session.queue()
    for type in ("direct", "fanout", "topic", "headers"):
        exchange = session.exchange(type, type=type)
        channel.exchange_declare(exchange, type, passive=True)
        arguments = {"x-match": "all", "a": 1} if type == "headers" else None
        key = {"direct": "key", "topic": "k.#"}.get(type, "")
        channel.queue_bind(queue, exchange, key, arguments)
        headers = BasicProperties(headers={"a": 1})
        session.send({"topic": "k.e.y"}.get(type, "key"), type.encode(), properties=headers, exchange=exchange)
        expect(session.bodies(queue), [type.encode()], f"routed by the {type} exchange")
        channel.queue_unbind(queue, exchange, key, arguments)
        session.send({"topic": "k.e.y"}.get(type, "key"), b"unbound", properties=headers, exchange=exchange)
        expect(session.bodies(queue), [], f"routed by the {type} exchange after unbind")
    _exchange_to_exchange(session, queue)
    _conditional_deletes(session)


def _exchange_to_exchange(session, queue):
    channel = session.channel
    front, back = session.exchange("front", type="topic"), session.exchange("back", type="fanout")
    channel.exchange_bind(back, front, "a.*")
    channel.queue_bind(queue, back)
    session.send("a.b", b"through", exchange=front)
    session.send("b.a", b"not", exchange=front)
    expect(session.bodies(queue), [b"through"], "routed by two exchanges")
    channel.exchange_unbind(back, front, "a.*")
    session.send("a.b", b"not", exchange=front)
    expect(session.bodies(queue), [], "routed after exchange unbind")


def _conditional_deletes(session):
    exchange, queue = session.exchange("used"), session.queue("used")
    session.channel.queue_bind(queue, exchange, "key")
    session.send("key", b"1", exchange=exchange)
    session.closes_channel(406, lambda channel: channel.exchange_delete(exchange, if_unused=True), "in use")
    session.closes_channel(406, lambda channel: channel.queue_delete(queue, if_empty=True), "not empty")
    session.channel.basic_consume(queue, lambda *_: None)
    session.closes_channel(406, lambda channel: channel.queue_delete(queue, if_unused=True), "in use")
    session.channel.cancel()
    fresh = session.queue("fresh")
    session.channel.queue_delete(fresh, if_unused=True, if_empty=True)
    session.channel.exchange_delete(session.exchange("fresh"), if_unused=True)
    session.closes_channel(404, lambda channel: channel.queue_declare(fresh, passive=True))


@feature
def topic_headers(session):
    _topic(session)
    _headers(session)


def _topic(session):
    exchange = session.exchange("topic", type="topic")
    keys = ("", "a", "a.b", "a.b.c", "b.a", "a..b")
    expected = {
        "#": set(keys),
        "*": {"", "a"} - {""},
        "a.*": {"a.b"},
        "a.#": {"a", "a.b", "a.b.c", "a..b"},
        "#.b": {"a.b", "a..b"},
        "*.b.*": {"a.b.c"},
        "a.*.b": {"a..b"},
        "#.a.#": {"a", "a.b", "a.b.c", "b.a", "a..b"},
    }
    patterns = {pattern: session.queue(f"topic{n}") for n, pattern in enumerate(expected)}
    for pattern, queue in patterns.items():
        session.channel.queue_bind(queue, exchange, pattern)
    for key in keys:
        session.send(key, key.encode(), exchange=exchange)
    for pattern, queue in patterns.items():
        expect({body.decode() for body in session.bodies(queue)}, expected[pattern], f"keys that '{pattern}' matches")


def _headers(session):
    exchange = session.exchange("headers", type="headers")
    messages = {
        b"both": {"a": 1, "b": "x"},
        b"a": {"a": 1},
        b"wrong": {"a": 2, "b": "x"},
        b"x": {"a": 1, "b": "x", "x-c": True},
        b"none": {},
    }
    expected = {
        "all": {b"both", b"x"},
        "any": {b"both", b"a", b"wrong", b"x"},
        "all-with-x": {b"x"},
        "any-with-x": {b"both", b"a", b"wrong", b"x"},
    }
    queues = {match: session.queue(f"headers-{match}") for match in expected}
    for match, queue in queues.items():
        session.channel.queue_bind(queue, exchange, "", {"x-match": match, "a": 1, "b": "x", "x-c": True})
    for body, headers in messages.items():
        session.send("", body, properties=BasicProperties(headers=headers), exchange=exchange)
    for match, queue in queues.items():
        expect(set(session.bodies(queue)), expected[match], f"messages for x-match {match}")


@feature
def alternate_exchange(session):
    session.exchange("alternate", type="fanout")
    main = session.exchange("main", arguments={"alternate-exchange": session.name("alternate")})
    routed, rest = session.queue("routed"), session.queue("rest")
    session.channel.queue_bind(routed, main, "known")
    session.channel.queue_bind(rest, session.name("alternate"))
    publisher = session.confirming()
    # Raises UnroutableError if the broker returned one of them.
    publisher.basic_publish(main, "known", b"known", mandatory=True)
    publisher.basic_publish(main, "unknown", b"unknown", mandatory=True)
    expect(session.bodies(routed), [b"known"], "routed")
    method, _, body = session.get(rest)
    expect((body, method.routing_key, method.exchange), (b"unknown", "unknown", main), "by the alternate exchange")


@feature
def cc_bcc(session):
    exchange = session.exchange()
    queues = {key: session.queue(key) for key in ("to", "cc", "bcc")}
    for key, queue in queues.items():
        session.channel.queue_bind(queue, exchange, key)
    headers = {"CC": ["cc", "cc"], "BCC": ["bcc"], "kept": 1}
    session.send("to", b"copied", properties=BasicProperties(headers=headers), exchange=exchange)
    for key, queue in queues.items():
        method, properties, body = session.get(queue)
        expect((body, method.routing_key), (b"copied", "to"), f"message in {key}")
        expect(properties.headers, {"CC": ["cc", "cc"], "kept": 1}, f"headers in {key}")
        expect(session.count(queue), 0, f"further copies in {key}")
    bad = BasicProperties(headers={"CC": "not a list"})
    session.closes_channel(406, lambda channel: channel.basic_publish(exchange, "to", b"", bad))


@feature
def consistent_hash(session):
    exchange = session.exchange("hashed", type="x-consistent-hash")
    queues = {weight: session.queue(f"weight{weight}") for weight in (1, 3)}
    for weight, queue in queues.items():
        session.channel.queue_bind(queue, exchange, str(weight))
    for round in range(2):
        for number in range(200):
            session.send(f"key-{number}", b"%d" % number, exchange=exchange, channel=session.channel)
    session.turn(lambda: sum(map(session.count, queues.values())) == 400, "each message in one queue")
    found = {weight: session.bodies(queue) for weight, queue in queues.items()}
    for weight, bodies in found.items():
        expect(all(bodies.count(body) == 2 for body in bodies), True, f"a key goes to one queue (weight {weight})")
    share = len(found[3]) / 400
    expect(0.5 < share < 0.95, True, f"weight 3 of 4 gets most messages, {share}")
    by_header = session.exchange("by-header", type="x-consistent-hash", arguments={"hash-header": "tenant"})
    session.channel.queue_bind(queues[1], by_header, "1")
    session.channel.queue_bind(queues[3], by_header, "1")
    for number in range(20):
        session.send(str(number), b"same", properties=BasicProperties(headers={"tenant": "a"}), exchange=by_header)
    expect(sorted(map(session.count, queues.values())), [0, 20], "messages of one header value")
    name = session.queue("unbound")
    session.closes_channel(406, lambda channel: channel.queue_bind(name, exchange, "not-a-number"))


@feature
def delayed_exchange(session):
    """Messages wait in the exchange for their `x-delay`, also those of direct, topic … below."""
    if PEER.startswith("rabbitmq"):
        raise Skip("the plugin is not in Debian's package")
    exchange = session.exchange("delayed", type="x-delayed-message", durable=True, arguments={"x-delayed-type": "topic"})
    queue = session.queue()
    session.channel.queue_bind(queue, exchange, "a.*")
    for body, delay in ((b"second", 500), (b"first", 100), (b"now", 0)):
        session.send("a.b", body, properties=BasicProperties(headers={"x-delay": delay}), exchange=exchange)
    session.send("a.b", b"undelayed", exchange=exchange)
    found = []
    for _ in range(4):
        found.append(session.get(queue)[2])
    expect((set(found[:2]), found[2:]), ({b"now", b"undelayed"}, [b"first", b"second"]), "order")
    session.closes_channel(406, lambda channel: channel.exchange_declare(session.name("untyped"), "x-delayed-message"))
