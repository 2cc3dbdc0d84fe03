#!/usr/bin/env python3
"""A receiver of alerts to try the others with: prints each one as a line, keeps the last 1,000, and shows what they link to.

POST /            what Alertmanager's webhook sends
GET  /            the alerts that came, as a JSON list, the last one at the end
GET  /runbooks    runbooks.md of the folder of documents, with an anchor for each heading; /metrics and the others likewise
It is no pager: it forgets everything when it ends. Usage: alerts.py [ADDRESS:PORT [DOCS]]
"""

import collections
import html
import http.server
import json
import pathlib
import re
import sys

BYTES_MAX = 1 << 20
received = collections.deque(maxlen=1000)


def page(markdown):
    """The text as it is; headings of level 2 are anchors."""
    text = html.escape(markdown)
    anchor = lambda heading: f'<b id="{heading[1].lower().replace(" ", "-")}">## {heading[1]}</b>'
    text = re.sub(r"^## (.+)$", anchor, text, flags=re.MULTILINE)
    return f'<!doctype html><meta charset="utf-8"><title>sheetstream</title><pre style="white-space:pre-wrap">{text}</pre>'


class Receiver(http.server.BaseHTTPRequestHandler):
    docs = pathlib.Path("docs")

    def answer(self, status, body=b"", kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        if size > BYTES_MAX:
            return self.answer(413)
        for alert in json.loads(self.rfile.read(size))["alerts"]:
            labels, notes = alert["labels"], alert["annotations"]
            received.append(alert)
            line = [alert["status"], labels.get("severity", "-"), labels["alertname"], notes.get("summary", ""), notes.get("runbook_url", "")]
            print("\t".join(json.dumps(word, ensure_ascii=False).strip('"') for word in line), flush=True)
        self.answer(200)

    def do_GET(self):
        name = self.path.split("?")[0].removeprefix("/")
        if not name:
            return self.answer(200, json.dumps(list(received), ensure_ascii=False).encode())
        if name not in [document.stem for document in self.docs.glob("*.md")]:
            return self.answer(404)
        self.answer(200, page((self.docs / f"{name}.md").read_text("utf-8")).encode(), "text/html; charset=utf-8")

    def log_message(self, *_):
        """Requests are no news; alerts are."""


if __name__ == "__main__":
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9095").rpartition(":")
    if len(sys.argv) > 2:
        Receiver.docs = pathlib.Path(sys.argv[2])
    http.server.ThreadingHTTPServer((host, int(port)), Receiver).serve_forever()
