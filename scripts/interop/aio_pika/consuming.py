"""Getting, consuming, giving back."""

import asyncio

from aio_pika import Message
from aio_pika.patterns import RPC
from harness import expect, expect_true, feature
from session import await_true, persistent


def _bodies(messages):
    return [message.body for message in messages]


@feature
async def get(session):
    queue = await session.queue()
    expect(await queue.get(fail=False), None, "get from an empty queue")
    await session.send(queue, b"1", b"2", b"3")
    first = await queue.get()
    expect((first.body, first.message_count, first.redelivered), (b"1", 2, False), "first")
    async with (await queue.get()).process():
        pass
    await first.nack(requeue=True)
    first = await queue.get(no_ack=True)
    expect((first.body, first.redelivered), (b"1", True), "first again")
    expect((await queue.purge()).message_count, 1, "purged")


@feature
async def prefetch(session):
    queue = await session.queue()
    await session.send(queue, *(b"%d" % n for n in range(20)))
    for global_, consumers in ((False, 1), (True, 2)):
        channel, deliveries = await session.connection.channel(), []
        await channel.set_qos(prefetch_count=5, global_=global_)
        consuming = await channel.get_queue(queue.name)
        for _ in range(consumers):
            await consuming.consume(deliveries.append)
        await await_true(lambda: len(deliveries) >= 5, "deliveries")
        await asyncio.sleep(0.2)
        expect(len(deliveries), 5, f"within a count of 5, global {global_}")
        await deliveries[0].ack()
        await await_true(lambda: len(deliveries) >= 6, "another after an acknowledgement")
        await asyncio.sleep(0.1)
        expect(len(deliveries), 6, f"after an acknowledgement, global {global_}")
        await channel.close()
    await session.await_count(queue, 18)


@feature
async def requeue(session):
    queue = await session.queue()
    await session.send(queue, *(b"%d" % n for n in range(5)))
    messages = [await queue.get() for _ in range(4)]
    await messages[3].reject(requeue=True)
    await messages[2].nack(multiple=True, requeue=True)
    found = [await queue.get() for _ in range(5)]
    expect(_bodies(found), [b"%d" % n for n in range(5)], "order after requeue")
    expect([message.redelivered for message in found], [True] * 4 + [False], "redelivered")
    # An exception in the handler's block gives the message back.
    await found[0].ack()
    try:
        async with found[1].process(requeue=True):
            raise LookupError
    except LookupError:
        pass
    again = await session.get(queue)
    expect((again.body, again.redelivered), (b"1", True), "after a failed handler")
    underlay = await session.channel.get_underlay_channel()
    await underlay.basic_recover(requeue=True)
    expect(await session.bodies(queue), [b"2", b"3", b"4"], "after recover")


@feature
async def consumer_priority(session):
    queue = await session.queue()
    lists = {}
    for priority, count in ((1, 10), (10, 2)):
        channel, lists[priority] = await session.connection.channel(), []
        await channel.set_qos(prefetch_count=count)
        await (await channel.get_queue(queue.name)).consume(lists[priority].append, arguments={"x-priority": priority})
    await session.send(queue, b"1", b"2", b"3")
    await await_true(lambda: sum(map(len, lists.values())) >= 3, "deliveries")
    expect((_bodies(lists[10]), _bodies(lists[1])), ([b"1", b"2"], [b"3"]), "higher and lower consumer")


@feature
async def single_active(session):
    queue = await session.queue(arguments={"x-single-active-consumer": True})
    lists, tags = ([], []), []
    for messages in lists:
        tags.append(await queue.consume(messages.append, no_ack=True))
    await session.send(queue, b"1", b"2")
    await await_true(lambda: len(lists[0]) >= 2, "deliveries to the active consumer")
    await queue.cancel(tags[0])
    await session.send(queue, b"3")
    await await_true(lambda: lists[1], "the next consumer takes over")
    expect((_bodies(lists[0]), _bodies(lists[1])), ([b"1", b"2"], [b"3"]), "deliveries")


@feature
async def exclusive(session):
    other = await session.connect()
    locked = await session.queue("locked", exclusive=True)
    text = "cannot obtain exclusive access"
    await session.closes_channel(405, lambda c: c.declare_queue(locked.name, exclusive=True), text, other)
    await session.closes_channel(405, lambda c: c.queue_delete(locked.name), text, other)
    shared = await session.queue("shared")
    await shared.consume(lambda _message: None, exclusive=True)

    async def consume(channel):
        await (await channel.get_queue(shared.name)).consume(lambda _message: None)

    await session.closes_channel(403, consume, "exclusive", other)
    temporary = await session.queue("temporary", auto_delete=True)
    await temporary.cancel(await temporary.consume(lambda _message: None))
    await session.closes_channel(404, lambda c: c.declare_queue(temporary.name, passive=True))


@feature
async def cancel_notify(session):
    queue, channel = await session.queue(), await session.connection.channel()
    consuming = await channel.get_queue(queue.name)
    tag = await consuming.consume(lambda _message: None)
    underlay = await channel.get_underlay_channel()
    expect_true(tag in underlay.consumers, "the consumer is there")
    await session.channel.queue_delete(queue.name)
    await await_true(lambda: tag not in underlay.consumers, "cancel from the broker")
    expect_true(not channel.is_closed, "the channel stays open")


@feature
async def direct_reply_to(session):
    requests, replies = await session.queue("requests"), []
    underlay = await session.channel.get_underlay_channel()

    async def on_reply(message):
        replies.append((message.body, message.header.properties.correlation_id))

    await underlay.basic_consume("amq.rabbitmq.reply-to", on_reply, no_ack=True)
    channel = await session.connection.channel()

    async def serve(message):
        async with message.process():
            reply = Message(message.body.upper(), correlation_id=message.correlation_id)
            await channel.default_exchange.publish(reply, message.reply_to)

    await (await channel.get_queue(requests.name)).consume(serve)
    for number in range(3):
        request = persistent(b"call %d" % number, reply_to="amq.rabbitmq.reply-to", correlation_id=str(number))
        await session.channel.default_exchange.publish(request, requests.name)
    await await_true(lambda: len(replies) >= 3, "replies")
    expect(replies, [(b"CALL %d" % n, str(n)) for n in range(3)], "replies")
    await _rpc_pattern(session)


async def _rpc_pattern(session):
    """The library's own RPC: an exclusive reply queue, a dead-letter exchange for calls that time out."""
    rpc = await RPC.create(session.channel)

    async def double(value):
        return value * 2

    method = session.name("double")
    await rpc.register(method, double, auto_delete=True)
    expect(await asyncio.wait_for(rpc.call(method, kwargs={"value": 21}), 5), 42, "RPC pattern")
    await rpc.close()
