"""Confirms, returns, transactions, properties, bodies."""

import asyncio
import os
from datetime import datetime, timezone
from decimal import Decimal

import harness
from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import PublishError
from harness import BODY_BYTES_MAX, MIB, Failed, expect, expect_true, feature
from session import persistent

IN_FLIGHT_MAX = 500


@feature
async def confirms(session):
    queue = await session.queue()
    publish, window = session.channel.default_exchange.publish, asyncio.Semaphore(IN_FLIGHT_MAX)

    async def confirmed(number):
        try:
            await publish(persistent(b"%d" % number), queue.name)
        finally:
            window.release()

    tasks = []
    for number in range(harness.MESSAGES):
        await window.acquire()
        tasks.append(asyncio.create_task(confirmed(number)))
    await asyncio.gather(*tasks)  # raises DeliveryError for a nack
    expect(await session.count(queue), harness.MESSAGES, "messages confirmed and ready")
    channel = await session.connection.channel()
    await channel.set_qos(prefetch_count=200)
    seen = 0
    async with (await channel.get_queue(queue.name)).iterator(timeout=10) as messages:
        async for message in messages:
            expect((message.body, message.redelivered), (b"%d" % seen, False), "body in order")
            seen += 1
            if seen % 100 == 0 or seen == harness.MESSAGES:
                await message.ack(multiple=True)
            if seen == harness.MESSAGES:
                break
    await session.await_count(queue, 0)


@feature
async def returns(session):
    channel = await session.connection.channel(on_return_raises=True)
    body = os.urandom(200_000)
    message = persistent(body, message_id="m-1", headers={"a": [1, "two"]})
    try:
        await channel.default_exchange.publish(message, session.name("missing"), mandatory=True)
    except PublishError as error:
        returned, frame = error.message, error.message.delivery
        expect((frame.reply_code, frame.reply_text), (312, "NO_ROUTE"), "reply")
        expect(returned.header.properties.message_id, "m-1", "message id")
        expect(returned.header.properties.headers, {"a": [1, "two"]}, "headers")
        expect_true(returned.body == body, "the body came back as it was")
    else:
        raise Failed("an unroutable mandatory message was not returned before its confirm")
    await channel.default_exchange.publish(message, session.name("missing"), mandatory=False)


@feature
async def tx(session):
    queue = await session.queue()
    channel = await session.connection.channel(publisher_confirms=False)
    async with channel.transaction():
        await channel.default_exchange.publish(Message(b"1"), queue.name)
        await channel.default_exchange.publish(Message(b"2"), queue.name)
        expect(await session.count(queue), 0, "visible before commit")
    expect(await session.count(queue), 2, "visible after commit")
    try:
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"never"), queue.name)
            raise LookupError
    except LookupError:
        pass
    expect(await session.count(queue), 2, "visible after rollback")
    consuming = await channel.get_queue(queue.name)
    async with channel.transaction():
        await (await consuming.get()).ack()
    await channel.close()
    expect(await session.bodies(queue), [b"2"], "left after a committed acknowledgement")
    await session.closes_channel(406, _confirm_then_tx)


async def _confirm_then_tx(channel):
    await (await channel.get_underlay_channel()).tx_select()  # aio-pika's channels are in confirm mode


@feature
async def user_id(session):
    queue = await session.queue()
    await session.send(queue, b"mine", user_id=harness.USER)
    expect((await session.get(queue)).user_id, harness.USER, "user_id")
    forged = persistent(b"forged", user_id="somebody-else")
    await session.closes_channel(406, lambda channel: channel.default_exchange.publish(forged, queue.name), "user_id property")


@feature
async def properties(session):
    """All but the obsolete cluster-id, which aio-pika's messages do not have."""
    queue = await session.queue()
    headers = {
        "string": "héllo", "bytes": bytearray(b"\x00\xff"), "true": True, "false": False, "byte": -7, "short": 30_000, "int": 1 << 30,
        "long": -(1 << 40), "float": 2.5, "decimal": Decimal("3.14"), "timestamp": datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
        "none": None, "table": {"a": {"b": {"c": 1}}}, "list": [1, "two", None, [True], {"k": "v"}],
    }
    sent = Message(
        b"body", headers=headers, content_type="application/x-test", content_encoding="gzip", delivery_mode=DeliveryMode.PERSISTENT,
        priority=3, correlation_id="c-1", reply_to="r", expiration=600, message_id="m-1",
        timestamp=datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc), type="t", user_id=harness.USER, app_id="interop",
    )
    await session.channel.default_exchange.publish(sent, queue.name)
    received = await session.get(queue)
    for name in (
        "content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration", "message_id",
        "timestamp", "type", "user_id", "app_id", "body",
    ):
        expect(getattr(received, name), getattr(sent, name), name)
    for name, value in headers.items():
        expect(received.headers.get(name), value, f"header {name}")
    expect(set(received.headers), set(headers), "headers")


@feature
async def large(session):
    queue = await session.queue()
    frame_max = session.connection.transport.connection.connection_tune.frame_max
    for size in (0, 1, frame_max - 9, frame_max - 8, frame_max - 7, frame_max, frame_max + 1, MIB, BODY_BYTES_MAX):
        body = os.urandom(min(size, MIB)) * max(1, size // MIB)
        await session.send(queue, body)
        received = await session.get(queue)
        expect_true(received.body == body, f"a body of {size} bytes came back as it was")
    too_large = Message(bytes(BODY_BYTES_MAX + 1))
    await session.closes_channel(406, lambda channel: channel.default_exchange.publish(too_large, queue.name), "larger than")
