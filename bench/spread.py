"""The same rows over four partitions, keyed and spread: four uploads with keys, then one upload without, by turns.

Usage: spread.py BROKERS [ROWS [ROUNDS]]    SHEETSTREAM_BIN names the binary
The topics are full before the process starts. Prints a line for each run: rows a second from the first commit of the group to the last
workbook, and CPU; and the ratio of the medians. Fails when rows are missing."""
import json, os, resource, statistics, subprocess, sys, tempfile, time

from confluent_kafka import Consumer, Producer

from client import send

brokers, rows = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
binary = os.environ["SHEETSTREAM_BIN"]
work = tempfile.mkdtemp(prefix="sheetstream-spread-")
PARTITIONS = 4
TOPOLOGY = '''name = "{name}"
[[source]]
name = "rows"
placement = "{placement}"
header = ["id", "name", "sheet", "x", "y", "a", "b"]
[[map]]
name = "wgs84"
reproject = {{ from = "EPSG:5179", to = "EPSG:4326", x = "x", y = "y", into = ["lon", "lat"] }}
[[aggregate]]
name = "by-sheet"
sheet = "sheet"
[[sink]]
name = "workbooks"
'''


def publish(topic, placement):
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 50, "queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 1_000_000})

    def send_row(partition, value):
        # Keyed, a partition is an upload; spread, all of them are one, which no key names.
        key = f"{partition}.csv" if placement == "keyed" else None
        headers = [] if key else [("ss-upload", "all.csv")]
        send(producer, topic, value, key=key, partition=partition, headers=headers)

    for n in range(rows):
        # As a sticky partitioner does: a batch of rows to one partition, then to the next.
        send_row(n // 200 % PARTITIONS, f"{n},은하구 샛별동 {n % 9000},구역{n % 5 + 1},{880000 + n % 300000}.{n % 1000:03},{1620000 + n % 440000}.5,{n % 100000},{n % 1000}.25")
        if n % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    for partition in range(PARTITIONS if placement == "keyed" else 1):
        send_row(partition, "#EOF" if placement == "keyed" else f"#EOF rows={rows}")
    producer.flush()


def run(placement, number):
    name = f"spread-{placement}-{number}-{os.getpid()}"
    topology, state = f"{work}/{name}.toml", f"{work}/{name}.state"
    with open(topology, "w") as file:
        file.write(TOPOLOGY.format(name=name, placement=placement))
    environment = dict(os.environ, SHEETSTREAM_BROKERS=brokers, SHEETSTREAM_STATE_DIR=state)
    subprocess.run([binary, "topics", "create", "--partitions", str(PARTITIONS), "-t", topology], check=True, env=environment, stdout=subprocess.DEVNULL)
    publish(f"{name}.rows", placement)
    status = Consumer({"bootstrap.servers": brokers, "group.id": f"{name}.bench", "auto.offset.reset": "earliest"})
    status.subscribe([f"{name}.status"])
    status.poll(1.0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(f"{work}/{name}.log", "w") as log:
        process = subprocess.Popen([binary, "run", topology, "--threads", "2"], env=environment, stderr=log)
    begun = written = 0
    while written < rows:
        message = status.poll(0.05)
        if not begun:
            with open(f"{work}/{name}.log") as log:
                begun = time.monotonic() if "task running" in log.read() else 0
        if message is not None and not message.error():
            record = json.loads(message.value())
            written += record["accounting"]["written"] if record["state"] == "PUBLISHED" else 0
        if process.poll() is not None:
            sys.exit(f"spread: run stopped at {written} rows; see {work}/{name}.log")
    wall = time.monotonic() - begun
    with open(f"/proc/{process.pid}/status") as fields:
        peak = next(int(line.split()[1]) / 1024 for line in fields if line.startswith("VmHWM"))
    process.terminate()
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{placement:8} {rows / wall:9.0f} rows/s {wall:7.2f} s {cpu:7.2f} s CPU {peak:6.0f} MiB", flush=True)
    return wall


print(f"{rows} rows over {PARTITIONS} partitions, {os.cpu_count()} processors")
walls = {"keyed": [], "spread": []}
for number in range(rounds):
    for placement, wall in walls.items():
        wall.append(run(placement, number))
keyed, spread = (statistics.median(wall) for wall in walls.values())
print(f"spread has {keyed / spread:.0%} of keyed's rate")
