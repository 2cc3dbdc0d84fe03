"""kill -9 of the owner of a partition with one open upload, and its end at once: seconds until another instance has published the workbook.

Usage: takeover.py BROKERS [ROWS [ROUNDS]]    SHEETSTREAM_BIN names the binary, GUARANTEES the guarantees
A JSON line a round. `above_session_timeout_s` is what taking over costs: the broker gives the partition away when the session of the dead
owner is over, SESSION_S after its last heartbeat. `assigned_to_published_s` is the new owner's part of it."""
import datetime, json, os, shutil, subprocess, sys, tempfile, threading, time

from confluent_kafka import Consumer, Producer, TopicPartition

from client import places, send, until_committed

brokers, rows, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000, int(sys.argv[3]) if len(sys.argv) > 3 else 3
binary, guarantees = os.environ["SHEETSTREAM_BIN"], os.environ.get("GUARANTEES", "at_least_once exactly_once_v2").split()
SESSION_S = 6  # group.consumer.session.timeout.ms of script/kafka
environment = dict(os.environ, SHEETSTREAM_BROKERS=brokers, SHEETSTREAM_LOG_FORMAT="json", NO_COLOR="1")
has_standby = "--standby" in subprocess.run([binary, "run", "--help"], capture_output=True, text=True).stdout


class Instance:
    def __init__(self, work, number, topology, standby):
        self.log = f"{work}/{number}.log"
        command = [binary, "run", topology, "--state-dir", f"{work}/{number}"] + (["--standby", "1"] if standby else [])
        self.process = subprocess.Popen(command, env=environment, stderr=open(self.log, "w"))

    def lines(self):
        with open(self.log) as log:
            return [json.loads(line) for line in log if line.startswith("{")]

    def when(self, message):
        """The moment of the first line with this message, in seconds since 1970."""
        for line in self.lines():
            if line.get("fields", line).get("message", line.get("msg")) == message:
                return datetime.datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).timestamp()

    def await_line(self, message):
        for _ in range(600):
            if self.when(message):
                return
            time.sleep(0.1)
        sys.exit(f"takeover: no '{message}' in {self.log}:\n{open(self.log).read()[-2000:]}")


class Reader(threading.Thread):
    """Notes when the workbook is whole."""

    def __init__(self, topic):
        super().__init__(daemon=True)
        self.whole_at, self.bytes = None, 0
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "takeover", "isolation.level": "read_committed", "enable.auto.commit": False, "fetch.wait.max.ms": 50})
        self.consumer.assign([TopicPartition(topic, 0, 0)])

    def run(self):
        chunks = 0
        while self.whole_at is None:
            message = self.consumer.poll(1)
            if message is None or message.error():
                continue
            chunks, self.bytes = chunks + 1, self.bytes + len(message.value())
            if chunks == int(dict(message.headers()).get("ss-chunk", b"1/1").decode().split("/")[1]):
                self.whole_at = time.time()


def one(guarantee, standby, number):
    name = f"takeover-{guarantee.replace('_', '-')}-{standby}-{number}-{os.getpid()}"
    work = tempfile.mkdtemp(prefix="sheetstream-takeover-")
    topology = f"{work}/topology.toml"
    with open(topology, "w") as file:
        file.write(f'guarantee = "{guarantee}"\n' + places(name))
    subprocess.run([binary, "topics", "create", "--partitions", "1", "-t", topology], check=True, env=environment, stdout=subprocess.DEVNULL)
    owner = Instance(work, 0, topology, standby)
    owner.await_line("task running")
    other = Instance(work, 1, topology, standby)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "batch.num.messages": 10000, "queue.buffering.max.messages": 2_000_000})
    upload = {"key": "open.csv", "partition": 0}
    for row in range(rows):
        send(producer, f"{name}.rows", f"{row},Place {row % 1000} 은하구 샛별동,kind {row % 5},{953000 + row % 900}.{row % 100:02},{1952000 + row % 700}", **upload)
        if row % 10000 == 0:
            producer.poll(0)
    producer.flush()
    until_committed(brokers, name)
    other.await_line("joining")
    if standby:
        other.await_line("standby running")
    time.sleep(5)  # the other one is settled, and a standby has followed
    reader = Reader(f"{name}.workbooks")
    reader.start()
    killed = time.time()
    owner.process.kill()
    send(producer, f"{name}.rows", f"#EOF rows={rows}", **upload)
    producer.flush()
    reader.join(120)
    if reader.whole_at is None:
        sys.exit(f"takeover: no workbook within 120 s\n{open(other.log).read()[-3000:]}")
    took = reader.whole_at - killed
    time.sleep(0.5)
    line = {"guarantee": guarantee, "standby": standby, "rows": rows, "session_timeout_s": SESSION_S, "kill_to_workbook_s": round(took, 2), "above_session_timeout_s": round(took - SESSION_S, 2)}
    assigned = [event for event in other.lines() if event.get("message") == "assigned" and event.get("partitions") == 1]
    if assigned and other.when("published"):
        at = datetime.datetime.fromisoformat(assigned[-1]["timestamp"].replace("Z", "+00:00")).timestamp()
        line["assigned_to_published_s"] = round(other.when("published") - at, 2)
    print(json.dumps(dict(line, workbook_mb=round(reader.bytes / 1e6, 1))), flush=True)
    other.process.terminate()
    other.process.wait(20)
    owner.process.wait()
    if os.environ.get("KEEP_LOGS"):
        shutil.copy(other.log, f"/tmp/{name}.log")
    shutil.rmtree(work)


for number in range(rounds):
    for guarantee in guarantees:
        for standby in (0, 1) if has_standby else (0,):
            one(guarantee, standby, number)
