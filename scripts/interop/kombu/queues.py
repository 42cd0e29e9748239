"""What a queue does by its arguments, with kombu's names for them."""

import time

from harness import Failed, expect, feature


@feature
def ttl(session):
    queue = session.queue(message_ttl=0.6)  # seconds
    session.send(queue, "a")
    expect(session.count(queue), 1, "before its TTL")
    session.await_count(queue, 0)
    plain = session.queue("plain")
    session.send(plain, "expires", expiration=0.1)
    session.send(plain, "stays", expiration=60)
    time.sleep(0.2)
    expect(session.bodies(plain), ["stays"], "after the head expired")
    unused = session.queue("unused", expires=0.1)
    time.sleep(0.4)
    session.closes_channel(404, lambda channel: channel.queue_declare(unused.name, passive=True))


@feature
def dead_letter(session):
    exchange = session.exchange("dead", type="fanout")
    dead = session.queue("dead", exchange)
    for reason, extra in (("rejected", {}), ("expired", {"message_ttl": 0.05}), ("maxlen", {"max_length": 1})):
        source = session.queue(reason, queue_arguments={"x-dead-letter-exchange": exchange.name}, **extra)
        session.send(source, {"dead": reason})
        if reason == "rejected":
            source.get().reject()
        elif reason == "maxlen":
            session.send(source, "newer")
        message = session.get(dead)
        expect(message.payload, {"dead": reason}, "payload")
        (death,) = message.headers["x-death"]
        death.pop("time")
        expected = {"count": 1, "reason": reason, "queue": source.name, "exchange": "", "routing-keys": [source.name]}
        expect(death, expected, "x-death")
        expect(message.headers["x-first-death-reason"], reason, "x-first-death-reason")


@feature
def max_length(session):
    queue = session.queue("length", max_length=2)
    session.send(queue, 0, 1, 2)
    expect(session.bodies(queue), [1, 2], "drop-head")
    queue = session.queue("reject", max_length=1, queue_arguments={"x-overflow": "reject-publish"})
    session.send(queue, 0)
    try:
        session.send(queue, 1, timeout=3)
    except Exception as error:
        # py-amqp raises MessageNacked.
        expect(type(error).__name__, "MessageNacked", f"error for a refused message: {error}")
    else:
        raise Failed("reject-publish did not nack the publisher")
    expect(session.bodies(queue), [0], "reject-publish keeps what was there")


@feature
def priority(session):
    queue = session.queue(max_priority=9)
    for body, level in (("none", None), ("low", 1), ("high a", 7), ("top", 9), ("high b", 7)):
        session.send(queue, body, priority=level)
    expect(session.bodies(queue), ["top", "high a", "high b", "low", "none"], "order")
