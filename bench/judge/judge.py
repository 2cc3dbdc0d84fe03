"""Neutral load generator, collector and judge for a CSV-rows-to-workbook processor on Kafka.

The processor under test is any command. It gets KAFKA_BOOTSTRAP, SS_INPUT, SS_OUTPUT, SS_APP, SS_STATE, SS_THREADS in its
environment, and is observed only through its output topic and /proc. Progress is seen by probes: uploads of one row and a
marker, put before, in the middle of and after the rows of each partition; a probe's workbook shows that all rows before it on its
partition have been processed.
"""
import argparse
import glob
import io
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP", "localhost:9092")
MAX = 200 * 1024 * 1024
SHEETS = ["건물", "도로", "하천", "상가", "공원"]
GU = ["강남구", "서초구", "마포구", "종로구", "유성구", "해운대구", "수성구", "연수구"]
WHAT = ["은하빌딩", "한빛상가", "미래타워", "샛별아파트", "푸른마을", "나래프라자"]
COLUMNS = ["id", "name", "sheet", "x", "y", "a", "b", "lon", "lat"]


def generate(seed, n):
    """Row tuples, the same for the same seed: EPSG:5179 over South Korea, centimetres, about 80 bytes as CSV."""
    r = random.Random(seed)
    rnd = r.random
    for i in range(1, n + 1):
        yield (i, f"{GU[int(rnd() * 8)]} {WHAT[int(rnd() * 6)]} {int(rnd() * 99999)}호", SHEETS[int(rnd() * 5)],
               round(860000 + rnd() * 340000, 2), round(1480000 + rnd() * 580000, 2), int(rnd() * 10000),
               round(rnd() * 100, 2))


def csv_line(row):
    return "%d,%s,%s,%.2f,%.2f,%d,%.2f" % row


class Topics:
    def __init__(self, tag, partitions):
        self.admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        self.input, self.output, self.app = f"in-{tag}", f"out-{tag}", f"app-{tag}"
        new = [NewTopic(self.input, partitions, 1),
               NewTopic(self.output, partitions, 1, config={"max.message.bytes": str(MAX)})]
        for f in self.admin.create_topics(new).values():
            f.result(30)

    def drop(self):
        names = [t for t in self.admin.list_topics(timeout=30).topics
                 if t in (self.input, self.output) or t.startswith(self.app + "-")]
        for f in self.admin.delete_topics(names).values():
            try:
                f.result(30)
            except Exception as e:  # a topic already gone is no failure of the run
                print("drop:", e, file=sys.stderr)


class Feeder:
    def __init__(self, topic):
        self.topic = topic
        self.p = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, "batch.num.messages": 10000,
                           "enable.idempotence": True, "queue.buffering.max.messages": 2_000_000, "acks": "all"})

    def rows(self, upload, partition, rows):
        key, n = upload.encode(), 0
        for row in rows:
            while True:
                try:
                    self.p.produce(self.topic, value=csv_line(row).encode(), key=key, partition=partition)
                    break
                except BufferError:
                    self.p.poll(0.05)
            n += 1
            if n % 20000 == 0:
                self.p.poll(0)
        return n

    def eof(self, upload, partition, n):
        self.p.produce(self.topic, value=b"#EOF rows=%d" % n, key=upload.encode(), partition=partition)

    def probe(self, name, partition):
        self.rows(name, partition, generate(7, 1))
        self.eof(name, partition, 1)

    def flush(self):
        if self.p.flush(120):
            sys.exit("load: flush timed out")


