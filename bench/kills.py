"""kill -9 of the real process, again and again: three instances in relay, uploads all the while, both guarantees by turns.

Usage: kills.py BROKERS [KILLS [SEED]]    SHEETSTREAM_BIN names the binary; KILLS_CLUSTER the folder of a cluster whose brokers are bounced too
Then reads what a reader of committed records finds, and counts both ways: uploads without a workbook, workbooks that came twice, other bytes
than `convert` makes, uploads without an end, transactions that nobody has ended. Prints a line for each guarantee, and fails when a
count is not 0; at least once, a workbook may come twice."""
import collections, json, os, random, shutil, signal, subprocess, sys, tempfile, threading, time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from client import places, send

brokers, kills = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100
seed = int(sys.argv[3]) if len(sys.argv) > 3 else os.getpid()
binary = os.environ["SHEETSTREAM_BIN"]
work = tempfile.mkdtemp(prefix="sheetstream-kills-")
PARTITIONS, INSTANCES, REST_S = 6, 3, 180


def lines(upload, dice):
    """A file: its header and rows, of which some are rejected."""
    yield "id,name,kind,x,y"
    for n in range(dice.randint(1, 4000)):
        x = "none" if n % 97 == 5 else f"{953000 + n % 900}.{n % 100:02}"
        yield f"{n},Place {n % 13} of {upload},kind {n * n % 7 % 3},{x},{1952000 + n % 700}"


class Publisher(threading.Thread):
    """Publishes uploads one after another, three at a time, until it is told to stop; each of them is written to a file, too."""

    def __init__(self, name, dice):
        super().__init__(daemon=True)
        self.topic, self.dice, self.stopped, self.uploads = f"{name}.rows", dice, threading.Event(), []
        self.producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5, "partitioner": "murmur2_random"})

    def send(self, upload, value):
        send(self.producer, self.topic, value, key=upload)

    def begin(self):
        upload = f"{len(self.uploads):05}.csv"
        rows = list(lines(upload, self.dice))
        with open(f"{work}/{upload}", "w") as file:
            file.writelines(row + "\n" for row in rows)
        self.uploads.append(upload)
        end = f"#EOF rows={len(rows) - 1}" if self.dice.random() < 0.5 else "#EOF"
        return upload, iter(["\n".join(rows[at:at + 50]) for at in range(0, len(rows), 50)] + [end])

    def run(self):
        being_sent = []
        while being_sent or not self.stopped.is_set():
            while len(being_sent) < 3 and not self.stopped.is_set():
                being_sent.append(self.begin())
            upload, records = self.dice.choice(being_sent)
            record = next(records, None)
            if record is None:
                being_sent = [other for other in being_sent if other[0] != upload]
                continue
            self.send(upload, record)
            self.producer.poll(0)
            if not self.stopped.is_set():
                time.sleep(0.01)
        self.producer.flush()


class Instance:
    def __init__(self, name, number, topology):
        self.state, self.log, self.topology = f"{work}/{name}.{number}", f"{work}/{name}.{number}.log", topology
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            command = [binary, "run", self.topology, "--threads", "2", "--commit-interval-ms", "100", "--state-dir", self.state]
            self.process = subprocess.Popen(command, env=dict(os.environ, SHEETSTREAM_BROKERS=brokers), stderr=log)

    def kill(self, loses_state):
        self.process.kill()
        self.process.wait()
        if loses_state:
            shutil.rmtree(self.state, ignore_errors=True)


class Bouncer(threading.Thread):
    """Takes one broker after the other away for some seconds, at times the one that leads the controllers, and gives it back; waits for
    every replica to be in sync in between, for with two of three brokers gone nobody promises anything."""

    def __init__(self, cluster, dice):
        super().__init__(daemon=True)
        self.cluster, self.dice, self.stopped, self.bounces = cluster, dice, threading.Event(), 0
        self.admin = AdminClient({"bootstrap.servers": brokers})

    def is_in_sync(self):
        topics = self.admin.list_topics(timeout=10).topics.values()
        return all(len(partition.isrs) == 3 for topic in topics for partition in topic.partitions.values())

    def run(self):
        while not self.stopped.wait(self.dice.uniform(1, 5)):
            broker = f"{self.cluster}/{self.dice.randint(1, 3)}"
            if self.dice.random() < 0.5:
                subprocess.run(["script/kafka", "stop", broker], check=True)
            else:
                with open(f"{broker}/pid") as pid:
                    os.kill(int(pid.read()), signal.SIGKILL)
            time.sleep(self.dice.uniform(0, 8))
            subprocess.run(["script/kafka", "again", broker], check=True)
            self.bounces += 1
            while not self.is_in_sync():
                time.sleep(0.5)


