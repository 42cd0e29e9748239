"""Getting, consuming, giving back."""

import pika
from harness import expect, expect_true, feature
from session import persistent


def _bodies(deliveries):
    return [body for _, _, body in deliveries]


@feature
def get(session):
    queue, channel = session.queue(), session.channel
    expect(channel.basic_get(queue), (None, None, None), "get from an empty queue")
    session.send(queue, b"1", b"2", b"3")
    method, _, body = channel.basic_get(queue)
    expect((body, method.message_count, method.redelivered), (b"1", 2, False), "first")
    expect((method.exchange, method.routing_key), ("", queue), "first")
    second = channel.basic_get(queue)[0]
    channel.basic_ack(second.delivery_tag)
    channel.basic_nack(method.delivery_tag)
    method, _, body = channel.basic_get(queue, auto_ack=True)
    expect((body, method.message_count, method.redelivered), (b"1", 1, True), "first again")
    expect(channel.queue_purge(queue).method.message_count, 1, "purged")
    expect(channel.basic_get(queue)[0], None, "get after purge")


@feature
def prefetch(session):
    queue = session.queue()
    session.send(queue, *(b"%d" % n for n in range(20)))
    channel, deliveries = session.connection.channel(), []
    channel.basic_qos(prefetch_count=5)
    tag = session.consume(queue, deliveries, channel=channel)
    session.turn(lambda: len(deliveries) >= 5)
    session.settle_down()
    expect(_bodies(deliveries), [b"%d" % n for n in range(5)], "within a count of 5")
    expect(session.count(queue), 15, "still ready")
    channel.basic_ack(deliveries[1][0].delivery_tag, multiple=True)
    session.turn(lambda: len(deliveries) >= 7)
    session.settle_down()
    expect(len(deliveries), 7, "after two acknowledgements")
    channel.basic_cancel(tag)
    channel.close()
    session.await_count(queue, 18)
    # Global: one count for all consumers of the channel.
    channel, first, second = session.connection.channel(), [], []
    channel.basic_qos(prefetch_count=3, global_qos=True)
    session.consume(queue, first, channel=channel)
    session.consume(queue, second, channel=channel)
    session.turn(lambda: len(first) + len(second) >= 3)
    session.settle_down()
    expect(len(first) + len(second), 3, "within a global count of 3")
    channel.basic_ack(0, multiple=True)
    session.turn(lambda: len(first) + len(second) >= 6)
    session.settle_down()
    expect(len(first) + len(second), 6, "after an acknowledgement of all")
    channel.close()
    # A count of the consumer and one of the channel apply together.
    channel, first = session.connection.channel(), []
    channel.basic_qos(prefetch_count=4)
    channel.basic_qos(prefetch_count=2, global_qos=True)
    session.consume(queue, first, channel=channel)
    session.turn(lambda: len(first) >= 2)
    session.settle_down()
    expect(len(first), 2, "within 4 a consumer and 2 a channel")


@feature
def requeue(session):
    queue, channel = session.queue(), session.channel
    session.send(queue, *(b"%d" % n for n in range(6)))
    methods = [channel.basic_get(queue)[0] for _ in range(5)]
    channel.basic_reject(methods[4].delivery_tag, requeue=True)
    channel.basic_nack(methods[2].delivery_tag, multiple=True, requeue=True)
    channel.basic_ack(methods[3].delivery_tag)
    found = [session.get(queue) for _ in range(5)]
    expect(_bodies(found), [b"0", b"1", b"2", b"4", b"5"], "order after requeue")
    expect([method.redelivered for method, _, _ in found], [True] * 4 + [False], "redelivered")
    session.send(queue, b"a", b"b")
    deliveries = []
    session.consume(queue, deliveries)
    session.turn(lambda: len(deliveries) >= 2)
    channel.basic_recover(requeue=True)
    session.turn(lambda: len(deliveries) >= 4, "deliveries after recover")
    expect(_bodies(deliveries), [b"a", b"b", b"a", b"b"], "after recover")
    expect([method.redelivered for method, _, _ in deliveries], [False, False, True, True], "redelivered")
    channel.basic_nack(0, multiple=True, requeue=False)
    session.await_count(queue, 0)
    # A closed connection gives its messages back.
    session.send(queue, b"lost and found")
    other = session.connect()
    other.channel().basic_get(queue)
    channel.cancel()
    for tag in list(channel.consumer_tags):
        channel.basic_cancel(tag)
    other.close()
    method, _, body = session.get(queue)
    expect((body, method.redelivered), (b"lost and found", True), "after the consumer's connection closed")


@feature
def consumer_priority(session):
    queue = session.queue()
    low_channel, high_channel, low, high = session.connection.channel(), session.connection.channel(), [], []
    low_channel.basic_qos(prefetch_count=10)
    high_channel.basic_qos(prefetch_count=2)
    session.consume(queue, low, channel=low_channel, arguments={"x-priority": -1})
    session.consume(queue, high, channel=high_channel, arguments={"x-priority": 10})
    session.send(queue, b"1", b"2", b"3", b"4")
    session.turn(lambda: len(low) + len(high) >= 4)
    expect((_bodies(high), _bodies(low)), ([b"1", b"2"], [b"3", b"4"]), "higher and lower consumer")
    high_channel.basic_ack(0, multiple=True)
    session.connection.process_data_events(0.05)
    session.send(queue, b"5")
    session.turn(lambda: len(low) + len(high) >= 5)
    expect(_bodies(high), [b"1", b"2", b"5"], "higher consumer with credit again")
    bad = {"x-priority": "high"}
    session.closes_channel(406, lambda channel: channel.basic_consume(queue, lambda *_: None, arguments=bad))


