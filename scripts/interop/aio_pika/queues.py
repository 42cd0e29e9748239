"""What a queue does by its arguments."""

import asyncio
import time

from aio_pika.exceptions import DeliveryError
from harness import Failed, expect, expect_true, feature


@feature
async def ttl(session):
    queue = await session.queue(arguments={"x-message-ttl": 600})
    await session.send(queue, b"a")
    expect(await session.count(queue), 1, "before its TTL")
    await session.await_count(queue, 0)
    plain = await session.queue("plain")
    await session.send(plain, b"expires", expiration=0.1)
    await session.send(plain, b"stays", expiration=60)
    await asyncio.sleep(0.2)
    message = await session.get(plain)
    expect((message.body, message.expiration), (b"stays", 60), "after the head expired")
    unused = await session.queue("unused", arguments={"x-expires": 100})
    await asyncio.sleep(0.4)
    await session.closes_channel(404, lambda channel: channel.declare_queue(unused.name, passive=True))


@feature
async def dead_letter(session):
    exchange, dead = await session.exchange("dead", type="fanout"), await session.queue("dead")
    await dead.bind(exchange)
    for reason, extra in (("rejected", {}), ("expired", {"x-message-ttl": 50}), ("maxlen", {"x-max-length": 1})):
        source = await session.queue(reason, arguments={"x-dead-letter-exchange": exchange.name, **extra})
        await session.send(source, b"dead", headers={"mine": 1})
        if reason == "rejected":
            await (await source.get()).reject(requeue=False)
        elif reason == "maxlen":
            await session.send(source, b"newer")
        message = await session.get(dead)
        expect((message.body, message.routing_key, message.headers["mine"]), (b"dead", source.name, 1), reason)
        (death,) = message.headers["x-death"]
        age_s = time.time() - death.pop("time").timestamp()
        expect_true(-2 <= age_s <= 30, f"{reason}: x-death time is {age_s:.0f} s ago")
        expect(
            death, {"count": 1, "reason": reason, "queue": source.name, "exchange": "", "routing-keys": [source.name]}, "x-death"
        )
        first = [message.headers[f"x-first-death-{name}"] for name in ("reason", "queue", "exchange")]
        expect(first, [reason, source.name, ""], f"{reason}: x-first-death-*")
    keyed = await session.queue(
        "keyed", arguments={"x-dead-letter-exchange": exchange.name, "x-dead-letter-routing-key": "another"}
    )
    await session.send(keyed, b"expires", expiration=0.03)
    message = await session.get(dead)
    original = message.headers["x-death"][0]["original-expiration"]
    expect((message.routing_key, message.expiration, original), ("another", None, "30"), "key and expiration")


@feature
async def max_length(session):
    queue = await session.queue("length", arguments={"x-max-length": 2})
    await session.send(queue, b"0", b"1", b"2")
    expect(await session.bodies(queue), [b"1", b"2"], "drop-head")
    queue = await session.queue("bytes", arguments={"x-max-length-bytes": 25})
    await session.send(queue, b"0" * 10, b"1" * 10, b"2" * 10)
    expect(await session.bodies(queue), [b"1" * 10, b"2" * 10], "drop-head by bytes")
    queue = await session.queue("reject", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await session.send(queue, b"0")
    try:
        await session.send(queue, b"1")
    except DeliveryError:
        pass
    else:
        raise Failed("reject-publish did not nack the publisher")
    expect(await session.bodies(queue), [b"0"], "reject-publish keeps what was there")


@feature
async def priority(session):
    queue = await session.queue(arguments={"x-max-priority": 5})
    for body, level in ((b"none", None), (b"low", 1), (b"high a", 4), (b"top", 5), (b"above", 200), (b"high b", 4)):
        await session.send(queue, body, priority=level)
    expect(await session.bodies(queue), [b"top", b"above", b"high a", b"high b", b"low", b"none"], "order")


@feature
async def delivery_limit(session):
    dead = await session.queue("dead")
    queue = await session.queue(
        "limited",
        arguments={
            "x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name,
        },
    )
    await session.send(queue, b"poison")
    for round in range(3):
        message = await session.get(queue, no_ack=False)
        expect(message.headers.get("x-delivery-count") or 0, round, f"x-delivery-count of delivery {round + 1}")
        await message.reject(requeue=True)  # RabbitMQ 4.3 counts a reject, and no longer a nack
    message = await session.get(dead)
    expect((message.body, message.headers["x-death"][0]["reason"]), (b"poison", "delivery_limit"), "dead letter")
