"""What users of pika rely on: see ../README.md for the features."""

import harness
from session import Session

import connections, consuming, publishing, routing, queues, errors  # noqa: E401,F401  registers the features

harness.run(Session)
