"""Confirms, returns, transactions, properties, bodies."""

import hashlib
import os
import time
from datetime import datetime, timezone
from decimal import Decimal

import harness
import pika
from harness import MIB, Failed, expect, expect_true, feature
from pika.exceptions import UnroutableError
from session import persistent


@feature
def confirms(session):
    queue = session.queue()
    start = time.monotonic()
    _publish_all(session, queue)
    blocking = session.confirming()
    blocking.basic_publish("", queue, b"last", persistent())  # returns once it is confirmed
    expect(session.count(queue), harness.MESSAGES + 1, "messages confirmed and ready")
    channel = session.connection.channel()
    channel.basic_qos(prefetch_count=200)
    seen = 0
    for method, _properties, body in channel.consume(queue, inactivity_timeout=10):
        if method is None:
            raise Failed(f"only {seen} of {harness.MESSAGES} were delivered")
        expect(body, b"%d" % seen if seen < harness.MESSAGES else b"last", "body in order")
        expect(method.redelivered, False, "redelivered")
        seen += 1
        if seen % 100 == 0 or body == b"last":
            channel.basic_ack(method.delivery_tag, multiple=True)
        if body == b"last":
            break
    channel.cancel()
    channel.close()
    expect(session.count(queue), 0, f"messages left ({time.monotonic() - start:.1f} s)")


def _publish_all(session, queue):
    """The blocking adapter waits for each confirm; who wants many in flight uses the asynchronous one."""
    outstanding = set(range(1, harness.MESSAGES + 1))
    nacked = []

    def settled(frame):
        tag = frame.method.delivery_tag
        if isinstance(frame.method, pika.spec.Basic.Nack):
            nacked.append(tag)
        settled_tags = [t for t in outstanding if t <= tag] if frame.method.multiple else [tag]
        outstanding.difference_update(settled_tags)
        if not outstanding:
            connection.close()

    def on_channel(channel):
        channel.confirm_delivery(settled, callback=lambda _ok: publish(channel))

    def publish(channel):
        for number in range(harness.MESSAGES):
            channel.basic_publish("", queue, b"%d" % number, persistent())

    parameters = session.connection._impl.params
    connection = pika.SelectConnection(
        parameters,
        on_open_callback=lambda connection: connection.channel(on_open_callback=on_channel),
        on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
        on_open_error_callback=lambda connection, _reason: connection.ioloop.stop(),
    )
    connection.ioloop.start()
    expect((len(outstanding), nacked), (0, []), "unconfirmed and refused messages")


@feature
def returns(session):
    exchange = session.exchange()
    channel = session.confirming()
    properties = persistent(message_id="m-1", headers={"a": [1, "two"]}, content_type="text/plain")
    body = os.urandom(200_000)
    try:
        channel.basic_publish(exchange, "nowhere", body, properties, mandatory=True)
    except UnroutableError as error:
        (returned,) = error.messages
        expect((returned.method.reply_code, returned.method.reply_text), (312, "NO_ROUTE"), "reply")
        expect((returned.method.exchange, returned.method.routing_key), (exchange, "nowhere"), "where it was published")
        expect(vars(returned.properties), vars(properties), "properties")
        expect_true(returned.body == body, "the body came back as it was")
    else:
        raise Failed("an unroutable mandatory message was not returned before its confirm")
    channel.basic_publish(exchange, "nowhere", b"dropped silently", properties)
    # Without confirms the return comes on its own.
    returned = []
    plain = session.connection.channel()
    plain.add_on_return_callback(lambda *parts: returned.append(parts))
    plain.basic_publish("", session.name("missing"), b"to the default exchange", mandatory=True)
    session.turn(lambda: returned, "return")
    expect((returned[0][1].reply_code, returned[0][3]), (312, b"to the default exchange"), "return")


