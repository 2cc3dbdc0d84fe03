"""What people do with confluent-kafka, which is librdkafka: python librdkafka.py CHECK BOOTSTRAP TOPIC. Fails by an exception."""

import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

check, bootstrap, topic = sys.argv[1:]
LIMIT = 60
group = f"group.{topic}"


def producer(**settings):
    return Producer({"bootstrap.servers": bootstrap, **{name.replace("_", "."): value for name, value in settings.items()}})


def consumer(group, **settings):
    defaults = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    return Consumer({**defaults, **{name.replace("_", "."): value for name, value in settings.items()}})


def failed(error, _):
    if error:
        raise KafkaException(error)


def receive(reader, count):
    """So many messages, in the order they come."""
    messages, until = [], time.monotonic() + LIMIT
    while len(messages) < count:
        assert time.monotonic() < until, f"{len(messages)} of {count} messages"
        message = reader.poll(0.2)
        if message is None:
            continue
        if message.error():
            assert message.error().retriable(), message.error()
            continue
        messages.append(message)
    return messages


def values(messages):
    return sorted(message.value().decode() for message in messages)


def produce_and_consume(**protocol):
    expected = sorted(f"{codec} {n}" for codec in CODECS for n in range(500))
    for codec in CODECS:
        writer = producer(enable_idempotence=codec != "none", compression_type=codec, linger_ms=5)
        for n in range(500):
            writer.produce(topic, f"{codec} {n}", key=str(n), headers=[("h", b"1"), ("h", None)], on_delivery=failed)
        assert writer.flush(LIMIT) == 0
    first = consumer(group, **protocol)
    first.subscribe([topic])
    messages = receive(first, 1_000)
    assert messages[0].headers() == [("h", b"1"), ("h", None)]
    first.commit(asynchronous=False)
    first.close()
    second = consumer(group, **protocol)  # continues where the first one left
    second.subscribe([topic])
    messages += receive(second, len(expected) - 1_000)
    assert values(messages) == expected
    second.close()


CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def groups_of(protocol):
    members = [consumer(group, **protocol) for _ in range(2)]
    for member in members:
        member.subscribe([topic])
    until = time.monotonic() + LIMIT
    while sorted(len(member.assignment()) for member in members) != [2, 2]:
        assert time.monotonic() < until, [member.assignment() for member in members]
        for member in members:
            member.poll(0.05)
    members.pop().close()
    while len(members[0].assignment()) != 4:
        assert time.monotonic() < until, members[0].assignment()
        members[0].poll(0.05)
    members[0].close()


def transactions():
    def begin(id):
        writer = producer(transactional_id=id, transaction_timeout_ms=20_000)
        writer.init_transactions(LIMIT)
        writer.begin_transaction()
        return writer

    def write(writer, value):
        writer.produce(topic, value, partition=0, on_delivery=failed)
        assert writer.flush(LIMIT) == 0

    def seen(isolation, count):
        reader = consumer(f"{isolation}.{topic}", isolation_level=isolation)
        reader.assign([TopicPartition(topic, 0, 0)])
        found = values(receive(reader, count))
        assert reader.poll(0.5) is None
        reader.close()
        return found

    source = consumer(group)
    writer = begin(topic)
    for outcome in ["committed", "aborted", "committed again"]:
        write(writer, outcome)
        offset = TopicPartition(topic, 1, {"committed": 3, "aborted": 5, "committed again": 7}[outcome])
        writer.send_offsets_to_transaction([offset], source.consumer_group_metadata(), LIMIT)
        if outcome == "aborted":
            writer.abort_transaction(LIMIT)
            assert source.committed([TopicPartition(topic, 1)], LIMIT)[0].offset == 3
        else:
            writer.commit_transaction(LIMIT)
        writer.begin_transaction()
    assert source.committed([TopicPartition(topic, 1)], LIMIT)[0].offset == 7
    source.close()
    assert seen("read_committed", 2) == ["committed", "committed again"]
    assert seen("read_uncommitted", 3) == ["aborted", "committed", "committed again"]

    write(writer, "of a zombie")
    successor = begin(topic)  # aborts what is open, fences who wrote it
    try:
        writer.commit_transaction(LIMIT)
        raise AssertionError("a zombie committed")
    except KafkaException as error:
        assert error.args[0].fatal() or error.args[0].code() == KafkaError._FENCED, error
    write(successor, "of the successor")
    successor.commit_transaction(LIMIT)
    assert seen("read_committed", 3) == ["committed", "committed again", "of the successor"]


def administer():
    admin = AdminClient({"bootstrap.servers": bootstrap})
    name = f"{topic}.made"
    admin.create_topics([NewTopic(name, 3, 1, config={"max.message.bytes": "6000000"})])[name].result(LIMIT)
    assert len(admin.list_topics(name, LIMIT).topics[name].partitions) == 3
    resource = ConfigResource(ResourceType.TOPIC, name)
    assert admin.describe_configs([resource])[resource].result(LIMIT)["max.message.bytes"].value == "6000000"
    writer = producer(message_max_bytes=6_000_000)
    writer.produce(name, b"x" * 5_000_000, partition=0, on_delivery=failed)
    writer.produce(name, b"x" * 900_000, partition=0, on_delivery=failed)
    assert writer.flush(LIMIT) == 0
    reader = consumer(f"large.{topic}", fetch_message_max_bytes=1_000_000)
    reader.assign([TopicPartition(name, 0, 0)])
    assert [len(message.value()) for message in receive(reader, 2)] == [5_000_000, 900_000]
    assert reader.get_watermark_offsets(TopicPartition(name, 0), LIMIT) == (0, 2)
    reader.commit(offsets=[TopicPartition(name, 0, 2)], asynchronous=False)
    reader.close()
    described = admin.describe_consumer_groups([f"large.{topic}"])[f"large.{topic}"].result(LIMIT)
    assert described.state.name == "EMPTY", described.state
    listed = admin.list_consumer_groups().result(LIMIT)
    assert f"large.{topic}" in [found.group_id for found in listed.valid]
    admin.delete_consumer_groups([f"large.{topic}"])[f"large.{topic}"].result(LIMIT)
    admin.delete_topics([name])[name].result(LIMIT)
    until = time.monotonic() + LIMIT
    while name in admin.list_topics(timeout=LIMIT).topics:
        assert time.monotonic() < until, "the topic is still there"
        time.sleep(0.05)


CHECKS = {
    "classic": lambda: produce_and_consume(),
    "kip-848": lambda: produce_and_consume(group_protocol="consumer"),
    "shared-classic": lambda: groups_of({"session_timeout_ms": 6_000, "heartbeat_interval_ms": 200}),
    "shared-kip-848": lambda: groups_of({"group_protocol": "consumer"}),
    "transactions": transactions,
    "administer": administer,
}
CHECKS[check]()