@feature
def single_active(session):
    queue = session.queue(arguments={"x-single-active-consumer": True})
    first, second, third = [], [], []
    channels = [session.connection.channel() for _ in range(3)]
    tag = session.consume(queue, first, channel=channels[0])
    session.consume(queue, second, channel=channels[1])
    session.consume(queue, third, channel=channels[2])
    session.send(queue, *(b"%d" % n for n in range(4)))
    session.turn(lambda: len(first) >= 4)
    session.settle_down()
    expect((len(second), len(third)), (0, 0), "waiting consumers' deliveries")
    channels[0].basic_ack(0, multiple=True)
    channels[0].basic_cancel(tag)
    session.send(queue, b"4")
    session.turn(lambda: second, "the next consumer takes over")
    channels[1].close()
    session.turn(lambda: third, "the third takes over from a closed channel")
    expect((_bodies(second), _bodies(third)), ([b"4"], [b"4"]), "second and third")
    session.closes_channel(403, lambda channel: channel.basic_consume(queue, lambda *_: None, exclusive=True))


@feature
def exclusive(session):
    other = session.connect()
    queue = session.queue("locked", exclusive=True)
    text = "cannot obtain exclusive access to locked queue"
    for action in (
        lambda channel: channel.queue_declare(queue, passive=True),
        lambda channel: channel.queue_declare(queue, exclusive=True),
        lambda channel: channel.basic_get(queue),
        lambda channel: channel.basic_consume(queue, lambda *_: None),
        lambda channel: channel.queue_purge(queue),
        lambda channel: channel.queue_delete(queue),
        lambda channel: channel.queue_bind(queue, "amq.direct", "x"),
    ):
        session.closes_channel(405, action, text, connection=other)
    owner = session.connect()
    gone = session.queue("gone", channel=owner.channel(), exclusive=True)
    owner.close()
    session.closes_channel(404, lambda channel: channel.queue_declare(gone, passive=True))
    # An exclusive consumer of a shared queue.
    shared = session.queue("shared")
    session.channel.basic_consume(shared, lambda *_: None, exclusive=True)
    session.closes_channel(403, lambda channel: channel.basic_consume(shared, lambda *_: None), "exclusive", connection=other)
    # Auto-delete goes with its last consumer, not before its first.
    temporary, channel = session.queue("temporary", auto_delete=True), session.connection.channel()
    tags = [channel.basic_consume(temporary, lambda *_: None) for _ in range(2)]
    channel.basic_cancel(tags[0])
    session.channel.queue_declare(temporary, passive=True)
    channel.basic_cancel(tags[1])
    session.closes_channel(404, lambda channel: channel.queue_declare(temporary, passive=True))


@feature
def cancel_notify(session):
    queue, channel, cancelled = session.queue(), session.connection.channel(), []
    channel.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    tag = channel.basic_consume(queue, lambda *_: None)
    session.channel.queue_delete(queue)
    session.turn(lambda: cancelled, "cancel from the broker")
    expect(cancelled, [tag], "cancelled consumers")
    expect_true(channel.is_open, "the channel stays open")


@feature
def direct_reply_to(session):
    requests, client, server = session.queue("requests"), session.connection.channel(), session.connection.channel()

    def serve(channel, method, properties, body):
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish("", properties.reply_to, body.upper(), reply)
        channel.basic_ack(method.delivery_tag)
        addresses.append(properties.reply_to)

    addresses, replies = [], []
    server.basic_consume(requests, serve)
    session.consume("amq.rabbitmq.reply-to", replies, channel=client, auto_ack=True)
    for number in range(3):
        request = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=str(number))
        client.basic_publish("", requests, b"call %d" % number, request)
    session.turn(lambda: len(replies) >= 3, "replies")
    expect(_bodies(replies), [b"CALL 0", b"CALL 1", b"CALL 2"], "replies")
    expect([properties.correlation_id for _, properties, _ in replies], ["0", "1", "2"], "correlation ids")
    expect(len(set(addresses)), 1, "reply addresses of one channel")
    expect_true(addresses[0].startswith("amq.rabbitmq.reply-to."), f"reply address {addresses[0]}")
    # A server may ask whether the client still waits.
    server.queue_declare(addresses[0], passive=True)
    client.close()
    session.closes_channel(404, lambda channel: channel.queue_declare(addresses[0], passive=True))
    reply_to = "amq.rabbitmq.reply-to"
    session.closes_channel(406, lambda channel: channel.basic_consume(reply_to, lambda *_: None))
    unasked = persistent(reply_to=reply_to)
    session.closes_channel(406, lambda channel: channel.basic_publish("", requests, b"", unasked), "reply consumer")