def read(topic, isolation):
    """Every record of a topic that a reader finds, and whether a transaction is open at its end."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "kills", "isolation.level": isolation, "enable.auto.commit": False, "enable.partition.eof": True})
    at = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
    consumer.assign(at)
    records, ended = [], set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(10)
        if message is None:
            break
        if message.error():
            ended.add(message.partition())
            continue
        records.append(message)
    stable = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in range(PARTITIONS)]
    consumer.close()
    return records, stable


def statuses(name):
    records, _ = read(f"{name}.status", "read_committed")
    return [status for status in map(lambda record: json.loads(record.value()), records) if status["state"] in ("PUBLISHED", "FAILED", "ABORTED", "EXPIRED")]


def workbooks(name):
    """By upload, each set of chunks that is whole."""
    chunks, found = collections.defaultdict(lambda: collections.defaultdict(list)), collections.defaultdict(list)
    for record in read(f"{name}.workbooks", "read_committed")[0]:
        headers = {key: value.decode() for key, value in record.headers()}
        number, count = map(int, headers.get("ss-chunk", "1/1").split("/"))
        of = (headers["ss-upload"], headers["ss-revision"], headers["ss-sha256"], count)
        chunks[of][number].append(record.value())
    doubled = parts = 0
    for (upload, revision, sha256, count), of in chunks.items():
        copies = [len(of.get(number, [])) for number in range(1, count + 1)]
        if min(copies) == 0:
            parts += 1
            continue
        doubled += max(copies) - 1
        found[upload].append(b"".join(of[number][0] for number in range(1, count + 1)))
    return found, doubled, parts


def run(guarantee):
    name, dice = f"kills-{guarantee.replace('_', '-')}-{os.getpid()}", random.Random(f"{seed} {guarantee}")
    topology = f"{work}/{name}.toml"
    with open(topology, "w") as file:
        file.write(f'guarantee = "{guarantee}"\n' + places(name, header='"first"') + 'record_bytes_max = 65536\nworkbook = { about = false }\n')
    environment = dict(os.environ, SHEETSTREAM_BROKERS=brokers)
    subprocess.run([binary, "topics", "create", "--partitions", str(PARTITIONS), "-t", topology], check=True, env=environment, stdout=subprocess.DEVNULL)
    instances = [Instance(name, number, topology) for number in range(INSTANCES)]
    for instance in instances:
        instance.start()
    publisher = Publisher(name, random.Random(dice.random()))
    publisher.start()
    bouncer = Bouncer(os.environ["KILLS_CLUSTER"], random.Random(dice.random())) if "KILLS_CLUSTER" in os.environ else None
    if bouncer:
        bouncer.start()
    begun, ended = time.monotonic(), 0
    for done in range(kills):
        time.sleep(dice.uniform(0.05, 2.0))
        instance = dice.choice(instances)
        ended += instance.process.poll() is not None
        instance.kill(loses_state=dice.random() < 0.25)
        instance.start()
        if done % 50 == 49:
            print(f"{guarantee}: {done + 1} kills, {len(publisher.uploads)} uploads, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    publisher.stopped.set()
    if bouncer:
        bouncer.stopped.set()
        bouncer.join()
    publisher.join()
    for instance in instances:
        if instance.process.poll() is not None:
            ended += 1
            instance.start()
    rest = time.monotonic()
    while len({status["upload"] for status in statuses(name)}) < len(publisher.uploads) and time.monotonic() - rest < REST_S:
        time.sleep(2)
    rest = time.monotonic() - rest
    for instance in instances:
        instance.process.send_signal(signal.SIGTERM)
    for instance in instances:
        instance.process.wait(30)

    ends = collections.Counter(status["upload"] for status in statuses(name))
    failed = [status for status in statuses(name) if status["state"] != "PUBLISHED"]
    found, doubled, parts = workbooks(name)
    lost = different = 0
    for upload in publisher.uploads:
        out = f"{work}/convert.xlsx"
        subprocess.run([binary, "convert", f"{work}/{upload}", "-t", topology, "-o", out, "--force"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out, "rb") as file:
            expected = file.read()
        lost += not found[upload]
        different += sum(book != expected for book in found[upload])
    hanging = 0
    for topic in ("workbooks", "status", "dead-letters"):
        hanging += sum(c != u for c, u in zip(read(f"{name}.{topic}", "read_committed")[1], read(f"{name}.{topic}", "read_uncommitted")[1]))
    fateless = sum(upload not in ends for upload in publisher.uploads)
    twice = sum(count - 1 for count in ends.values())
    print(f"{guarantee:16} {kills} kills, {bouncer.bounces if bouncer else 0} bounces, {len(publisher.uploads)} uploads: {lost} lost, {doubled} doubled, {parts} in part, {different} with other bytes, "
          f"{fateless} without an end, {twice} ends twice, {len(failed)} failed, {hanging} hanging transactions, {ended} ends of processes by themselves; rest after {rest:.0f} s", flush=True)
    wrong = lost + different + fateless + len(failed) + hanging + ended
    if guarantee == "exactly_once_v2":
        wrong += doubled + parts + twice
    return wrong == 0


print(f"seed {seed}")
right = [run(guarantee) for guarantee in ("exactly_once_v2", "at_least_once")]
if not all(right):
    sys.exit(f"kills: see {work}")
shutil.rmtree(work)
