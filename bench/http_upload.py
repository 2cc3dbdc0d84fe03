"""http_upload.py WORK ROWS BIG_BYTES SLOW: uploads over HTTP beside `publish`, for script/bench http.

Prints the seconds from the first byte sent to the workbook for both ways, in turns; the peak memory of `run --http` over an upload of BIG_BYTES;
and how long small uploads take alone and beside SLOW connections that send one byte in ten seconds.
"""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

work, rows, big_bytes, slow = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
here = os.path.dirname(os.path.abspath(__file__))
binary, brokers = os.environ["SHEETSTREAM_BIN"], os.environ["KAFKA_BOOTSTRAP"]
topology = os.path.join(work, "topology.toml")
with open(os.path.join(here, "topology.toml")) as sketch, open(topology, "w") as out:
    text = sketch.read().replace("${SS_APP}", "bench-http").replace("${SS_INPUT}", "bench-http-rows")
    out.write(text.replace("${SS_OUTPUT}", "bench-http-workbooks").replace('header = ["id", "name", "sheet", "x", "y", "a", "b"]', 'header = "first"'))
subprocess.run([binary, "topics", "create", "-t", topology, "--partitions", "1", "--brokers", brokers], check=True, stdout=subprocess.DEVNULL)
log = open(os.path.join(work, "run.log"), "w+")
run = subprocess.Popen([binary, "run", topology, "--brokers", brokers, "--http", "127.0.0.1:0", "--state-dir", os.path.join(work, "state"), "--spool-dir", work], stderr=log)


def port():
    while True:
        log.seek(0)
        found = re.search(r"HTTP is served address=\S+:(\d+)", log.read())
        if found:
            return int(found.group(1))
        time.sleep(0.05)


PORT = port()


def ask(method, path, body=None, length=None):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=600)
    connection.request(method, path, body=body, headers={"content-length": str(length)} if length else {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def finished(upload):
    while True:
        status, body = ask("GET", f"/uploads/{upload}")
        if status == 200 and body["state"] == "PUBLISHED":
            return body
        if status == 200 and body["state"] in ("FAILED", "ABORTED"):
            raise SystemExit(json.dumps(body))
        time.sleep(0.02)


def generate(count, name, mark):
    """A file of its own content, so that nothing is answered from before."""
    path = os.path.join(work, name)
    subprocess.run([sys.executable, os.path.join(here, "gen.py"), str(count), path], check=True)
    with open(path, "a", encoding="utf-8") as out:
        out.write(f"0,{mark},mark,900000,1900000,0,0\n")
    return path


def by_http(path):
    begun = time.monotonic()
    with open(path, "rb") as body:
        status, upload = ask("POST", f"/uploads?name={os.path.basename(path)}", body, os.path.getsize(path))
    if status != 201:
        raise SystemExit(f"{status}: {upload}")
    finished(upload["id"])
    return time.monotonic() - begun


def by_publish(path):
    begun = time.monotonic()
    subprocess.run([binary, "publish", path, "-t", topology, "--brokers", brokers], check=True, stderr=subprocess.DEVNULL)
    finished(os.path.basename(path))
    return time.monotonic() - begun


def peak_mib():
    with open(f"/proc/{run.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1)) / 1024


def dribble(stop):
    """Connections that send one byte in ten seconds, half of them of a head, half of a body; one that is closed is opened again."""
    sockets = [None] * slow
    while not stop.is_set():
        for i in range(slow):
            try:
                if sockets[i] is None:
                    sockets[i] = socket.create_connection(("127.0.0.1", PORT), timeout=5)
                    head = "GET /version HTTP/1.1\r\nhost: localh" if i % 2 else "POST /uploads HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
                    sockets[i].sendall(head.encode())
                else:
                    sockets[i].sendall(b"x")
            except OSError:
                sockets[i] = None
        stop.wait(9.5)
    for opened in filter(None, sockets):
        opened.close()


def latencies(count, mark):
    taken = []
    for n in range(count):
        body = "id,name,sheet,x,y,a,b\n" + "".join(f"{i},{mark} {n},a,900000,1900000,0,0\n" for i in range(200))
        begun = time.monotonic()
        status, upload = ask("POST", "/uploads?name=small.csv", body.encode(), len(body.encode()))
        if status != 201:
            raise SystemExit(f"{status}: {upload}")
        taken.append(time.monotonic() - begun)
    taken.sort()
    return taken[len(taken) // 2] * 1e3, taken[int(len(taken) * 0.99)] * 1e3


try:
    latencies(5, "warm")
    for turn in range(3):
        path = generate(rows, f"turn-{turn}.csv", f"publish {turn}")
        published = by_publish(path)
        uploaded = by_http(generate(rows, f"turn-{turn}.csv", f"http {turn}"))
        size = os.path.getsize(path) / 1e6
        print(f"{size:.0f} MB: publish {published:.2f} s, HTTP {uploaded:.2f} s, ratio {uploaded / published:.2f}", flush=True)
    if slow:
        alone = latencies(200, "alone")
        stop = threading.Event()
        slowly = threading.Thread(target=dribble, args=(stop,))
        slowly.start()
        time.sleep(3)
        beside = latencies(200, "beside")
        stop.set()
        slowly.join()
        print(f"small uploads: alone p50 {alone[0]:.1f} p99 {alone[1]:.1f} ms, beside {slow} slow connections p50 {beside[0]:.1f} p99 {beside[1]:.1f} ms, ratio of p99 {beside[1] / alone[1]:.2f}", flush=True)
    if big_bytes:
        path = generate(big_bytes // 83, "big.csv", "big")
        with open(f"/proc/{run.pid}/clear_refs", "w") as clear:
            clear.write("5")
        begun = time.monotonic()
        with open(path, "rb") as body:
            status, upload = ask("POST", "/uploads?name=big.csv", body, os.path.getsize(path))
        if status != 201:
            raise SystemExit(f"{status}: {upload}")
        print(f"{os.path.getsize(path) / 1e6:.0f} MB over HTTP: acknowledged after {time.monotonic() - begun:.1f} s, peak memory {peak_mib():.0f} MiB", flush=True)
        finished(upload["id"])
        print(f"workbook after {time.monotonic() - begun:.1f} s, peak memory {peak_mib():.0f} MiB", flush=True)
finally:
    run.terminate()
    run.wait()
