"""One feature's connection and entities with aio-pika."""

import asyncio
import time

import aio_pika
import harness
from aio_pika import DeliveryMode, Message
from aiormq.exceptions import ChannelClosed
from harness import Failed, expect


def persistent(body, **properties):
    return Message(body, delivery_mode=DeliveryMode.PERSISTENT, **properties)


async def connect(robust=False, **changes):
    values = {"login": harness.USER, "password": harness.PASSWORD, "virtualhost": harness.VHOST, **changes}
    function = aio_pika.connect_robust if robust else aio_pika.connect
    return await function(host=harness.HOST, port=harness.PORT, timeout=10, **values)


async def await_true(condition, what, seconds=8.0):
    """Asks until the condition, plain or a coroutine function, holds; returns what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.02)
    raise Failed(f"{what}: not within {seconds} s")


class Session:
    """Queues and exchanges are named for the feature; `clean_up` deletes all that it declared."""

    def __init__(self, feature):
        self.prefix = f"interop.aio_pika.{feature}"
        self._connections, self._queues, self._exchanges = [], [], []

    async def open(self):
        self.connection = await self.connect()
        self.channel = await self.connection.channel()

    async def connect(self, **options):
        connection = await connect(**options)
        self._connections.append(connection)
        return connection

    def name(self, suffix):
        return f"{self.prefix}.{suffix}"

    async def queue(self, suffix="queue", channel=None, **options):
        """Declares a durable queue of this feature, anew."""
        channel, name = channel or self.channel, self.name(suffix)
        if name not in self._queues:
            self._queues.append(name)
            await channel.queue_delete(name)
        options = {"durable": not options.get("exclusive", False), **options}
        return await channel.declare_queue(name, **options)

    async def exchange(self, suffix="exchange", type="direct", channel=None, **options):
        channel, name = channel or self.channel, self.name(suffix)
        if name not in self._exchanges:
            self._exchanges.append(name)
            await channel.exchange_delete(name)
        return await channel.declare_exchange(name, type, **options)

    async def send(self, queue, *bodies, **properties):
        """Publishes to a queue with confirms."""
        for body in bodies:
            await self.channel.default_exchange.publish(persistent(body, **properties), queue.name)

    async def get(self, queue, seconds=8.0, no_ack=True):
        return await await_true(lambda: queue.get(no_ack=no_ack, fail=False), f"a message in {queue.name}", seconds)

    async def bodies(self, queue):
        found = []
        while message := await queue.get(no_ack=True, fail=False):
            found.append(message.body)
        return found

    async def count(self, queue):
        channel = await self.connection.channel()
        declared = await channel.declare_queue(queue.name, passive=True)
        await channel.close()
        return declared.declaration_result.message_count

    async def await_count(self, queue, expected, seconds=8.0):
        async def reached():
            return await self.count(queue) == expected

        await await_true(reached, f"{expected} messages in {queue.name}", seconds)

    async def closes_channel(self, code, action, text="", connection=None):
        """Awaits `action(channel)` on a new channel, which the broker must close with the code; the connection lives on."""
        connection = connection or self.connection
        channel = await connection.channel()
        try:
            await action(channel)
            await channel.declare_queue(self.name("probe"), exclusive=True, auto_delete=True)
        except ChannelClosed as error:
            _expect_reply(error, code, text)
        except aio_pika.exceptions.ChannelInvalidStateError:
            # The close came between two calls: its reason is the channel's.
            _expect_reply((await channel.get_underlay_channel()).closing.exception(), code, text)
        else:
            raise Failed(f"the channel was not closed with {code} {text}")
        await (await connection.channel()).close()

    async def clean_up(self):
        for connection in self._connections:
            await connection.close()
        if not (self._queues or self._exchanges):
            return
        connection = await connect()
        channel = await connection.channel()
        for queue in self._queues:
            await channel.queue_delete(queue)
        for exchange in self._exchanges:
            await channel.exchange_delete(exchange)
        await connection.close()


# aiormq has a class for each reply code, and the broker's text in it.
_CODES = {"ChannelAccessRefused": 403, "ChannelNotFoundEntity": 404, "ChannelLockedResource": 405, "ChannelPreconditionFailed": 406}


def _expect_reply(error, code, text):
    expect(_CODES.get(type(error).__name__), code, f"reply code of {error!r}")
    if text not in str(error):
        raise Failed(f"reply text: expected '{text}' in '{error}'")
