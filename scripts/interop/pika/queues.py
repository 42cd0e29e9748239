"""What a queue does by its arguments."""

import time

from harness import Failed, by_peer, expect, expect_true, feature
from pika.exceptions import NackError
from session import persistent


def _header(headers, name):
    return (headers or {}).get(name)


@feature
def ttl(session):
    queue = session.queue(arguments={"x-message-ttl": 600})
    session.send(queue, b"a", b"b")
    expect(session.count(queue), 2, "before its TTL")
    session.await_count(queue, 0)
    # The lower of both TTLs; a message's alone works on a queue without.
    slow = session.queue("slow", arguments={"x-message-ttl": 60_000})
    session.send(slow, b"short", properties=persistent(expiration="1"))
    session.await_count(slow, 0)
    quick = session.queue("quick", arguments={"x-message-ttl": 1})
    session.send(quick, b"short", properties=persistent(expiration="60000"))
    session.await_count(quick, 0)
    plain = session.queue("plain")
    session.send(plain, b"first", properties=persistent(expiration="100"))
    session.send(plain, b"second", properties=persistent(expiration="60000"))
    session.send(plain, b"third")
    session.connection.sleep(0.2)
    found = [session.get(plain) for _ in range(2)]
    expect([body for _, _, body in found], [b"second", b"third"], "after the head expired")
    expect(found[0][1].expiration, "60000", "expiration stays on a message that did not expire")
    # 0 expires at once unless a consumer is there to take it.
    session.send(plain, b"at once", properties=persistent(expiration="0"))
    session.await_count(plain, 0, 1)
    unused = session.queue("unused", arguments={"x-expires": 150})
    session.connection.sleep(0.4)
    session.closes_channel(404, lambda channel: channel.queue_declare(unused, passive=True))
    used, deliveries = session.queue("used", arguments={"x-expires": 500}), []
    session.consume(used, deliveries)
    session.settle_down(1)
    session.channel.queue_declare(used, passive=True)
    bad = persistent(expiration="soon")
    session.closes_channel(406, lambda channel: channel.basic_publish("", plain, b"", bad), "invalid expiration")
    for argument, value in (("x-message-ttl", -1), ("x-message-ttl", "200"), ("x-expires", 0)):
        name = session.name("invalid")
        session.closes_channel(406, lambda channel: channel.queue_declare(name, arguments={argument: value}), argument)


@feature
def dead_letter(session):
    dead_exchange, dead = session.exchange("dead", type="fanout"), session.queue("dead")
    session.channel.queue_bind(dead, dead_exchange)
    source_exchange = session.exchange("source")
    arguments = {"x-dead-letter-exchange": dead_exchange}
    for reason, extra in (("rejected", {}), ("expired", {"x-message-ttl": 50}), ("maxlen", {"x-max-length": 1})):
        source = session.queue(reason, arguments={**arguments, **extra})
        session.channel.queue_bind(source, source_exchange, reason)
        properties = persistent(headers={"mine": "kept"}, message_id=reason)
        session.send(reason, b"dead", properties=properties, exchange=source_exchange)
        if reason == "rejected":
            session.channel.basic_reject(session.get(source, auto_ack=False)[0].delivery_tag, requeue=False)
        elif reason == "maxlen":
            session.send(reason, b"newer", exchange=source_exchange)
        method, received, body = session.get(dead)
        expect((body, method.routing_key, method.exchange), (b"dead", reason, dead_exchange), f"{reason}: message")
        expect((received.message_id, received.headers["mine"]), (reason, "kept"), f"{reason}: what was there before")
        _expect_death(received.headers, reason, source, source_exchange, [reason], 1)
    _dead_letter_twice(session, dead_exchange, dead)
    _dead_letter_key_and_expiration(session, dead_exchange, dead)


def _expect_death(headers, reason, queue, exchange, keys, count):
    death = headers["x-death"][0]
    expect(
        {key: death.get(key) for key in ("reason", "queue", "exchange", "routing-keys", "count")},
        {"reason": reason, "queue": queue, "exchange": exchange, "routing-keys": keys, "count": count},
        f"{reason}: x-death",
    )
    # pika reads timestamps without a zone, in UTC.
    age_s = time.time() - death["time"].timestamp() + time.timezone
    expect_true(-2 <= age_s <= 30, f"{reason}: x-death time is {age_s:.0f} s ago")
    first = {name: headers.get(f"x-first-death-{name}") for name in ("reason", "queue", "exchange")}
    if count == 1:
        expect(first, {"reason": reason, "queue": queue, "exchange": exchange}, f"{reason}: x-first-death-*")
    last = {name: headers.get(f"x-last-death-{name}") for name in ("reason", "queue", "exchange")}
    since = "x-last-death-* came with RabbitMQ 3.13"
    wanted = by_peer(
        {"reason": reason, "queue": queue, "exchange": exchange}, since, rabbitmq3=dict.fromkeys(("reason", "queue", "exchange"))
    )
    expect(last, wanted, f"{reason}: x-last-death-*")


