"""Handshake, many channels, heartbeats, a restart of the broker."""

import harness
import pika
from harness import await_true, expect, expect_true, feature, restart_broker
from pika.exceptions import AMQPConnectionError, ConnectionClosedByBroker, ProbableAuthenticationError
from session import connect, persistent

CAPABILITIES = (
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
    "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
)


@feature
def handshake(session):
    try:
        session.connect(password="wrong")
    except ProbableAuthenticationError as error:
        expect_true("403" in str(error), f"403 in {error}")
    except ConnectionClosedByBroker as error:
        expect(error.reply_code, 403, "reply code")
    else:
        raise harness.Failed("a wrong password was accepted")
    properties = session.connection._impl.server_properties
    capabilities = properties["capabilities"]
    missing = [name for name in CAPABILITIES if capabilities.get(name) is not True]
    expect(missing, [], "capabilities missing from server-properties")
    for name in ("product", "version", "platform"):
        expect_true(name in properties, f"server-properties has {name}")
    expect_true(session.connection.publisher_confirms_supported, "publisher confirms")


@feature
def channels_500(session):
    connection = session.connection
    channels = [connection.channel() for _ in range(500)]
    received = []
    for number, channel in enumerate(channels):
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, b"%d" % number)
        session.consume(queue, received, channel=channel, auto_ack=True)
    session.turn(lambda: len(received) >= 500, "a message on each of 500 channels")
    expect(sorted(int(body) for _, _, body in received), list(range(500)), "bodies")
    for channel in channels:
        channel.close()


@feature
def heartbeat(session):
    connection = session.connect(heartbeat=1)
    connection.process_data_events(harness.IDLE_S)
    connection.channel().close()


@feature
def restart(session):
    durable, exchange = session.queue("durable"), session.exchange(durable=True)
    session.channel.queue_bind(durable, exchange, "key")
    confirming = session.confirming()
    for number in range(10):
        confirming.basic_publish(exchange, "key", b"kept %d" % number, persistent(headers={"number": number}))
        confirming.basic_publish(exchange, "key", b"lost %d" % number, pika.BasicProperties(delivery_mode=1))
    restart_broker()
    try:
        session.connection.process_data_events(5)
        raise harness.Failed("the connection outlived the broker")
    except AMQPConnectionError:
        pass
    # pika leaves connecting again to its user.
    session.connection = await_true(_connected, "connects after the restart", 15)
    session._connections.append(session.connection)
    session.channel = session.connection.channel()
    session.channel.exchange_declare(exchange, passive=True)
    session.send("key", b"after", exchange=exchange)
    received = []
    for _ in range(11):
        _, properties, body = session.get(durable)
        received.append((body, (properties.headers or {}).get("number")))
    expect(received, [(b"kept %d" % n, n) for n in range(10)] + [(b"after", None)], "messages after the restart")
    expect(session.count(durable), 0, "further messages")


def _connected():
    try:
        return connect()
    except AMQPConnectionError:
        return None
