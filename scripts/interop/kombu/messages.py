"""Topology, publishing and consuming as kombu does them."""

import os
import time

import amqp.exceptions
import harness
import kombu
from harness import BODY_BYTES_MAX, MIB, Failed, expect, expect_true, feature


@feature
def topology(session):
    for type, bound, sent in (("direct", "key", "key"), ("fanout", "", "any"), ("topic", "a.#", "a.b.c"), ("headers", "", "")):
        exchange = session.exchange(type, type=type)
        arguments = {"x-match": "all", "a": 1} if type == "headers" else None
        queue = session.queue(f"by-{type}", exchange, bound, binding_arguments=arguments)
        session.send(sent, type, exchange=exchange, headers={"a": 1})
        expect(session.bodies(queue), [type], f"routed by the {type} exchange")
        queue.unbind_from(exchange, bound, arguments=arguments)
        session.send(sent, "unbound", exchange=exchange, headers={"a": 1})
        expect(session.bodies(queue), [], f"routed by the {type} exchange after unbind")
    front, back = session.exchange("front", type="topic"), session.exchange("back", type="fanout")
    back.bind_to(front, routing_key="a.*")
    queue = session.queue("behind", back)
    session.send("a.b", "through", exchange=front)
    expect(session.bodies(queue), ["through"], "routed by two exchanges")
    # One queue with several bindings, as task routes have them.
    exchange = session.exchange("routes")
    many = session.queue("many", exchange, bindings=[kombu.binding(exchange, key) for key in ("low", "high")])
    for key in ("low", "high", "other"):
        session.send(key, key, exchange=exchange)
    expect(session.bodies(many), ["low", "high"], "routed by several bindings")
    session.send(many, "1")
    session.closes_channel(406, lambda channel: channel.queue_delete(many.name, if_empty=True), "not empty")


@feature
def confirms(session):
    """kombu waits for the confirm of each message: that many take a while where each waits for a disk."""
    queue, channel = session.queue(), session.connection.channel()
    start, sent = time.monotonic(), 0
    while sent < harness.MESSAGES and time.monotonic() - start < 8:
        session.send(queue, sent, channel=channel, delivery_mode="persistent", serializer="json")
        sent += 1
    expect_true(sent >= min(harness.MESSAGES, 500), f"only {sent} messages were confirmed in 8 s")
    expect(session.count(queue), sent, "messages confirmed and ready")
    channel.basic_qos(0, 200, False)
    seen = []

    def on_message(message):
        seen.append(message.payload)
        if len(seen) % 100 == 0 or len(seen) == sent:
            message.ack(multiple=True)

    with kombu.Consumer(channel, [queue], on_message=on_message):
        session.drain(lambda: len(seen) == sent, f"{sent} messages")
    expect(seen, list(range(sent)), "once and in order")
    session.await_count(queue, 0)


@feature
def returns(session):
    returned = []
    connection = session.connect(confirm=False)
    channel = connection.channel()
    producer = kombu.Producer(channel, on_return=lambda *parts: returned.append(parts))
    producer.publish({"a": 1}, routing_key=session.name("missing"), mandatory=True)
    session.drain(lambda: returned, "return", connection=connection)
    exception, exchange, routing_key, message = returned[0]
    expect((exception.reply_code, exchange, routing_key), (312, "", session.name("missing")), "return")
    expect(message.body, '{"a": 1}', "body")


@feature
def get(session):
    queue = session.queue()
    expect(queue.get(), None, "get from an empty queue")
    session.send(queue, {"n": 1}, {"n": 2}, {"n": 3})
    first = queue.get()
    expect((first.payload, first.delivery_info["redelivered"]), ({"n": 1}, False), "first")
    queue.get().ack()
    first.requeue()
    again = queue.get(no_ack=True)
    expect((again.payload, again.delivery_info["redelivered"]), ({"n": 1}, True), "first again")
    expect(queue.purge(), 1, "purged")
    # The simple interface, with its own queue and serializer.
    with session.connection.SimpleQueue(session.name("simple")) as simple:
        session._queues.add(simple.queue.name)
        session._exchanges.add(simple.queue.name)
        simple.clear()
        simple.put({"simple": True}, compression="zlib")
        message = simple.get(timeout=5)
        expect(message.payload, {"simple": True}, "simple queue")
        message.ack()
        expect(simple.qsize(), 0, "left in the simple queue")


