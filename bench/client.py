"""What the benchmarks have in common: a topology of places, records sent, commits awaited, memory of a process."""
import os
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition


def places(name, header='["id", "name", "kind", "x", "y"]'):
    """A topology of that name: places with coordinates, a sheet for each kind. Keys of the sink may follow it, those of its top go before."""
    return f'''name = "{name}"
[[source]]
name = "rows"
header = {header}
[[map]]
name = "wgs84"
reproject = {{ from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }}
[[aggregate]]
name = "by-kind"
sheet = "kind"
[[sink]]
name = "workbooks"
'''


def send(producer, topic, value, **record):
    """Queues a record; waits while the queue is full."""
    while True:
        try:
            return producer.produce(topic, value=value, **record)
        except BufferError:
            producer.poll(0.1)


def committed_by(group, partition):
    """What a group has committed of a partition; a broker that has just started may not know yet that the group is its own."""
    while True:
        try:
            return group.committed([partition], timeout=30)[0].offset
        except KafkaException as failure:
            if failure.args[0].code() not in (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS):
                raise
            time.sleep(0.1)


def until_committed(brokers, name, look=lambda committed, end: None):
    """Waits until the group `name` has committed all of partition 0 of its rows. `look` is called with both offsets before each pause."""
    group = Consumer({"bootstrap.servers": brokers, "group.id": name, "enable.auto.commit": False})
    partition = TopicPartition(f"{name}.rows", 0)
    end = group.get_watermark_offsets(partition)[1]
    while (committed := committed_by(group, partition)) < end:
        look(committed, end)
        time.sleep(0.1)
    group.close()


def memory(pid):
    """Of a process, in MiB: the most so far, and now."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return [int(fields[field].split()[0]) / 1024 for field in ("VmHWM", "VmRSS")]


def cpu_seconds(pid):
    """Seconds of CPU that a process has taken so far."""
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
