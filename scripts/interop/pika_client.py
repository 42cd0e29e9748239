"""What pika, the Python client, must be able to do with the broker. See ../interop.sh."""

import os
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker, ProbableAuthenticationError

HOST, PORT = os.environ["AMQP_HOST"], int(os.environ["AMQP_PORT"])
MESSAGES = int(os.environ["INTEROP_MESSAGES"])
IDLE_S = int(os.environ["INTEROP_IDLE_S"])


def ok(what):
    print(f"  ok {what}", flush=True)


def expect(actual, expected, what):
    if actual != expected:
        sys.exit(f"  FAILED {what}: expected {expected!r}, got {actual!r}")


def connect(user="guest", password="guest", heartbeat=20):
    credentials = pika.PlainCredentials(user, password)
    return pika.BlockingConnection(
        pika.ConnectionParameters(HOST, PORT, "/", credentials, heartbeat=heartbeat, blocked_connection_timeout=30)
    )


def wrong_password_is_refused():
    try:
        connect(password="wrong")
    except ProbableAuthenticationError as error:
        expect("403" in str(error), True, f"403 in {error}")
    except ConnectionClosedByBroker as error:
        expect(error.reply_code, 403, "reply code")
    else:
        sys.exit("  FAILED: the wrong password was accepted")
    ok("wrong password refused with 403")


def declare(channel):
    channel.exchange_declare("interop.pika", "topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "interop.pika", "stock.*.#")
    ok(f"declared a topic exchange and the queue {queue}, bound it")
    return queue


def publish_and_consume(channel, queue):
    channel.confirm_delivery()
    for number in range(MESSAGES):
        channel.basic_publish("interop.pika", f"stock.{number}", b"%d" % number, mandatory=True)
    ok(f"published {MESSAGES} with confirms")
    channel.basic_qos(prefetch_count=200)
    seen = 0
    for method, _properties, body in channel.consume(queue, inactivity_timeout=20):
        if method is None:
            sys.exit(f"  FAILED: only {seen} of {MESSAGES} were delivered")
        expect(body, b"%d" % seen, "body in order")
        seen += 1
        if seen % 100 == 0 or seen == MESSAGES:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if seen == MESSAGES:
            break
    channel.cancel()
    expect(channel.queue_declare(queue, passive=True).method.message_count, 0, "messages left")
    ok(f"consumed and acknowledged {MESSAGES}")


def mandatory_messages_return(channel):
    try:
        channel.basic_publish("interop.pika", "unbound", b"back", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        returned = error.messages[0]
        expect((returned.method.reply_code, returned.body), (312, b"back"), "returned message")
    else:
        sys.exit("  FAILED: an unroutable mandatory message was not returned")
    ok("unroutable mandatory message returned with 312, then confirmed")


def prefetch_and_requeue(channel, queue):
    for number in range(20):
        channel.basic_publish("", queue, b"%d" % number)
    channel.basic_qos(prefetch_count=5)
    deliveries = []
    tag = channel.basic_consume(queue, lambda _channel, method, _properties, body: deliveries.append((method, body)))
    channel.connection.process_data_events(1)
    expect([body for _, body in deliveries], [b"%d" % n for n in range(5)], "deliveries within the prefetch count")
    expect(channel.queue_declare(queue, passive=True).method.message_count, 15, "messages still ready")
    ok("prefetch of 5 held back the other 15")
    channel.basic_cancel(tag)
    channel.basic_nack(deliveries[4][0].delivery_tag, multiple=True, requeue=True)
    method, _, body = channel.basic_get(queue)
    expect((body, method.redelivered), (b"0", True), "first message after requeue")
    channel.basic_reject(method.delivery_tag, requeue=False)
    expect(channel.queue_purge(queue).method.message_count, 19, "messages purged")
    ok("nacked messages came back in order, marked redelivered; reject and purge removed them")


def large_message(channel, queue):
    body = os.urandom(1 << 20)
    headers = {"text": "héllo", "number": -(1 << 40), "flag": True, "list": [1, "two", {"three": 3}], "none": None}
    properties = pika.BasicProperties(
        content_type="application/x-test", delivery_mode=2, priority=3, correlation_id="c-1", reply_to="r",
        expiration="600000", message_id="m-1", timestamp=1_700_000_000, type="t", app_id="interop", headers=headers,
    )
    channel.basic_publish("", queue, body, properties)
    _method, received, received_body = channel.basic_get(queue, auto_ack=True)
    expect(received_body == body, True, "1 MiB body identical")
    expect(vars(received), vars(properties), "properties")
    ok("1 MiB body and all properties came back identical")


def missing_queue_closes_the_channel_only(connection):
    channel = connection.channel()
    try:
        channel.queue_declare("interop.missing", passive=True)
    except ChannelClosedByBroker as error:
        expect(error.reply_code, 404, "reply code")
    else:
        sys.exit("  FAILED: a missing queue was found")
    connection.channel().close()
    ok("passive declare of a missing queue: 404, and the connection lives on")


def heartbeats_keep_an_idle_connection():
    connection = connect(heartbeat=1)
    connection.process_data_events(IDLE_S)
    connection.channel().close()
    connection.close()
    ok(f"heartbeat of 1 s kept the connection over {IDLE_S} idle seconds")


def main():
    print(f"  pika {pika.__version__}")
    wrong_password_is_refused()
    connection = connect()
    ok("connected as guest")
    channel = connection.channel()
    queue = declare(channel)
    publish_and_consume(channel, queue)
    mandatory_messages_return(channel)
    prefetch_and_requeue(channel, queue)
    large_message(channel, queue)
    missing_queue_closes_the_channel_only(connection)
    channel.exchange_delete("interop.pika")
    connection.close()
    heartbeats_keep_an_idle_connection()
    ok("closed cleanly")


main()
