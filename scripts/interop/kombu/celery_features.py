"""Celery: a worker process, tasks with results, retries, late acknowledgement, ETA, a warm shutdown."""

import importlib
import os
import signal
import subprocess
import sys
import time

from celery import chain, group
from celery.exceptions import TimeoutError as ResultTimeout
from harness import await_true, expect, expect_true, feature

START_S = 20
RESULT_S = 10


def _application(session):
    os.environ["INTEROP_CELERY_PREFIX"] = session.prefix
    sys.modules.pop("celery_app", None)
    module = importlib.import_module("celery_app")
    session._queues.add(module.app.conf.task_default_queue)
    for name in ("task_default_exchange", "control_exchange", "event_exchange"):
        session._exchanges.add(module.app.conf[name] if name != "control_exchange" else f"{session.prefix}.pidbox.pidbox")
    session._exchanges.add(f"reply.{session.prefix}.pidbox.pidbox")
    session.at_end.append(module.app.close)
    session.channel.queue_delete(module.app.conf.task_default_queue)
    return module


def _worker(session, *options, name="one"):
    """Starts a worker and waits until it is ready."""
    log = open(os.path.join(os.environ["scratch"], f"{session.prefix}-{name}.log"), "w+")
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-n", f"{name}@{session.prefix}", "-l", "INFO", *options]
    process = subprocess.Popen(command, cwd=os.path.dirname(__file__), stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    session.at_end.append(lambda: _stop(process))

    def ready():
        expect(process.poll(), None, f"exit code of the worker, whose log is {log.name}")
        with open(log.name) as written:
            return " ready." in written.read()

    await_true(ready, f"the worker is ready ({log.name})", START_S)
    return process


def _stop(process):
    """The worker and, if it forks, its children: they are a session of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


FAST = ("--without-gossip", "--without-mingle", "--pool=solo")


@feature
def celery_tasks(session):
    """With all that a worker does by default: forked pool, gossip, mingle, events, remote control."""
    tasks = _application(session)
    worker = _worker(session, "--concurrency=2", "-E")
    expect(tasks.add.delay(2, 3).get(timeout=RESULT_S), 5, "result")
    results = group(tasks.add.s(number, number) for number in range(50)).apply_async().get(timeout=RESULT_S)
    expect(results, [2 * number for number in range(50)], "results of a group")
    expect(chain(tasks.add.s(1, 1), tasks.add.s(10), tasks.add.s(100)).apply_async().get(timeout=RESULT_S), 112, "chain")
    failed = tasks.fail.delay("told so")
    try:
        failed.get(timeout=RESULT_S)
    except ValueError as error:
        expect(str(error), "told so", "error of a failed task")
    expect(failed.state, "FAILURE", "state of a failed task")
    name = f"one@{session.prefix}"
    expect(tasks.app.control.ping(timeout=2), [{name: {"ok": "pong"}}], "remote control")
    queues = tasks.app.control.inspect(timeout=2).active_queues()
    expect([queue["name"] for queue in queues[name]], [tasks.app.conf.task_default_queue], "active queues")
    expect(worker.poll(), None, "exit code of the worker")


@feature
def celery_retry(session):
    tasks = _application(session)
    _worker(session, *FAST)
    expect(tasks.flaky.delay().get(timeout=RESULT_S), 2, "attempts before the one that succeeded")


@feature
def celery_eta(session):
    """A task that waits for its time is held unacknowledged by the worker, which raises its prefetch count meanwhile."""
    tasks = _application(session)
    _worker(session, *FAST)
    start = time.time()
    later = [tasks.now.apply_async(countdown=1.5) for _ in range(8)]
    expect_true(tasks.now.delay().get(timeout=RESULT_S) < start + 1.4, "a task without ETA overtakes")
    for result in later:
        expect_true(result.get(timeout=RESULT_S) >= start + 1.4, "not before its ETA")
    expired = tasks.now.apply_async(expires=-1)
    expect(_state(expired), "REVOKED", "state of an expired task")


def _state(result):
    try:
        result.get(timeout=RESULT_S)
    except ResultTimeout:
        raise
    except Exception:
        pass
    return result.state


@feature
def celery_acks_late(session):
    tasks = _application(session)
    first = _worker(session, *FAST)
    result = tasks.slow_when_first.delay(60)
    await_true(lambda: result.state == "STARTED", "the first worker has the task")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    _worker(session, *FAST, name="two")
    expect(result.get(timeout=RESULT_S), True, "redelivered to the second worker")


@feature
def celery_shutdown(session):
    tasks = _application(session)
    worker = _worker(session, *FAST[:2], "--concurrency=1")
    running = tasks.sleep.delay(1)
    await_true(lambda: running.state == "STARTED", "the task runs")
    waiting = [tasks.add.delay(number, 0) for number in range(3)]
    worker.send_signal(signal.SIGTERM)
    expect(worker.wait(timeout=10), 0, "exit code after a warm shutdown")
    expect(running.get(timeout=RESULT_S), 1, "the running task was finished")
    _worker(session, *FAST, name="two")
    expect([result.get(timeout=RESULT_S) for result in waiting], [0, 1, 2], "tasks that waited meanwhile")
