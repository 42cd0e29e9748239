"""Compares two documents of definitions, entity by entity.

    compare.py FROM TO [--without internal-exchanges|vhost-metadata]...

Prints what only one of them has, and exits 1 then. Fields that a broker adds of its own (a queue's `type`, a hash that only one broker
knows) are no difference; nor is `guest`, whom every fresh broker has.
"""

import json
import sys


def canonical(document, without):
    """Every entity as a line of JSON that says all that both brokers must agree on."""
    lines = set()

    def add(kind, entity, fields):
        lines.add(json.dumps([kind, {name: entity[name] for name in fields}], sort_keys=True, ensure_ascii=False))

    for vhost in document["vhosts"]:
        metadata = {"description": "", "tags": [], **vhost.get("metadata", {})}
        if "vhost-metadata" in without:
            metadata = {"description": "", "tags": []}
        add("vhost", {**metadata, "name": vhost["name"]}, ["name", "description", "tags"])
    for user in document["users"]:
        if user["name"] != "guest":
            add("user", user, ["name", "password_hash", "hashing_algorithm", "tags", "limits"])
    for permission in document["permissions"]:
        if permission["user"] != "guest":
            add("permission", permission, ["user", "vhost", "configure", "write", "read"])
    for permission in document["topic_permissions"]:
        add("topic permission", permission, ["user", "vhost", "exchange", "write", "read"])
    for parameter in document["parameters"]:
        add("parameter", parameter, ["component", "vhost", "name", "value"])
    for exchange in document["exchanges"]:
        exchange = {"internal": False, **exchange}
        if not (exchange["internal"] and "internal-exchanges" in without):
            add("exchange", exchange, ["name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"])
    for queue in document["queues"]:
        add("queue", queue, ["name", "vhost", "durable", "auto_delete", "arguments"])
    for binding in document["bindings"]:
        add(
            "binding",
            binding,
            ["vhost", "source", "destination", "destination_type", "routing_key", "arguments"],
        )
    return lines


def main(arguments):
    names, without = [], set()
    while arguments:
        argument = arguments.pop(0)
        if argument == "--without" and arguments and arguments[0] in ("internal-exchanges", "vhost-metadata"):
            without.add(arguments.pop(0))
        else:
            names.append(argument)
    if len(names) != 2:
        sys.exit(__doc__)
    documents = []
    for name in names:
        with open(name, encoding="utf-8") as file:
            documents.append(canonical(json.load(file), without))
    for line in sorted(documents[0] - documents[1]):
        print("only in", names[0] + ":", line)
    for line in sorted(documents[1] - documents[0]):
        print("only in", names[1] + ":", line)
    if documents[0] != documents[1]:
        sys.exit(1)
    print(len(documents[0]), "entities are equal")


main(sys.argv[1:])
