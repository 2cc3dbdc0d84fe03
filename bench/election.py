"""An unclean leader election cuts off records that were read: which uploads end how, before it, behind it, and when they are published again.

Usage: election.py BROKERS DIR    three brokers of `script/kafka cluster DIR`; SHEETSTREAM_BIN names the binary
A JSON line a round; fails when an upload does not end as it should."""
import atexit, json, os, signal, subprocess, sys, tempfile, time

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

brokers, folder = sys.argv[1:]
binary = os.environ["SHEETSTREAM_BIN"]
environment = {name: value for name, value in os.environ.items() if not name.startswith("SHEETSTREAM_")}
environment |= {"SHEETSTREAM_BROKERS": brokers, "NO_COLOR": "1"}
UNCLEAN = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}


def broker(node, word):
    if word == "kill":
        return os.kill(int(open(f"{folder}/{node}/pid").read()), signal.SIGKILL)
    subprocess.run(["script/kafka", word, f"{folder}/{node}"], check=True, stdout=subprocess.DEVNULL)


def await_isr(topic, isr):
    """Until the replicas of partition 0 that are in sync are these."""
    admin = AdminClient({"bootstrap.servers": brokers})
    for _ in range(120):
        partition = admin.list_topics(topic, timeout=30).topics[topic].partitions[0]
        if sorted(partition.isrs) == isr and partition.leader in isr:
            return
        time.sleep(0.5)
    sys.exit(f"election: {topic} is led by {partition.leader} with {partition.isrs} in sync, not {isr}")


class Round:
    def __init__(self, guarantee, runs_on):
        self.name = f"election-{guarantee.replace('_', '-')}-{'on' if runs_on else 'after'}-{os.getpid()}"
        self.work = tempfile.mkdtemp(prefix="sheetstream-election-")
        self.topology = f"{self.work}/topology.toml"
        with open(self.topology, "w") as file:
            file.write(f'guarantee = "{guarantee}"\nname = "{self.name}"\n[[source]]\nname = "rows"\nheader = ["id", "kind"]\n[[aggregate]]\nname = "by-kind"\nsheet = "kind"\n[[sink]]\nname = "workbooks"\n')
        rows = NewTopic(f"{self.name}.rows", num_partitions=1, replica_assignment=[[1, 2]], config=UNCLEAN)
        admin = AdminClient({"bootstrap.servers": brokers})
        [made.result() for made in admin.create_topics([rows]).values()]
        subprocess.run([binary, "topics", "create", "-t", self.topology], check=True, env=environment, stdout=subprocess.DEVNULL)
        self.process = None
        atexit.register(lambda: self.process and self.process.kill())

    def run(self):
        command = [binary, "run", self.topology, "--state-dir", f"{self.work}/state"]
        self.process = subprocess.Popen(command, env=environment, stderr=open(f"{self.work}/log", "a"))

    def log(self):
        with open(f"{self.work}/log") as log:
            return log.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(30)

    def publish(self, *records):
        producer = Producer({"bootstrap.servers": brokers, "acks": "1"})
        for record in records:
            upload, value = record.split(" ", 1)
            producer.produce(f"{self.name}.rows", key=upload, value=value, partition=0)
        producer.flush()

    def expect(self, **uploads):
        """Until the uploads are as they should be: state, revision, rows."""
        for _ in range(60):
            answer = subprocess.run([binary, "status", self.topology, "--json"], env=environment, capture_output=True, text=True)
            found = {u["id"]: (u["state"], u["revision"], u["accounting"]["written"]) for u in json.loads(answer.stdout or "{}").get("uploads", [])}
            if all(found.get(upload) == end for upload, end in uploads.items()):
                return
            time.sleep(0.5)
        sys.exit(f"election: {found} where {uploads} should be\n{self.log()[-3000:]}")


def one(guarantee, runs_on):
    round = Round(guarantee, runs_on)
    round.run()
    round.publish("whole #BEGIN", "whole 1,x", "whole #EOF rows=1")
    round.expect(whole=("PUBLISHED", 1, 1))
    broker(2, "kill")
    await_isr(f"{round.name}.rows", [1])
    round.publish("goes-on #BEGIN", "goes-on 1,x", "goes-on 2,x", "read #BEGIN", "read 1,x", "read #EOF rows=1", "gone #BEGIN", "gone 1,x")
    round.expect(read=("PUBLISHED", 1, 1), gone=("RECEIVING", 1, 1), **{"goes-on": ("RECEIVING", 1, 2)})
    if not runs_on:
        round.stop()
    broker(1, "kill")
    broker(2, "again")
    await_isr(f"{round.name}.rows", [2])  # which has the first upload only
    if not runs_on:
        round.run()
    failed = ("FAILED", 1, 0)
    round.expect(whole=("PUBLISHED", 1, 1), read=("PUBLISHED", 1, 1), gone=failed, **{"goes-on": failed})
    round.publish("goes-on 3,x", "goes-on #EOF", "read #BEGIN", "read 1,y", "read 2,y", "read #EOF rows=2", "new #BEGIN", "new 1,x", "new #EOF rows=1")
    round.expect(new=("PUBLISHED", 1, 1), read=("PUBLISHED", 2, 2), gone=failed, **{"goes-on": failed})
    round.publish("goes-on #BEGIN", "goes-on 1,x", "goes-on 2,x", "goes-on 3,x", "goes-on #EOF rows=3")
    round.expect(**{"goes-on": ("PUBLISHED", 2, 3)})
    broker(1, "again")
    await_isr(f"{round.name}.rows", [1, 2])
    round.publish("last #BEGIN", "last 1,x", "last #EOF rows=1")
    round.expect(last=("PUBLISHED", 1, 1), whole=("PUBLISHED", 1, 1))
    round.stop()
    said = sum("log.truncated" in line for line in round.log().splitlines())
    if not said:
        sys.exit(f"election: the log does not say log.truncated\n{round.log()[-3000:]}")
    print(json.dumps({"guarantee": guarantee, "runs_on": runs_on, "log_truncated_lines": said}), flush=True)


for guarantee in "at_least_once", "exactly_once_v2":
    for runs_on in True, False:
        one(guarantee, runs_on)
