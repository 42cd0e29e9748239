"""Exchanges and bindings."""

from aio_pika import ExchangeType, Message
from harness import expect, feature
from session import persistent


@feature
async def topology(session):
    queue = await session.queue()
    for type in (ExchangeType.DIRECT, ExchangeType.FANOUT, ExchangeType.TOPIC, ExchangeType.HEADERS):
        exchange = await session.exchange(type.value, type=type)
        arguments = {"x-match": "all", "a": 1} if type is ExchangeType.HEADERS else None
        key, sent = ("k.#", "k.e.y") if type is ExchangeType.TOPIC else ("key", "key")
        await queue.bind(exchange, key, arguments=arguments)
        await exchange.publish(Message(type.value.encode(), headers={"a": 1}), sent)
        expect(await session.bodies(queue), [type.value.encode()], f"routed by the {type.value} exchange")
        await queue.unbind(exchange, key, arguments=arguments)
        await exchange.publish(Message(b"unbound", headers={"a": 1}), sent)
        expect(await session.bodies(queue), [], f"routed by the {type.value} exchange after unbind")
        await session.channel.get_exchange(exchange.name, ensure=True)
    front, back = await session.exchange("front", type="topic"), await session.exchange("back", type="fanout")
    await back.bind(front, "a.*")
    await queue.bind(back)
    await front.publish(Message(b"through"), "a.b")
    expect(await session.bodies(queue), [b"through"], "routed by two exchanges")
    await back.unbind(front, "a.*")
    await front.publish(Message(b"not"), "a.b")
    expect(await session.bodies(queue), [], "routed after exchange unbind")
    await session.send(queue, b"1")
    await session.closes_channel(406, lambda c: c.queue_delete(queue.name, if_empty=True), "not empty")
    await queue.consume(lambda _message: None)
    await session.closes_channel(406, lambda c: c.queue_delete(queue.name, if_unused=True), "in use")
    await session.closes_channel(406, lambda c: c.exchange_delete(back.name, if_unused=True), "in use")
    await (await session.exchange("unused")).delete(if_unused=True)


@feature
async def topic_headers(session):
    exchange = await session.exchange("topic", type=ExchangeType.TOPIC)
    keys = ("stock.nyse.ibm", "stock.nyse", "stock", "news.nyse")
    expected = {
        "stock.#": keys[:3], "stock.*": keys[1:2], "#.nyse.#": (keys[0], keys[1], keys[3]), "*.nyse": (keys[1], keys[3]), "#": keys,
    }
    queues = {pattern: await session.queue(f"topic{n}") for n, pattern in enumerate(expected)}
    for pattern, queue in queues.items():
        await queue.bind(exchange, pattern)
    for key in keys:
        await exchange.publish(Message(key.encode()), key)
    for pattern, queue in queues.items():
        found = {body.decode() for body in await session.bodies(queue)}
        expect(found, set(expected[pattern]), f"keys that '{pattern}' matches")
    exchange = await session.exchange("headers", type=ExchangeType.HEADERS)
    matches = {"all": {b"both"}, "any": {b"both", b"one"}, "all-with-x": set(), "any-with-x": {b"both", b"one", b"x"}}
    queues = {match: await session.queue(f"headers-{match}") for match in matches}
    for match, queue in queues.items():
        await queue.bind(exchange, "", arguments={"x-match": match, "a": "1", "b": "2", "x-c": "3"})
    for body, headers in ((b"both", {"a": "1", "b": "2"}), (b"one", {"b": "2"}), (b"x", {"x-c": "3"}), (b"none", {"a": "2"})):
        await exchange.publish(Message(body, headers=headers), "")
    for match, queue in queues.items():
        expect(set(await session.bodies(queue)), matches[match], f"messages for x-match {match}")


@feature
async def alternate_exchange(session):
    alternate = await session.exchange("alternate", type=ExchangeType.FANOUT)
    main = await session.exchange("main", arguments={"alternate-exchange": alternate.name})
    rest = await session.queue("rest")
    await rest.bind(alternate)
    channel = await session.connection.channel(on_return_raises=True)
    await (await channel.get_exchange(main.name)).publish(Message(b"lost"), "unknown", mandatory=True)
    message = await session.get(rest)
    expect((message.body, message.exchange, message.routing_key), (b"lost", main.name, "unknown"), "alternate")


@feature
async def cc_bcc(session):
    to, cc, bcc = [await session.queue(suffix) for suffix in ("to", "cc", "bcc")]
    headers = {"CC": [cc.name], "BCC": [bcc.name]}
    await session.channel.default_exchange.publish(persistent(b"copied", headers=headers), to.name)
    for queue in (to, cc, bcc):
        message = await session.get(queue)
        expect((message.body, dict(message.headers)), (b"copied", {"CC": [cc.name]}), f"message in {queue.name}")
