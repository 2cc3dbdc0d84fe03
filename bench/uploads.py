"""10,000 uploads open at once over one Kafka: peak memory of the process while they are open, and the time until all of them are workbooks.

Usage: uploads.py BROKERS [UPLOADS] [ROWS]    SHEETSTREAM_BIN names the binary
Prints one line; fails when an upload has no workbook."""
import json, os, subprocess, sys, tempfile, time

from confluent_kafka import Consumer, Producer

from client import memory, places, send, until_committed

brokers, uploads, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
binary = os.environ["SHEETSTREAM_BIN"]
name = f"uploads-{os.getpid()}"
work = tempfile.mkdtemp(prefix="sheetstream-uploads-")
topology = f"{work}/topology.toml"
with open(topology, "w") as file:
    file.write(places(name))
environment = dict(os.environ, SHEETSTREAM_BROKERS=brokers, SHEETSTREAM_STATE_DIR=f"{work}/state")
subprocess.run([binary, "topics", "create", "--partitions", "1", "-t", topology], check=True, env=environment, stdout=subprocess.DEVNULL)
producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50, "queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 1_000_000})


def send_row(upload, value):
    send(producer, f"{name}.rows", value, key=f"upload {upload:05}.csv", partition=0)


# Row by row over all uploads, so that every one of them is open until the end.
for row in range(rows):
    for upload in range(uploads):
        send_row(upload, f"{row},Place {row} of {upload} 서울특별시 강남구,kind {row % 5},{953000 + row % 900}.{upload % 100:02},{1952000 + row % 700}")
    producer.poll(0)
producer.flush()

log = open(f"{work}/log", "w")
run = subprocess.Popen([binary, "run", topology, "--threads", "1"], env=environment, stderr=log)


def check(committed, end):
    if run.poll() is not None or time.monotonic() - begun > 1800:
        sys.exit(f"uploads: run stopped or is stuck at {committed} of {end}; see {work}/log")


begun = time.monotonic()
until_committed(brokers, name, check)
read_s, (open_peak, open_now) = time.monotonic() - begun, memory(run.pid)

for upload in range(uploads):
    send_row(upload, f"#EOF rows={rows}")
producer.flush()
status = Consumer({"bootstrap.servers": brokers, "group.id": f"{name}.bench", "auto.offset.reset": "earliest"})
status.subscribe([f"{name}.status"])
published, begun = set(), time.monotonic()
while len(published) < uploads:
    message = status.poll(1.0)
    if message is not None and not message.error():
        record = json.loads(message.value())
        if record["state"] == "PUBLISHED" and record["accounting"]["written"] == rows:
            published.add(record["upload"])
    if run.poll() is not None or time.monotonic() - begun > 1800:
        sys.exit(f"uploads: {len(published)} of {uploads} were published; see {work}/log")
finish_s, (peak, _) = time.monotonic() - begun, memory(run.pid)
run.terminate()
run.wait()
print(f"{uploads} open uploads of {rows} rows: read in {read_s:.1f} s, {open_now:.0f} MiB then, peak {open_peak:.0f} MiB; all workbooks in {finish_s:.1f} s, peak {peak:.0f} MiB")