class Collector(threading.Thread):
    """Notes when each workbook is complete; joins chunks named by a header ss-chunk: i/n (i from 1)."""

    def __init__(self, topic, partitions):
        super().__init__(daemon=True)
        self.c = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "judge-" + topic, "enable.auto.commit": False,
                           "isolation.level": "read_committed", "fetch.message.max.bytes": MAX,
                           "receive.message.max.bytes": MAX + 1024 * 1024, "fetch.max.bytes": MAX,
                           "fetch.wait.max.ms": 100})
        self.c.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        self.seen, self.parts, self.extra = {}, {}, 0
        self.cond, self.stop = threading.Condition(), False

    def run(self):
        while not self.stop:
            m = self.c.poll(0.2)
            if m is None:
                continue
            now = time.monotonic()
            if m.error():
                print("judge:", m.error(), file=sys.stderr)
                continue
            key, value = m.key().decode(), m.value()
            head = dict(m.headers() or []).get("ss-chunk")
            if head:
                i, n = (int(v) for v in head.decode().split("/"))
                got = self.parts.setdefault(key, {})
                got[i] = value
                if len(got) < n:
                    continue
                value = b"".join(got[k] for k in sorted(got))
                del self.parts[key]
            with self.cond:
                if key in self.seen:
                    self.extra += 1
                else:
                    self.seen[key] = (now, value)
                self.cond.notify_all()
        self.c.close()

    def wait(self, keys, alive, timeout):
        """Time of the last of the keys."""
        end = time.monotonic() + timeout
        with self.cond:
            while not all(k in self.seen for k in keys):
                if not alive():
                    sys.exit("the processor ended")
                if time.monotonic() > end:
                    sys.exit(f"timed out waiting for {[k for k in keys if k not in self.seen]}")
                self.cond.wait(0.5)
            return max(self.seen[k][0] for k in keys)


