#!/usr/bin/env python3
"""Draws the dashboards as pictures, from what a Prometheus answers: to look at them without a Grafana.

It draws what decides whether a dashboard answers its questions: places, titles, numbers with their colours, lines, tables, and "No data". It is
no Grafana: no axes of its precision, no transformations. Collapsed rows are drawn open.

Usage: grafana/render.py PROMETHEUS_URL OUTPUT_FOLDER [MINUTES]      needs chromium for the PNG files
"""

import html
import json
import math
import pathlib
import subprocess
import sys
import time
import urllib.parse
import urllib.request

COLUMN, ROW, WIDTH = 58, 34, 24 * 58
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#F0E442"]


class Prometheus:
    def __init__(self, url, minutes):
        self.url, self.end, self.minutes = url.rstrip("/"), time.time(), minutes

    def ask(self, kind, query, **parameters):
        for name in ("$job", "$instance", "$topology"):
            query = query.replace(name, ".+")
        query = query.replace("$__rate_interval", "1m").replace("$__range", f"{self.minutes}m")
        address = f"{self.url}/api/v1/{kind}?" + urllib.parse.urlencode({"query": query, **parameters})
        with urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)["data"]["result"]

    def now(self, query):
        return self.ask("query", query, time=self.end)

    def range(self, query):
        begin = self.end - 60 * self.minutes
        return self.ask("query_range", query, start=begin, end=self.end, step=max(1, self.minutes * 60 // 240))


def number(value, unit):
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞"
    if unit == "bool_yes_no":
        return "Yes" if value else "No"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in ("bytes", "Bps"):
        for name in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024 or name == "GiB":
                return f"{value:.3g} {name}" + ("/s" if unit == "Bps" else "")
            value /= 1024
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s" if value < 3600 else f"{value / 3600:.3g} h"
    return f"{value:,.4g}" + {"rowsps": " rows/s", "recps": " rec/s", "reqps": " req/s", "ops": " /s"}.get(unit, "")


def colour(defaults, value):
    if math.isnan(value):
        return defaults["mappings"][0]["options"]["result"]["color"]
    steps = defaults["thresholds"]["steps"]
    return [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]


def legend(form, labels):
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form


def stat(panel, prometheus):
    defaults = panel["fieldConfig"]["defaults"]
    found = prometheus.now(panel["targets"][0]["expr"])
    if not found:
        return '<p class="none">No data</p>'
    value = float(found[0]["value"][1])
    shown = defaults["mappings"][0]["options"]["result"]["text"] if math.isnan(value) else number(value, defaults["unit"])
    return f'<p class="stat" style="background:{colour(defaults, value)}">{html.escape(shown)}</p>'


def table(panel, prometheus):
    columns = panel["transformations"][0]["options"]["include"]["names"]
    rows = [[series["metric"].get(name, "") for name in columns] for series in prometheus.now(panel["targets"][0]["expr"])]
    if not rows:
        return '<p class="none">No data</p>'
    line = lambda tag, cells: "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
    return "<table>" + line("th", columns) + "".join(line("td", row) for row in rows) + "</table>"


def graph(panel, prometheus, width, height):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    fixed = {o["matcher"]["options"]: o["properties"][0]["value"]["fixedColor"] for o in panel["fieldConfig"]["overrides"]}
    lines = [
        (legend(target["legendFormat"], series["metric"]), [(float(t), float(v)) for t, v in series["values"]])
        for target in panel["targets"]
        for series in prometheus.range(target["expr"])
    ]
    lines = [(name, [(t, v) for t, v in points if math.isfinite(v)]) for name, points in lines]
    lines = [(name, points) for name, points in lines if points]
    if not lines:
        return '<p class="none">No data</p>'
    top = max(v for _, points in lines for _, v in points) or 1
    begin, plot = prometheus.end - 60 * prometheus.minutes, height - 62
    x = lambda t: 82 + (t - begin) / (60 * prometheus.minutes) * (width - 100)
    y = lambda v: 8 + (1 - v / top) * (plot - 16)
    drawn = [f'<text x="78" y="{y(v) + 4:.0f}" text-anchor="end">{html.escape(number(v, unit))}</text><line x1="82" x2="{width - 18}" y1="{y(v):.0f}" y2="{y(v):.0f}" stroke="#ddd"/>' for v in (0, top / 2, top)]
    names = []
    for index, (name, points) in enumerate(lines[:8]):
        stroke = fixed.get(name, PALETTE[index % len(PALETTE)])
        path = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="2"/>')
        if len(points) == 1:
            drawn.append(f'<circle cx="{x(points[0][0]):.1f}" cy="{y(points[0][1]):.1f}" r="3" fill="{stroke}"/>')
        names.append(f'<span style="color:{stroke}">■</span> {html.escape(name)}')
    return f'<svg width="{width}" height="{plot}">{"".join(drawn)}</svg><p class="legend">{"  ".join(names)}</p>'


def draw(dashboard, prometheus):
    drawn = []
    for entry in dashboard["panels"]:
        for panel in [entry, *entry.get("panels", [])]:
            place = panel["gridPos"]
            width, height = place["w"] * COLUMN - 8, place["h"] * ROW - 8
            body = {
                "row": lambda: "",
                "stat": lambda: stat(panel, prometheus),
                "table": lambda: table(panel, prometheus),
                "timeseries": lambda: graph(panel, prometheus, width, height),
            }[panel["type"]]()
            kind = "row" if panel["type"] == "row" else "panel"
            style = f"left:{place['x'] * COLUMN}px;top:{place['y'] * ROW}px;width:{width}px;height:{height}px"
            drawn.append(f'<div class="{kind}" style="{style}"><b>{html.escape(panel["title"])}</b>{body}</div>')
    tall = max((p["gridPos"]["y"] + p["gridPos"]["h"]) for e in dashboard["panels"] for p in [e, *e.get("panels", [])]) * ROW + 60
    style = """body{margin:8px;background:#f4f5f5;font:13px sans-serif;position:relative}.panel{position:absolute;background:#fff;border:1px solid #ddd;overflow:hidden}
      .panel>b{display:block;padding:4px 8px}.row{position:absolute;font-size:15px;padding-top:6px}.none{color:#888;text-align:center;margin-top:24px}
      .stat{color:#fff;font-size:30px;text-align:center;margin:6px;padding:18px 0}.legend{margin:2px 8px;font-size:11px}svg text{font-size:11px;fill:#666}
      table{border-collapse:collapse;margin:4px 8px}td,th{border-bottom:1px solid #ddd;padding:2px 12px 2px 0;text-align:left}"""
    return f'<!doctype html><meta charset="utf-8"><style>{style}</style><body>{"".join(drawn)}</body>', tall


if __name__ == "__main__":
    url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    prometheus = Prometheus(url, int(sys.argv[3]) if len(sys.argv) > 3 else 15)
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((pathlib.Path(__file__).parent / "dashboards" / "sheetstream").glob("*.json")):
        page, tall = draw(json.loads(file.read_text("utf-8")), prometheus)
        written = folder / f"{file.stem}.html"
        written.write_text(page, "utf-8")
        chromium = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", f"--window-size={WIDTH + 24},{tall}"]
        subprocess.run([*chromium, f"--screenshot={folder / file.stem}.png", written.resolve().as_uri()], check=True, capture_output=True)
        print(folder / f"{file.stem}.png")
