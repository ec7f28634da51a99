"""Fixtures for the tests of the dlq tool."""

import pytest

from tests.kit import dlq


@pytest.fixture
def queue(aws):
    return dlq.Queue(aws)


@pytest.fixture
def fifo(aws):
    return dlq.Queue(aws, fifo=True)


@pytest.fixture
def function():
    stand_in = dlq.Lambda()
    yield stand_in
    stand_in.close()


@pytest.fixture
def tool(aws, tool_binary, tmp_path, queue, function):
    environment = {**aws.environment(), **function.environment(), "DLQ_QUEUE": queue.url}
    return dlq.Dlq(tool_binary, environment, tmp_path)


@pytest.fixture
def queue_proxy(aws):
    """Starts proxies in front of SQS, and ends them with the test."""
    proxies = []

    def start(meet):
        proxies.append(dlq.QueueProxy(aws.environment()["AWS_ENDPOINT_URL"], meet))
        return {"AWS_ENDPOINT_URL_SQS": proxies[-1].url}
    yield start
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def refused_extensions(queue_proxy):
    """The environment of a proxy that refuses to keep messages hidden for longer, and a wait until it has refused twice."""
    asked = []

    def meet(action, request):
        entries = request.get("Entries", [])
        if action == "ChangeMessageVisibilityBatch" and any(entry["VisibilityTimeout"] for entry in entries):
            asked.append(action)
            raise dlq.Refuses("AccessDenied", 403)
    # The tool extends what it holds every 20 seconds.
    return queue_proxy(meet), lambda: dlq.until(lambda: len(asked) >= 2, 40)
