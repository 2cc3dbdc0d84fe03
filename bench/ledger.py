"""A ledger of many ended uploads: memory and seconds of a start, with the state of before and without it.

Usage: ledger.py BROKERS [UPLOADS]    SHEETSTREAM_BIN names the binary
One upload is processed in earnest. The others are its record and its status under other names and offsets, as if they had been processed by
an instance whose state and commit are lost: their workbooks, which nobody reads here, would be gigabytes. A first run takes all of that up
and commits; what follows are starts as any other. Prints a JSON line a start; memory is beside that of a start without an upload."""
import json, os, shutil, subprocess, sys, tempfile, time

from confluent_kafka import Consumer, Producer, TopicPartition

from client import cpu_seconds, memory, send, until_committed

brokers, uploads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
binary = os.environ["SHEETSTREAM_BIN"]
work = tempfile.mkdtemp(prefix="sheetstream-ledger-")
environment = dict(os.environ, SHEETSTREAM_BROKERS=brokers, SHEETSTREAM_LOG_FORMAT="text", NO_COLOR="1")
producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "compression.type": "lz4", "batch.num.messages": 10000, "queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 1_000_000})


def topology(name):
    path = f"{work}/{name}.toml"
    with open(path, "w") as file:
        file.write(f'name = "{name}"\n[[source]]\nname = "rows"\nheader = ["id", "kind"]\n[[aggregate]]\nname = "by-kind"\nsheet = "kind"\n[[sink]]\nname = "workbooks"\n')
    subprocess.run([binary, "topics", "create", "--partitions", "1", "-t", path], check=True, env=environment, stdout=subprocess.DEVNULL)
    return path


class Run:
    def __init__(self, path, state):
        self.log = f"{work}/log"
        self.begun = time.monotonic()
        self.process = subprocess.Popen([binary, "run", path, "--state-dir", f"{work}/{state}", "--threads", "1"], env=environment, stderr=open(self.log, "w"))

    def until_running(self):
        while "task running" not in open(self.log).read():
            if self.process.poll() is not None or time.monotonic() - self.begun > 600:
                sys.exit(open(self.log).read()[-3000:])
            time.sleep(0.01)
        return time.monotonic() - self.begun

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start(path, state):
    run = Run(path, state)
    seconds = run.until_running()
    cpu = cpu_seconds(run.process.pid)
    time.sleep(2)
    peak, now = memory(run.process.pid)
    run.stop()
    return seconds, cpu, peak, now


tag = os.getpid()
empty, many = topology(f"ledger-empty-{tag}"), topology(f"ledger-many-{tag}")
name = f"ledger-many-{tag}"
for path, of in ((empty, f"ledger-empty-{tag}"), (many, name)):
    for value in ("1,a", "#EOF"):
        send(producer, f"{of}.rows", value, key="upload 0000000.csv", partition=0)
    producer.flush()
    run = Run(path, of)
    until_committed(brokers, of)
    time.sleep(1.5)
    run.stop()

reader = Consumer({"bootstrap.servers": brokers, "group.id": "ledger", "enable.auto.commit": False})
reader.assign([TopicPartition(f"{name}.status", 0, 0)])
while True:
    status = json.loads(reader.poll(10).value())
    if status["state"] == "PUBLISHED":
        break
reader.close()
for upload in range(1, uploads):
    of = f"upload {upload:07}.csv"
    status["upload"], status["offsets"] = of, {key: 2 * upload + place for place, key in enumerate(status["offsets"])}
    send(producer, f"{name}.status", json.dumps(status), key=of, partition=0)
    for value in ("1,a", "#EOF"):
        send(producer, f"{name}.rows", value, key=of, partition=0)
    if upload % 10000 == 0:
        producer.poll(0)
producer.flush()
# Without a commit and without state the newest end says how far the others came.
shutil.rmtree(f"{work}/{name}")
subprocess.run(["script/kafka", "tool", "consumer-groups", "--bootstrap-server", brokers, "--delete", "--group", name], check=True, stdout=subprocess.DEVNULL)
run = Run(many, name)
until_committed(brokers, name)
time.sleep(2)
run.stop()
_, _, _, base = start(empty, f"ledger-empty-{tag}")
for what in ("with its state", "with its state", "without state", "with its state"):
    if what == "without state":
        shutil.rmtree(f"{work}/{name}")
    seconds, cpu, peak, now = start(many, name)
    print(json.dumps({"uploads": uploads, "start": what, "seconds": round(seconds, 2), "cpu_s": round(cpu, 2), "memory_mib": round(now - base, 1), "peak_mib": round(peak - base, 1), "beside_mib": round(base, 1)}), flush=True)
shutil.rmtree(work)