@feature
def tx(session):
    queue, channel = session.queue(), session.connection.channel()
    channel.tx_select()
    channel.basic_publish("", queue, b"1")
    channel.basic_publish("", queue, b"2")
    expect(session.count(queue), 0, "visible before commit")
    channel.tx_commit()
    expect(session.count(queue), 2, "visible after commit")
    channel.basic_publish("", queue, b"never")
    channel.tx_rollback()
    channel.tx_commit()
    expect(session.count(queue), 2, "visible after rollback")
    first = channel.basic_get(queue)[0]
    channel.basic_ack(first.delivery_tag)
    channel.tx_rollback()
    channel.basic_ack(first.delivery_tag)  # the rollback took the first acknowledgement back
    channel.tx_commit()
    second = channel.basic_get(queue)[0]
    channel.basic_ack(second.delivery_tag)
    channel.tx_rollback()
    channel.close()  # the message is unacknowledged again, and returns
    method, _, body = session.get(queue)
    expect((body, method.redelivered), (b"2", True), "after close")
    session.closes_channel(406, lambda channel: (channel.tx_select(), channel.confirm_delivery()))
    session.closes_channel(406, lambda channel: (channel.confirm_delivery(), channel.tx_select()))
    session.closes_channel(406, lambda channel: channel.tx_commit())


@feature
def user_id(session):
    queue = session.queue()
    session.send(queue, b"mine", properties=persistent(user_id=harness.USER))
    _, properties, _ = session.get(queue)
    expect(properties.user_id, harness.USER, "user_id")
    forged = persistent(user_id="somebody-else")
    session.closes_channel(406, lambda channel: channel.basic_publish("", queue, b"forged", forged), "user_id property set to")
    expect(session.count(queue), 0, "forged messages")


@feature
def properties(session):
    queue = session.queue()
    headers = {
        "string": "héllo", "empty": "", "bytes": b"\x00\xff", "true": True, "false": False, "int": 7, "negative": -(1 << 31),
        "long": 1 << 40, "decimal": Decimal("3.14"), "timestamp": datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
        "none": None, "table": {"a": {"b": {"c": 1}}}, "list": [1, "two", None, [True], {"k": "v"}],
    }
    sent = pika.BasicProperties(
        content_type="application/x-test", content_encoding="gzip", headers=headers, delivery_mode=2, priority=3,
        correlation_id="c-1", reply_to="r", expiration="600000", message_id="m-1", timestamp=1_700_000_000, type="t",
        user_id=harness.USER, app_id="interop", cluster_id="obsolete",
    )
    session.send(queue, b"body", properties=sent)
    method, received, body = session.get(queue)
    for name in vars(sent):
        actual = getattr(received, name)
        if name == "headers":
            # Read as str where it is UTF-8; a timestamp without its zone.
            actual = {**actual, "timestamp": actual["timestamp"].replace(tzinfo=timezone.utc)}
            for key, value in headers.items():
                expect(actual.get(key), value, f"header {key}")
            expect(set(actual), set(headers), "headers")
            continue
        expect(actual, getattr(sent, name), name)
    session.send(queue, b"bare", properties=pika.BasicProperties())
    expect(vars(session.get(queue)[1]), vars(pika.BasicProperties()), "no properties")


@feature
def large(session):
    queue = session.queue()
    frame_max = session.connection._impl.params.frame_max
    payload = frame_max - 8
    random = os.urandom(1 << 16)
    channel = session.confirming()
    for size in (0, 1, payload - 1, payload, payload + 1, 2 * payload, frame_max, frame_max + 1, MIB, harness.BODY_BYTES_MAX):
        body = (random * (size // len(random) + 1))[:size]
        channel.basic_publish("", queue, body, persistent())
        received = session.get(queue)[2]
        expect(len(received), size, "size")
        expect(hashlib.sha256(received).digest(), hashlib.sha256(body).digest(), f"digest of {size} bytes")
    too_large = bytes(harness.BODY_BYTES_MAX + 1)
    session.closes_channel(406, lambda channel: channel.basic_publish("", queue, too_large), "larger than")