def _dead_letter_twice(session, dead_exchange, dead):
    """Round and round through a retry queue: one entry for each queue and reason, with a count."""
    work = session.queue("work", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": session.name("retry")})
    session.queue(
        "retry", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": work, "x-message-ttl": 20}
    )
    session.send(work, b"retried")
    for round in range(3):
        method, properties, _ = session.get(work, auto_ack=False)
        deaths = _header(properties.headers, "x-death") or []
        expected = [] if round == 0 else [("expired", session.name("retry"), round), ("rejected", work, round)]
        expect([(d["reason"], d["queue"], d["count"]) for d in deaths], expected, f"x-death in round {round}")
        if round:
            first = (properties.headers["x-first-death-reason"], properties.headers["x-first-death-queue"])
            expect(first, ("rejected", work), f"first death in round {round}")
        session.channel.basic_nack(method.delivery_tag, requeue=False)


def _dead_letter_key_and_expiration(session, dead_exchange, dead):
    source = session.queue(
        "keyed", arguments={"x-dead-letter-exchange": dead_exchange, "x-dead-letter-routing-key": "another"}
    )
    session.send(source, b"expires", properties=persistent(expiration="30"))
    method, properties, _ = session.get(dead)
    expect(method.routing_key, "another", "routing key override")
    expect(properties.expiration, None, "expiration of a dead letter")
    death = properties.headers["x-death"][0]
    expect((death["original-expiration"], death["routing-keys"], death["exchange"]), ("30", [source], ""), "x-death")
    # Without an exchange of that name the message is dropped, and with none configured too.
    lost = session.queue("lost", arguments={"x-dead-letter-exchange": session.name("missing"), "x-message-ttl": 20})
    session.send(lost, b"nowhere")
    session.await_count(lost, 0)
    # Full cycles without a rejection are broken.
    cycle = session.queue("cycle", arguments={"x-dead-letter-exchange": "", "x-message-ttl": 20})
    session.send(cycle, b"round")
    session.await_count(cycle, 0)
    name = session.name("invalid")
    key_alone = {"x-dead-letter-routing-key": "key"}
    session.closes_channel(406, lambda channel: channel.queue_declare(name, arguments=key_alone), "dead-letter")


@feature
def max_length(session):
    queue = session.queue("length", arguments={"x-max-length": 3})
    session.send(queue, *(b"%d" % n for n in range(5)))
    expect(session.bodies(queue), [b"2", b"3", b"4"], "drop-head")
    queue = session.queue("bytes", arguments={"x-max-length-bytes": 250})
    session.send(queue, *(b"%d" % n * 100 for n in range(4)))
    expect(session.bodies(queue), [b"2" * 100, b"3" * 100], "drop-head by bytes")
    queue = session.queue("reject", arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    publisher = session.confirming()
    session.send(queue, b"0", b"1", channel=publisher)
    try:
        session.send(queue, b"2", channel=publisher)
    except NackError:
        pass
    else:
        raise Failed("reject-publish did not nack the publisher")
    expect(session.bodies(queue), [b"0", b"1"], "reject-publish keeps what was there")
    session.send(queue, b"3", channel=publisher)
    dead = session.queue("dead")
    queue = session.queue(
        "reject-dlx",
        arguments={
            "x-max-length": 1, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        },
    )
    session.send(queue, b"0", channel=publisher)
    try:
        session.send(queue, b"1", channel=publisher)
        raise Failed("reject-publish-dlx did not nack the publisher")
    except NackError:
        pass
    _, properties, body = session.get(dead)
    expect((body, properties.headers["x-death"][0]["reason"]), (b"1", "maxlen"), "reject-publish-dlx")
    # Unacknowledged messages do not count.
    queue = session.queue("unacked", arguments={"x-max-length": 1})
    session.send(queue, b"held")
    session.channel.basic_get(queue)
    session.send(queue, b"ready")
    expect(session.count(queue), 1, "ready beside an unacknowledged one")
    for arguments in ({"x-max-length": -1}, {"x-overflow": "explode"}, {"x-max-length-bytes": "1"}):
        name = session.name("invalid")
        session.closes_channel(406, lambda channel: channel.queue_declare(name, arguments=arguments), next(iter(arguments)))


@feature
def priority(session):
    queue = session.queue(arguments={"x-max-priority": 5})
    for body, level in ((b"none", None), (b"low", 1), (b"high a", 4), (b"top", 5), (b"above", 200), (b"high b", 4), (b"zero", 0)):
        session.send(queue, body, properties=persistent(priority=level))
    expected = [b"top", b"above", b"high a", b"high b", b"low", b"none", b"zero"]
    found = []
    while len(found) < len(expected):
        found.append(session.get(queue))
    expect([body for _, _, body in found], expected, "order")
    expect(found[1][1].priority, 200, "the property stays as it was sent")
    # A requeued message keeps its place before newer ones of its priority.
    session.send(queue, b"a", b"b", properties=persistent(priority=2))
    method = session.get(queue, auto_ack=False)[0]
    session.send(queue, b"c", properties=persistent(priority=3))
    session.channel.basic_nack(method.delivery_tag)
    expect(session.bodies(queue), [b"c", b"a", b"b"], "after requeue")
    for value in (-1, 256, "5"):
        name = session.name("invalid")
        arguments = {"x-max-priority": value}
        session.closes_channel(406, lambda channel: channel.queue_declare(name, arguments=arguments), "x-max-priority")


@feature
def delivery_limit(session):
    dead = session.queue("dead")
    arguments = {
        "x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead,
    }
    queue = session.queue("limited", arguments=arguments)
    session.send(queue, b"poison")
    for round in range(3):
        method, properties, _ = session.get(queue, auto_ack=False)
        expect(_header(properties.headers, "x-delivery-count") or 0, round, f"x-delivery-count of delivery {round + 1}")
        expect(method.redelivered, round > 0, f"redelivered of delivery {round + 1}")
        # RabbitMQ 4.3 counts a reject, and no longer a nack.
        session.channel.basic_reject(method.delivery_tag, requeue=True)
    _, properties, body = session.get(dead)
    expect((body, properties.headers["x-death"][0]["reason"]), (b"poison", "delivery_limit"), "dead letter")
    expect(session.count(queue), 0, "left in the queue")