class Subject:
    """The processor: one or more processes with the same command."""

    def __init__(self, cmd, topics, state, threads, procs, log):
        self.state, self.log, self.procs = state, log, []
        os.makedirs(state, exist_ok=True)
        self.started = time.monotonic()
        for i in range(procs):
            env = dict(os.environ, KAFKA_BOOTSTRAP=BOOTSTRAP, SS_INPUT=topics.input, SS_OUTPUT=topics.output,
                       SS_APP=topics.app, SS_STATE=state if procs == 1 else os.path.join(state, str(i)),
                       SS_THREADS=str(threads))
            self.procs.append(subprocess.Popen(shlex.split(cmd), env=env, stdout=log, stderr=log, start_new_session=True))

    def alive(self):
        return all(p.poll() is None for p in self.procs)

    def usage(self):
        hwm = cpu = wrote = 0
        for p in self.procs:
            hwm += proc_status(p.pid, "VmHWM")
            cpu += proc_cpu(p.pid)
            with open(f"/proc/{p.pid}/io") as f:
                wrote += int([l for l in f if l.startswith("write_bytes")][0].split()[1])
        return {"rss_mib": round(hwm / 1024), "cpu_s": round(cpu, 2), "disk_written_mib": round(wrote / 2**20, 1)}

    def end(self, sig=signal.SIGTERM):
        for p in self.procs:
            p.send_signal(sig)
        for p in self.procs:
            try:
                p.wait(60)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def proc_status(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return int([l for l in f if l.startswith(field + ":")][0].split()[1])


def proc_cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def thread_cpu(pid):
    """CPU seconds by thread name, the six largest: separates JIT and collector work from the processor's own."""
    total = {}
    for f in glob.glob(f"/proc/{pid}/task/*/stat"):
        try:
            with open(f) as g:
                head, v = g.read().rsplit(")", 1)
        except FileNotFoundError:
            continue
        name, v = head.split("(", 1)[1].rstrip("0123456789#-"), v.split()
        total[name] = total.get(name, 0) + (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")
    return {k: round(c, 2) for k, c in sorted(total.items(), key=lambda i: -i[1])[:6]}


def tree_mib(path):
    total = 0
    for d, _, files in os.walk(path):
        for name in files:
            try:
                total += os.stat(os.path.join(d, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return round(total / 2**20, 1)


def log_mib(prefix):
    """Bytes of the broker's log segments of topics with this prefix, if the broker's log directory is given."""
    root = os.environ.get("KAFKA_LOG_DIR")
    if not root:
        return None
    return round(sum(os.path.getsize(f) for f in glob.glob(f"{root}/{prefix}*/*.log")) / 2**20, 1)


def broker_cpu():
    pid = os.environ.get("BROKER_PID")
    return proc_cpu(pid) if pid else 0.0


def verify(data, seed, n):
    """An independent reader: rows per sheet, and 100 sampled rows cell by cell, lon/lat against PROJ."""
    import python_calamine
    from pyproj import Transformer
    want = list(generate(seed, n))
    count = {}
    for row in want:
        count[row[2]] = count.get(row[2], 0) + 1
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    pick = {row[0]: row for row in random.Random(1).sample(want, min(100, n))}
    tr = Transformer.from_crs("EPSG:5179", "EPSG:4326", always_xy=True)
    worst, errors, found = 0.0, [], 0
    names = [name for name in book.sheet_names if name != "About"]  # where the workbook comes from; only ours has one
    if sorted(names) != sorted(count):
        errors.append(f"sheets {names}")
    for name in names:
        rows = book.get_sheet_by_name(name).to_python()
        if rows and rows[0] == COLUMNS:
            rows = rows[1:]
        if len(rows) != count.get(name):
            errors.append(f"{name}: {len(rows)} rows, not {count.get(name)}")
        if len({r[0] for r in rows}) != len(rows):
            errors.append(f"{name}: repeated ids")
        for r in rows:
            w = pick.get(int(r[0]))
            if w is None:
                continue
            found += 1
            lon, lat = tr.transform(w[3], w[4])
            worst = max(worst, abs(r[7] - lon), abs(r[8] - lat))
            if tuple(r[:7]) != w or len(r) != 9 or any(isinstance(v, str) for v in (r[0], *r[3:])):
                errors.append(f"row {r} is not {w}")
    if found != len(pick):
        errors.append(f"{found} of {len(pick)} samples found")
    if worst > 1e-9:
        errors.append(f"lon/lat off by {worst:.3g} deg")
    return {"ok": not errors, "worst_deg": float(f"{worst:.2g}"), **({"errors": errors[:5]} if errors else {})}


def run_drain(a, tag, kill=None):
    topics = Topics(tag, a.partitions)
    state, log = tempfile.mkdtemp(prefix="state-"), open(a.log, "ab")
    per = a.rows // a.uploads
    names = [f"f{i + 1}.csv" for i in range(a.uploads)]
    feed = Feeder(topics.input)
    t = time.monotonic()
    for p, name in enumerate(names):
        feed.probe(f"head-{p}", p)
        if kill:
            rows = list(generate(p, per))
            feed.rows(name, p, rows[:per // 2])
            feed.probe(f"mid-{p}", p)
            feed.rows(name, p, rows[per // 2:])
        else:
            feed.rows(name, p, generate(p, per))
        if a.inline:
            feed.eof(name, p, per)
        feed.probe(f"tail-{p}", p)
    feed.flush()
    out = {"preload_s": round(time.monotonic() - t, 2), "input_mib": log_mib(topics.input + "-")}
    time.sleep(a.settle)
    judge = Collector(topics.output, a.partitions)
    judge.start()
    time.sleep(1)
    b0 = broker_cpu()
    s = Subject(a.cmd, topics, state, a.threads, a.procs, log)
    try:
        first = min(judge.wait([f"head-{p}"], s.alive, a.timeout) for p in range(a.uploads))
        out["first_s"] = round(first - s.started, 2)
        if kill:
            judge.wait([f"mid-{p}" for p in range(a.uploads)], s.alive, a.timeout)
            s.end(signal.SIGKILL)
            out["state_at_kill_mib"] = tree_mib(state)
            if kill == "wipe":
                shutil.rmtree(state)
            before = judge.extra
            s = Subject(a.cmd, topics, state, a.threads, a.procs, log)
        drained = judge.wait([f"tail-{p}" for p in range(a.uploads)], s.alive, a.timeout)
        if kill:
            out["restart_s"] = round(drained - s.started, 2)
        else:
            out["drain_s"] = round(drained - first, 2)
            out["rows_per_s"] = round(per * a.uploads / (drained - first))
            out["rows_per_s_incl_start"] = round(per * a.uploads / (drained - s.started))
        out["drain_cpu_s"] = s.usage()["cpu_s"]
        out["rss_drain_mib"] = s.usage()["rss_mib"]
        out["state_mib"] = tree_mib(state)
        t = time.monotonic()
        for p, name in enumerate(names):
            if not a.inline:
                feed.eof(name, p, per)
        feed.flush()
        done = judge.wait(names, s.alive, a.timeout)
        out["eof_s"] = round(done - t, 3)
        out["total_s"] = round(done - s.started, 2)
        out.update(s.usage())
        out["threads_cpu_s"] = thread_cpu(s.procs[0].pid)
        out["broker_cpu_s"] = round(broker_cpu() - b0, 2)
        out["xlsx_mib"] = round(sum(len(judge.seen[n][1]) for n in names) / 2**20, 2)
        if a.linger:
            time.sleep(a.linger)
            out["state_after_mib"] = tree_mib(state)
            out["cpu_after_s"] = s.usage()["cpu_s"]
    finally:
        s.end()
    out["changelog_mib"] = log_mib(topics.app + "-")
    out["verify"] = [verify(judge.seen[n][1], p, per) for p, n in enumerate(names)]
    out["repeated_outputs"] = judge.extra
    if a.keep:
        for n in names:
            with open(os.path.join(a.keep, f"{a.label}-{n}.xlsx"), "wb") as f:
                f.write(judge.seen[n][1])
    judge.stop = True
    judge.join(5)
    topics.drop()
    shutil.rmtree(state, ignore_errors=True)
    return out


def run_latency(a, tag):
    topics = Topics(tag, a.partitions)
    state, log = tempfile.mkdtemp(prefix="state-"), open(a.log, "ab")
    feed, judge = Feeder(topics.input), Collector(topics.output, a.partitions)
    judge.start()
    s = Subject(a.cmd, topics, state, a.threads, a.procs, log)
    times, checks = [], []
    try:
        for k in range(a.latency):
            name = f"f{k}.csv"
            feed.rows(name, 0, generate(k, a.rows))
            feed.probe(f"tail-{k}", 0)
            feed.flush()
            judge.wait([f"tail-{k}"], s.alive, a.timeout)
            time.sleep(1)
            t = time.monotonic()
            feed.eof(name, 0, a.rows)
            feed.flush()
            times.append(round(judge.wait([name], s.alive, a.timeout) - t, 3))
        use = s.usage()
    finally:
        s.end()
    for k in range(a.latency):
        checks.append(verify(judge.seen[f"f{k}.csv"][1], k, a.rows)["ok"])
    judge.stop = True
    judge.join(5)
    topics.drop()
    shutil.rmtree(state, ignore_errors=True)
    return {"eof_first_s": times[0], "eof_p50_s": statistics.median(times), "eof_all_s": times, "verified": all(checks), **use}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--cmd", required=True)
    p.add_argument("--label", required=True)
    p.add_argument("--rows", type=int, default=30000)
    p.add_argument("--uploads", type=int, default=1, help="each on its own partition")
    p.add_argument("--partitions", type=int, default=4)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--procs", type=int, default=1)
    p.add_argument("--latency", type=int, default=0, help="marker-to-workbook latency over this many uploads")
    p.add_argument("--kill", choices=["keep", "wipe"], help="kill -9 at half, restart with or without the state directory")
    p.add_argument("--inline", action="store_true", help="the marker follows the rows at once; drain then includes the workbook")
    p.add_argument("--timeout", type=float, default=300)
    p.add_argument("--settle", type=float, default=1)
    p.add_argument("--linger", type=float, default=0, help="seconds to wait at the end, for clean-up work")
    p.add_argument("--keep", help="folder for the workbooks")
    p.add_argument("--log", default=os.devnull, help="the processor's output")
    p.add_argument("--results", default="results.jsonl")
    a = p.parse_args()
    tag = f"{a.label}-{a.rows}-{int(time.time()) % 1000000}"
    out = run_latency(a, tag) if a.latency else run_drain(a, tag, a.kill)
    mode = "latency" if a.latency else f"kill-{a.kill}" if a.kill else "drain"
    out = {"label": a.label, "mode": mode, "rows": a.rows, "uploads": a.uploads, "threads": a.threads, "procs": a.procs, **out}
    line = json.dumps(out, ensure_ascii=False)
    with open(a.results, "a") as f:
        f.write(line + "\n")
    print(line)


main()
