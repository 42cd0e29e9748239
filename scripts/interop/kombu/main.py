"""What users of kombu (on py-amqp) and of Celery rely on: see ../README.md for the features."""

import harness
from session import Session

import celery_features, connections, messages, queues  # noqa: E401,F401  registers the features

harness.run(Session)
