"""Handshake, errors, heartbeats, a restart of the broker."""

import time

import amqp.exceptions
import harness
import kombu
from harness import Failed, expect, expect_true, feature, restart_broker
from session import connect


@feature
def handshake(session):
    try:
        session.connect(password="wrong")
    except amqp.exceptions.AccessRefused as error:
        expect(error.reply_code, 403, "reply code")
    else:
        raise Failed("a wrong password was accepted")
    properties = session.connection.connection.server_properties
    for name in ("publisher_confirms", "basic.nack", "consumer_cancel_notify", "connection.blocked", "consumer_priorities"):
        expect_true(properties["capabilities"].get(name), f"capability {name}")


@feature
def errors(session):
    queue, missing = session.queue(), session.name("missing")
    session.closes_channel(404, lambda channel: channel.queue_declare(missing, passive=True), "no queue")
    session.closes_channel(404, lambda channel: channel.basic_publish(amqp.Message(""), missing, ""), "no exchange")
    session.closes_channel(406, lambda channel: channel.queue_declare(queue.name, durable=False), "inequivalent arg 'durable'")
    session.closes_channel(406, lambda channel: channel.basic_ack(99), "unknown delivery tag 99")
    session.closes_channel(403, lambda channel: channel.queue_declare("amq.mine"), "reserved prefix")
    try:
        session.connection.clone(virtual_host="interop.missing").connect()
    except amqp.exceptions.NotAllowed as error:
        expect(error.reply_code, 530, "reply code for a missing vhost")
    else:
        raise Failed("a missing vhost was opened")


@feature
def heartbeat(session):
    connection = session.connect(heartbeat=1)
    end = time.monotonic() + harness.IDLE_S
    while time.monotonic() < end:
        connection.heartbeat_check(rate=2)  # raises when the broker missed two
        session.drain_for(0.25, connection)
    connection.channel().close()


@feature
def restart(session):
    """`ensure` publishes and `autoretry`-style consuming connects again."""
    exchange = session.exchange("exchange", durable=True)
    queue = session.queue("durable", exchange, "key")
    producer = kombu.Producer(session.channel, exchange, "key")
    for number in range(10):
        producer.publish({"kept": number}, delivery_mode="persistent")
        producer.publish({"lost": number}, delivery_mode="transient")
    restart_broker()
    publish = session.connection.ensure(producer, producer.publish, max_retries=50, interval_start=0.1, interval_step=0)
    publish({"after": 1}, exchange=exchange, routing_key="key")
    session.connection = connect()
    session._connections.append(session.connection)
    session.channel = session.connection.channel()
    queue = queue(session.channel)
    expect(session.bodies(queue), [{"kept": n} for n in range(10)] + [{"after": 1}], "messages after the restart")
