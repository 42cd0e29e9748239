"""What users of aio-pika rely on: see ../README.md for the features."""

import logging

import harness
from session import Session

import connections, consuming, publishing, queues, routing  # noqa: E401,F401  registers the features

logging.disable(logging.CRITICAL)  # channels that the broker closes are expected here
harness.run(Session)
