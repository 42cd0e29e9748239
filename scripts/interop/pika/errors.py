"""Reply codes: what closes a channel, and what closes the connection."""

import pika
from harness import Failed, by_peer, expect, feature
from pika.exceptions import ConnectionClosedByBroker
from session import connect


def _double_ack(queue):
    def action(channel):
        tag = channel.basic_get(queue)[0].delivery_tag
        channel.basic_ack(tag)
        channel.basic_ack(tag)

    return action


@feature
def errors(session):
    queue, exchange, missing = session.queue(), session.exchange(), session.name("missing")
    session.send(queue, b"1", b"2", b"3")
    inequivalent = "inequivalent arg '{}' for {} '{}' in vhost '/': received {} but current is {}"
    closes = session.closes_channel
    closes(404, lambda channel: channel.queue_declare(missing, passive=True), f"no queue '{missing}' in vhost '/'")
    closes(404, lambda channel: channel.exchange_declare(missing, passive=True), f"no exchange '{missing}' in vhost '/'")
    closes(404, lambda channel: channel.basic_publish(missing, "", b""), f"no exchange '{missing}' in vhost '/'")
    closes(404, lambda channel: channel.basic_consume(missing, lambda *_: None), "no queue")
    closes(404, lambda channel: channel.basic_get(missing), "no queue")
    closes(404, lambda channel: channel.queue_purge(missing), "no queue")
    closes(404, lambda channel: channel.queue_bind(queue, missing, "key"), "no exchange")
    closes(404, lambda channel: channel.queue_bind(missing, exchange, "key"), "no queue")
    closes(403, lambda channel: channel.queue_declare("amq.mine"), "queue name 'amq.mine' contains reserved prefix 'amq.*'")
    closes(403, lambda channel: channel.exchange_declare("amq.mine", "direct"), "exchange name 'amq.mine' contains reserved")
    closes(403, lambda channel: channel.exchange_delete("amq.direct"))
    closes(403, lambda channel: channel.queue_bind(queue, "", "key"), "operation not permitted on the default exchange")
    closes(
        406, lambda channel: channel.queue_declare(queue, durable=False),
        inequivalent.format("durable", "queue", queue, "'false'", "'true'"),
    )
    closes(
        406, lambda channel: channel.queue_declare(queue, durable=True, arguments={"x-message-ttl": 1000}),
        inequivalent.format("x-message-ttl", "queue", queue, "the value '1000' of type 'signedint'", "none"),
    )
    closes(
        406, lambda channel: channel.exchange_declare(exchange, "fanout"),
        inequivalent.format("type", "exchange", exchange, "'fanout'", "'direct'"),
    )
    closes(406, lambda channel: channel.basic_ack(99), "unknown delivery tag 99")
    closes(406, lambda channel: channel.basic_reject(99), "unknown delivery tag 99")
    closes(406, _double_ack(queue), "unknown delivery tag 1")
    other = session.connect()
    locked = session.queue("locked", channel=other.channel(), exclusive=True)
    closes(405, lambda channel: channel.queue_declare(locked, passive=True), "RESOURCE_LOCKED")
    _unknown_type(session, missing)
    session.closes_connection(530, _same_tag_twice(queue))
    _missing_vhost()


def _unknown_type(session, name):
    why = "an unknown exchange type closes the connection with 503 before RabbitMQ 4"
    code = by_peer(406, why, rabbitmq3=503)
    closes = session.closes_channel if code == 406 else session.closes_connection
    closes(code, lambda channel: channel.exchange_declare(name, "no-such-type"))


def _same_tag_twice(queue):
    def action(channel):
        channel.basic_consume(queue, lambda *_: None, consumer_tag="same")
        # pika refuses to reuse a tag itself, so the method goes out below its check.
        consume = pika.spec.Basic.Consume(queue=queue, consumer_tag="same")
        channel._impl._rpc(consume, None, [(pika.spec.Basic.ConsumeOk, {"consumer_tag": "same"})])

    return action


def _missing_vhost():
    try:
        connect(vhost="interop.missing")
    except ConnectionClosedByBroker as error:
        expect(error.reply_code, 530, "reply code for a missing vhost")
    except pika.exceptions.ProbableAccessDeniedError as error:
        expect("530" in str(error), True, f"530 in {error}")
    else:
        raise Failed("a missing vhost was opened")