@feature
def prefetch(session):
    queue, channel, received = session.queue(), session.connection.channel(), []
    session.send(queue, *range(20))
    consumer = kombu.Consumer(channel, [queue], on_message=received.append)
    for is_global in (False, True):
        received.clear()
        consumer.qos(prefetch_count=5, apply_global=is_global)
        with consumer:
            session.drain(lambda: len(received) >= 5)
            session.drain_for(0.3)
            expect(len(received), 5, f"within a count of 5, global {is_global}")
            received[0].ack()
            session.drain(lambda: len(received) >= 6, "another after an acknowledgement")
            session.drain_for(0.2)
            expect(len(received), 6, f"after an acknowledgement, global {is_global}")
        channel.basic_recover(requeue=True)
        consumer.qos(prefetch_count=0, apply_global=is_global)


@feature
def requeue(session):
    queue = session.queue()
    session.send(queue, *range(4))
    messages = [queue.get() for _ in range(3)]
    messages[2].requeue()
    messages[1].reject(requeue=True)
    messages[0].requeue()
    found = [queue.get() for _ in range(4)]
    expect([message.payload for message in found], [0, 1, 2, 3], "order after requeue")
    expect([message.delivery_info["redelivered"] for message in found], [True, True, True, False], "redelivered")
    found[0].ack()
    found[1].reject()
    session.channel.basic_recover(requeue=True)
    expect(session.bodies(queue), [2, 3], "after recover")


@feature
def cancel_notify(session):
    queue, channel, cancelled = session.queue(), session.connection.channel(), []
    channel.basic_consume(queue.name, callback=lambda _message: None, on_cancel=cancelled.append, consumer_tag="tag")
    session.channel.queue_delete(queue.name)
    session.drain(lambda: cancelled, "cancel from the broker")
    expect((cancelled, channel.is_open), (["tag"], True), "cancelled consumer")
    # Without a handler for it, draining raises, so that a worker declares and consumes again.
    queue = session.queue("other")
    other = session.connection.channel()
    kombu.Consumer(other, [queue], on_message=lambda _message: None).consume()
    session.connect().channel().queue_delete(queue.name)
    try:
        session.drain(lambda: False, seconds=3)
    except amqp.exceptions.ConsumerCancelled:
        pass
    except Failed:
        raise Failed("ConsumerCancelled was not raised") from None


@feature
def tx(session):
    queue = session.queue()
    channel = session.connect(confirm=False).channel()
    channel.tx_select()
    channel.basic_publish(amqp.Message("1"), routing_key=queue.name)
    expect(session.count(queue), 0, "visible before commit")
    channel.tx_commit()
    expect(session.count(queue), 1, "visible after commit")
    channel.basic_publish(amqp.Message("never"), routing_key=queue.name)
    channel.tx_rollback()
    channel.tx_commit()
    expect(session.count(queue), 1, "visible after rollback")


@feature
def properties(session):
    queue = session.queue()
    headers = {"string": "héllo", "true": True, "int": 7, "long": 1 << 40, "none": None, "table": {"a": [1, "two", 2.5]}}
    sent = {
        "correlation_id": "c-1", "reply_to": "r", "message_id": "m-1", "type": "t", "app_id": "interop", "user_id": harness.USER,
        "cluster_id": "obsolete", "expiration": 600, "priority": 3, "content_encoding": "utf-8", "content_type": "text/plain",
    }
    session.send(queue, "body", headers=headers, delivery_mode=2, **sent)
    message = session.get(queue)
    received = {**message.properties, "content_type": message.content_type, "content_encoding": message.content_encoding}
    expect({name: received.get(name) for name in sent}, {**sent, "expiration": "600000"}, "properties")
    expect(message.headers, headers, "headers")


@feature
def large(session):
    queue = session.queue()
    for size in (0, 1, 131_063, 131_064, 131_065, MIB, BODY_BYTES_MAX):
        body = os.urandom(min(size, MIB)) * max(1, size // MIB)
        options = {"content_type": "application/data", "content_encoding": "binary", "serializer": None}
        session.send(queue, body, **options)
        received = session.get(queue).body
        # An empty body comes as an empty string.
        expect_true((received or b"") == body, f"a body of {size} bytes came back as it was")
    too_large = amqp.Message(bytes(BODY_BYTES_MAX + 1))
    session.closes_channel(406, lambda channel: channel.basic_publish(too_large, routing_key=queue.name), "larger than")
