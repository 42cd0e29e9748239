"""The Celery application that the worker runs: queue names come from the feature, by the environment."""

import os
import time

import celery
from session import url

PREFIX = os.environ["INTEROP_CELERY_PREFIX"]

app = celery.Celery("interop", broker=url(), backend="rpc://")
app.conf.update(
    task_default_queue=f"{PREFIX}.tasks",
    task_default_exchange=f"{PREFIX}.tasks",
    task_default_routing_key=f"{PREFIX}.tasks",
    control_exchange=f"{PREFIX}.pidbox",
    event_exchange=f"{PREFIX}.events",
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=4,
    task_track_started=True,
    result_expires=60,
)


@app.task
def add(a, b):
    return a + b


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def flaky(self):
    """Succeeds at the third attempt."""
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def now():
    return time.time()


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def slow_when_first(self, seconds):
    """Sleeps, unless the message was delivered before."""
    if not self.request.delivery_info["redelivered"]:
        time.sleep(seconds)
    return self.request.delivery_info["redelivered"]


@app.task
def sleep(seconds):
    time.sleep(seconds)
    return seconds
