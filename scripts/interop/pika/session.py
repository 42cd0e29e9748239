"""One feature's connection and entities with pika's blocking adapter."""

import time

import harness
import pika
from harness import Failed, expect
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker


def connect(heartbeat=20, **changes):
    values = {"user": harness.USER, "password": harness.PASSWORD, "vhost": harness.VHOST, **changes}
    credentials = pika.PlainCredentials(values.pop("user"), values.pop("password"))
    vhost = values.pop("vhost")
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            harness.HOST, harness.PORT, vhost, credentials, heartbeat=heartbeat, blocked_connection_timeout=15, **values
        )
    )


def persistent(**properties):
    return pika.BasicProperties(delivery_mode=2, **properties)


class Session:
    """Queues and exchanges are named for the feature; `clean_up` deletes all that it declared."""

    def __init__(self, feature):
        self.prefix = f"interop.pika.{feature}"
        self.connection = connect()
        self.channel = self.connection.channel()
        self._connections = [self.connection]
        self._queues, self._exchanges = [], []

    def name(self, suffix):
        return f"{self.prefix}.{suffix}"

    def connect(self, **options):
        connection = connect(**options)
        self._connections.append(connection)
        return connection

    def queue(self, suffix="queue", channel=None, **options):
        """Declares a durable queue of this feature, anew, and returns its name."""
        channel, name = channel or self.channel, self.name(suffix)
        if name not in self._queues:
            self._queues.append(name)
            channel.queue_delete(name)
        options = {"durable": not options.get("exclusive", False), **options}
        channel.queue_declare(name, **options)
        return name

    def exchange(self, suffix="exchange", type="direct", **options):
        name = self.name(suffix)
        if name not in self._exchanges:
            self._exchanges.append(name)
            self.channel.exchange_delete(name)
        self.channel.exchange_declare(name, type, **options)
        return name

    def confirming(self, connection=None):
        """Another channel, in confirm mode."""
        channel = (connection or self.connection).channel()
        channel.confirm_delivery()
        return channel

    def send(self, queue, *bodies, properties=None, channel=None, exchange=""):
        """Publishes to a queue and waits until the broker has the messages."""
        channel = channel or self.confirming()
        for body in bodies:
            channel.basic_publish(exchange, queue, body, properties or persistent())

    def bodies(self, queue):
        """Gets all that is ready, without acknowledgement."""
        found = []
        while (got := self.channel.basic_get(queue, auto_ack=True))[0]:
            found.append(got[2])
        return found

    def get(self, queue, seconds=8.0, auto_ack=True, channel=None):
        """Waits for one message: (method, properties, body)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got = (channel or self.channel).basic_get(queue, auto_ack=auto_ack)
            if got[0]:
                return got
            self.connection.sleep(0.02)
        raise Failed(f"no message in {queue} within {seconds} s")

    def count(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def await_count(self, queue, expected, seconds=8.0):
        end = time.monotonic() + seconds
        while (count := self.count(queue)) != expected:
            if time.monotonic() > end:
                raise Failed(f"{expected} messages in {queue}: still {count} after {seconds} s")
            self.connection.sleep(0.02)

    def consume(self, queue, into, channel=None, **options):
        """Appends deliveries to a list, as (method, properties, body)."""
        return (channel or self.channel).basic_consume(
            queue, lambda _channel, method, properties, body: into.append((method, properties, body)), **options
        )

    def turn(self, until, what="deliveries", seconds=8.0, connection=None):
        """Processes events until the condition holds."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise Failed(f"{what}: not within {seconds} s")
            (connection or self.connection).process_data_events(0.05)

    def settle_down(self, seconds=0.3, connection=None):
        """Processes events for a moment in which nothing more should come."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            (connection or self.connection).process_data_events(left)

    def closes_channel(self, code, action, text="", connection=None):
        """Runs `action(channel)` on a new channel, which the broker must close with the code; the connection lives on."""
        connection = connection or self.connection
        channel = connection.channel()
        try:
            action(channel)
            channel.queue_declare(self.name("probe"), exclusive=True, auto_delete=True)
        except ChannelClosedByBroker as error:
            expect(error.reply_code, code, f"reply code ({error.reply_text})")
            if text not in error.reply_text:
                raise Failed(f"reply text: expected '{text}' in '{error.reply_text}'") from error
        else:
            raise Failed(f"the channel was not closed with {code} {text}")
        connection.channel().close()

    def closes_connection(self, code, action):
        connection = self.connect()
        try:
            channel = connection.channel()
            action(channel)
            channel.queue_declare(self.name("probe"), exclusive=True, auto_delete=True)
        except ConnectionClosedByBroker as error:
            expect(error.reply_code, code, f"reply code ({error.reply_text})")
        else:
            raise Failed(f"the connection was not closed with {code}")

    def clean_up(self):
        for connection in self._connections:
            try:
                if connection.is_open:
                    connection.close()
            except pika.exceptions.AMQPError:
                pass
        if not (self._queues or self._exchanges):
            return
        connection = connect()
        channel = connection.channel()
        for queue in self._queues:
            channel.queue_delete(queue)
        for exchange in self._exchanges:
            channel.exchange_delete(exchange)
        connection.close()
