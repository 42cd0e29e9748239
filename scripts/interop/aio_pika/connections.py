"""Handshake, errors, many channels, heartbeats, a restart of the broker."""

import asyncio

import aio_pika
import harness
from aio_pika import DeliveryMode, Message
from aiormq.exceptions import AMQPConnectionError, InvalidFrameError
from harness import Failed, expect, expect_true, feature
from session import await_true, connect, persistent

CAPABILITIES = (
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
    "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
)


@feature
async def handshake(session):
    try:
        await session.connect(password="wrong")
    except AMQPConnectionError as error:
        expect_true("403" in str(error) or "ACCESS_REFUSED" in str(error), f"403 in {error}")
    else:
        raise Failed("a wrong password was accepted")
    properties = session.connection.transport.connection.server_properties
    missing = [name for name in CAPABILITIES if properties["capabilities"].get(name) is not True]
    expect(missing, [], "capabilities missing from server-properties")
    await session.connection.update_secret("guest", reason="rotation")
    await (await session.connection.channel()).close()


@feature
async def errors(session):
    queue, exchange, missing = await session.queue(), await session.exchange(), session.name("missing")
    await session.send(queue, b"1")
    closes = session.closes_channel
    await closes(404, lambda channel: channel.declare_queue(missing, passive=True), f"no queue '{missing}' in vhost '/'")
    await closes(404, lambda channel: channel.get_exchange(missing), f"no exchange '{missing}' in vhost '/'")
    await closes(403, lambda channel: channel.declare_queue("amq.mine"), "reserved prefix")
    await closes(403, lambda channel: channel.declare_exchange("amq.mine"), "reserved prefix")
    await closes(406, lambda channel: channel.declare_queue(queue.name, durable=False), "inequivalent arg 'durable'")
    await closes(406, lambda channel: channel.declare_exchange(exchange.name, "fanout"), "inequivalent arg 'type'")
    await closes(406, _ack_unknown, "unknown delivery tag 99")
    other = await session.connect()
    locked = await session.queue("locked", channel=await other.channel(), exclusive=True)
    await closes(405, lambda channel: channel.declare_queue(locked.name, passive=True), "RESOURCE_LOCKED")
    await closes(404, lambda channel: _publish_to(channel, missing), "no exchange")
    try:
        await session.connect(virtualhost="interop.missing")
    except InvalidFrameError as error:
        # aiormq does not read the reason (530) that comes instead of open-ok.
        expect_true("Connection.Close" in str(error), f"connection.close for a missing vhost in {error}")
    else:
        raise Failed("a missing vhost was opened")


async def _ack_unknown(channel):
    await (await channel.get_underlay_channel()).basic_ack(99)


async def _publish_to(channel, exchange):
    target = await channel.get_exchange(exchange, ensure=False)
    await target.publish(Message(b""), "key")


@feature
async def channels_500(session):
    channels = [await session.connection.channel() for _ in range(500)]
    received = []

    async def one(number, channel):
        queue = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(Message(b"%d" % number), queue.name)
        await queue.consume(lambda message: received.append(int(message.body)), no_ack=True)

    await asyncio.gather(*(one(number, channel) for number, channel in enumerate(channels)))
    await await_true(lambda: len(received) >= 500, "a message on each of 500 channels")
    expect(sorted(received), list(range(500)), "bodies")


@feature
async def heartbeat(session):
    connection = await session.connect(heartbeat=1)
    await asyncio.sleep(harness.IDLE_S)
    await (await connection.channel()).close()


@feature
async def restart(session):
    """The robust connection declares, binds and consumes again by itself."""
    if not harness.RESTART:
        raise harness.Skip("INTEROP_RESTART is not set")
    connection = await session.connect(robust=True, reconnect_interval=0.2)
    channel = await connection.channel()
    exchange = await session.exchange(channel=channel, durable=True)
    idle, used = await session.queue("idle", channel=channel), await session.queue("used", channel=channel)
    await idle.bind(exchange, "idle")
    await used.bind(exchange, "used")
    for number in range(10):
        await exchange.publish(persistent(b"kept %d" % number), "idle")
        await exchange.publish(Message(b"lost %d" % number, delivery_mode=DeliveryMode.NOT_PERSISTENT), "idle")
    received, lost = [], asyncio.Event()
    await used.consume(lambda message: received.append(message.body), no_ack=True)
    connection.close_callbacks.add(lambda *_: lost.set())
    connection.reconnect_callbacks.add(lambda *_: reconnected.set())
    reconnected = asyncio.Event()
    await asyncio.to_thread(harness.restart_broker)
    await asyncio.wait_for(reconnected.wait(), 20)
    await await_true(lambda: not channel.is_closed, "the robust channel is open again")
    await await_true(lambda: _published(exchange), "publishes again", 10)
    await await_true(lambda: received == [b"after"], "the consumer was restored")
    session.connection = await connect()
    session.channel = await session.connection.channel()
    session._connections.append(session.connection)
    kept = await session.channel.declare_queue(idle.name, passive=True)
    expect(await session.bodies(kept), [b"kept %d" % n for n in range(10)], "messages after the restart")


async def _published(exchange):
    try:
        await exchange.publish(persistent(b"after"), "used", timeout=2)
    except (aio_pika.exceptions.AMQPError, RuntimeError, asyncio.TimeoutError):
        return False
    return True
