"""One feature's connection and entities with kombu."""

import socket
import time

import amqp.exceptions
import harness
import kombu
from harness import Failed, expect


def url(password=harness.PASSWORD):
    vhost = harness.VHOST.replace("/", "%2F")
    return f"pyamqp://{harness.USER}:{password}@{harness.HOST}:{harness.PORT}/{vhost}"


def connect(password=harness.PASSWORD, confirm=True, **options):
    connection = kombu.Connection(url(password), transport_options={"confirm_publish": confirm}, connect_timeout=10, **options)
    connection.connect()
    return connection


class Session:
    """Queues and exchanges are named for the feature; `clean_up` deletes all that it declared."""

    def __init__(self, feature):
        self.prefix = f"interop.kombu.{feature}"
        self._connections, self._queues, self._exchanges = [], set(), set()
        self.connection = self.connect()
        self.channel = self.connection.channel()
        self.at_end = []

    def name(self, suffix):
        return f"{self.prefix}.{suffix}"

    def connect(self, **options):
        connection = connect(**options)
        self._connections.append(connection)
        return connection

    def exchange(self, suffix="exchange", type="direct", **options):
        exchange = kombu.Exchange(self.name(suffix), type=type, **options)(self.channel)
        if exchange.name not in self._exchanges:
            self._exchanges.add(exchange.name)
            self.channel.exchange_delete(exchange.name)
        exchange.declare()
        return exchange

    def queue(self, suffix="queue", exchange=None, routing_key="", channel=None, **options):
        """Declares a queue of this feature, anew, with its binding."""
        channel = channel or self.channel
        queue = kombu.Queue(self.name(suffix), exchange or kombu.Exchange(""), routing_key, **options)(channel)
        if queue.name not in self._queues:
            self._queues.add(queue.name)
            channel.queue_delete(queue.name)
        queue.declare()
        return queue

    def send(self, queue, *bodies, channel=None, **options):
        """Publishes to a queue; returns once the broker has confirmed each."""
        producer = kombu.Producer(channel or self.channel)
        for body in bodies:
            producer.publish(body, routing_key=getattr(queue, "name", queue), **options)

    def get(self, queue, seconds=8.0, no_ack=True):
        return harness.await_true(lambda: queue.get(no_ack=no_ack), f"a message in {queue.name}", seconds)

    def bodies(self, queue):
        found = []
        while message := queue.get(no_ack=True):
            found.append(message.payload)
        return found

    def count(self, queue):
        return self.channel.queue_declare(queue.name, passive=True).message_count

    def await_count(self, queue, expected, seconds=8.0):
        harness.await_true(lambda: self.count(queue) == expected, f"{expected} messages in {queue.name}", seconds)

    def drain(self, until, what="deliveries", seconds=8.0, connection=None):
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {seconds} s")
            self.drain_for(0.05, connection)

    def drain_for(self, seconds, connection=None):
        """Processes one event, or none within the time."""
        try:
            (connection or self.connection).drain_events(timeout=seconds)
        except (socket.timeout, TimeoutError):
            pass

    def closes_channel(self, code, action, text=""):
        channel = self.connection.channel()
        try:
            action(channel)
            channel.queue_declare(self.name("probe"), exclusive=True, auto_delete=True)
        except (amqp.exceptions.ChannelError, amqp.exceptions.AMQPError) as error:
            expect(error.reply_code, code, f"reply code of {error}")
            if text not in str(error):
                raise Failed(f"reply text: expected '{text}' in '{error}'") from error
        else:
            raise Failed(f"the channel was not closed with {code} {text}")
        self.connection.channel().close()

    def clean_up(self):
        for action in self.at_end:
            action()
        for connection in self._connections:
            connection.release()
        connection = connect()
        channel = connection.channel()
        for queue in self._queues:
            channel.queue_delete(queue)
        for exchange in self._exchanges:
            channel.exchange_delete(exchange)
        connection.release()
