"""Moves messages with `broker shovel` while either side is killed. Called by ../shovel-peers.sh with a scratch directory and a number
of messages; SERVER is ../interop/server.sh, BROKER_BIN the broker."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pika

DEADLINE_S = 180
QUEUE = "moved"
# Shares of the messages after whose arrival a side is killed: the destination, the source, and both again.
KILLS = [(1 / 6, "destination"), (2 / 6, "source"), (3 / 6, "destination"), (4 / 6, "source")]


def server(*arguments):
    return subprocess.run([os.environ["SERVER"], *arguments], check=True, capture_output=True, text=True).stdout.strip()


class Side:
    """A broker with its queue."""

    def __init__(self, kind, directory):
        self.kind, self.directory = kind, str(directory / kind)
        self.host, port = server("start", kind, self.directory).rsplit(":", 1)
        self.port = int(port)

    @property
    def uri(self):
        return f"amqp://guest:guest@{self.host}:{self.port}"

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters(self.host, self.port))

    def declare(self):
        connection = self.connect()
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        arguments = {"x-queue-type": "quorum"} if self.kind == "rabbitmq" else {}
        channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        connection.close()

    def publish(self, count):
        """Persistent messages, safe when this returns."""
        connection = self.connect()
        channel = connection.channel()
        channel.tx_select()
        for number in range(count):
            channel.basic_publish("", QUEUE, body(number), properties(number))
            if (number + 1) % 1000 == 0:
                channel.tx_commit()
        channel.tx_commit()
        connection.close()

    def ready(self):
        """How many messages wait, or None while nobody answers."""
        try:
            connection = self.connect()
            count = connection.channel().queue_declare(QUEUE, passive=True).method.message_count
            connection.close()
            return count
        except (pika.exceptions.AMQPError, OSError):
            return None

    def kill(self):
        server("kill", self.directory)
        server("restart", self.directory)

    def take_all(self):
        """Every message of the queue: [(message id, as it was published)]."""
        connection = self.connect()
        channel = connection.channel()
        taken = []
        for method, got, content in channel.consume(QUEUE, auto_ack=True, inactivity_timeout=2):
            if method is None:
                break
            number = got.headers["number"]
            # Quorum queues note in the message itself how often they have delivered it.
            got.headers.pop("x-delivery-count", None)
            taken.append((got.message_id, content == body(number) and got == properties(number)))
        connection.close()
        return taken


def body(number):
    return b"%d " % number * 20


def properties(number):
    return pika.BasicProperties(
        message_id=f"m-{number}",
        correlation_id=f"c-{number}",
        content_type="text/plain",
        delivery_mode=2,
        headers={"number": number, "kind": "moved", "nested": {"ready": True}},
        type="count",
    )


def wait_for(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: no {what} within {DEADLINE_S} s")
        time.sleep(0.02)


@contextmanager
def shovel(source, destination, *flags):
    """A shovel that ends with the block, however that does."""
    sides = ["--from", source.uri, "--from-queue", QUEUE, "--to", destination.uri, "--to-queue", QUEUE]
    process = subprocess.Popen([os.environ["BROKER_BIN"], "shovel", *sides, *flags], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def move(source, destination, count):
    """Whether all arrived, and unchanged."""
    for side in (source, destination):
        side.declare()
    source.publish(count)
    wait_for("message in the source", lambda: source.ready() == count)
    print(f"== {source.kind} -> {destination.kind}: {count} messages", flush=True)
    with shovel(source, destination, "--prefetch=100", "--reconnect-delay=200ms", "--quiet") as moving:
        for share, victim in KILLS:
            wait_for("progress", lambda share=share: (destination.ready() or 0) >= share * count)
            side = source if victim == "source" else destination
            side.kill()
            print(f"killed and started again: {victim} ({side.kind})", flush=True)
        wait_for("empty source", lambda: source.ready() == 0)
        moving.terminate()
        if moving.wait() != 0:
            sys.exit(f"FAILED: the shovel ended with {moving.returncode}: {moving.stderr.read()}")
    # What it held at the end may be back in the source.
    with shovel(source, destination, "--delete-after=queue-length") as last:
        told = last.communicate()[1]
    if last.returncode != 0 or source.ready() != 0:
        sys.exit(f"FAILED: the last shovel ended with {last.returncode}, {source.ready()} left: {told}")
    taken = destination.take_all()
    arrivals = Counter(name for name, _ in taken)
    lost = [number for number in range(count) if f"m-{number}" not in arrivals]
    changed = sum(not is_same for _, is_same in taken)
    twice = sum(times - 1 for times in arrivals.values())
    print(f"lost {len(lost)}, changed {changed}, came again {twice}, of {count}", flush=True)
    return not lost and not changed


def main(directory, count):
    this, rabbitmq = (Side(kind, Path(directory)) for kind in ("this", "rabbitmq"))
    passed = [move(*sides, count) for sides in ((rabbitmq, this), (this, rabbitmq))]
    sys.exit(not all(passed))


main(sys.argv[1], int(sys.argv[2]))
