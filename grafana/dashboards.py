#!/usr/bin/env python3
"""Writes the dashboards in grafana/dashboards/sheetstream: Overview, Topology, Kafka and state.

A panel here is its question, what to do about a bad answer, and its queries; everything else is the same for all of them. Change this file, run
it, and commit both; tests/grafana.rs checks that they agree. Usage: grafana/dashboards.py [DIRECTORY]
"""

import json
import pathlib
import sys

# Okabe and Ito's colours, which colour-blind people can tell apart. Words of closed lists always have the same one.
BLUE, SKY, GREEN, YELLOW, ORANGE, RED, PINK, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00", "#CC79A7", "#999999",
)
OUTCOMES = {"published": BLUE, "republished": SKY, "incomplete": ORANGE, "failed": RED, "expired": PINK, "aborted": GREY}
FATES = {"written": BLUE, "filtered": SKY, "rejected": RED, "duplicate": ORANGE, "late": PINK, "voided": GREY}
UNUSABLE = {"refused": RED, "unreadable": ORANGE, "missing": PINK}
STATES = {"receiving": BLUE, "incomplete": ORANGE, "stalled": PINK, "failed": RED}
CONDITIONS = {"state": BLUE, "broker": RED, "assignment": ORANGE, "first_fetch": PINK}
PAUSES = {"disk_full": RED, "unavailable": ORANGE, "fenced": SKY, "out_of_range": PINK, "damaged": YELLOW}
REBUILDS = {"lost": ORANGE, "topology": BLUE, "overtaken": PINK, "reset": GREY}
DISCARDS = {"power_loss": BLUE, "format": SKY, "topology": GREEN, "damaged": RED, "hung": ORANGE}
QUANTILES = {"half": BLUE, "99 of 100": ORANGE}
PROGRESS = {"written": ORANGE, "committed": BLUE}
# Where names are not known beforehand: by value, from yellow to blue, which all eyes can order.
BY_VALUE = {"mode": "continuous-YlBl", "seriesBy": "max"}

DATA_SOURCE = {"type": "prometheus", "uid": "$datasource"}
FROM = 'job=~"$job", instance=~"$instance"'
OF = FROM + ', topology=~"$topology"'
GROUP = FROM + ', consumergroup=~"$topology"'


def rate(metric, labels=OF):
    return f"rate({metric}{{{labels}}}[$__rate_interval])"


def increase(metric, labels=OF):
    return f"increase({metric}{{{labels}}}[$__rate_interval])"


def quantiles(metric, labels=OF):
    """The median and what only one of a hundred exceeds."""
    buckets = f"sum by (le) ({rate(metric + '_bucket', labels)})"
    return [(f"histogram_quantile(0.5, {buckets})", "half"), (f"histogram_quantile(0.99, {buckets})", "99 of 100")]


def rows(by):
    """Rows taken in: every row goes into the source first, so the node with the most rows is the source."""
    return f"sum by ({by}) (max by ({by}, job, instance) ({rate('sheetstream_node_rows_total')}))"


# Blue is well, orange is to be looked at, vermilion is for now.
NO_LIMITS = {"mode": "absolute", "steps": [{"color": BLUE, "value": None}]}


def limits(orange, red):
    steps = [{"color": BLUE, "value": None}, {"color": ORANGE, "value": orange}, {"color": RED, "value": red}]
    return {"mode": "absolute", "steps": steps}


def below(red):
    return {"mode": "absolute", "steps": [{"color": RED, "value": None}, {"color": BLUE, "value": red}]}


def panel(kind, title, description, unit, queries, width, height, thresholds):
    queries = queries if isinstance(queries, list) else [queries]
    targets = [
        {"datasource": DATA_SOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True, "refId": "ABCDEF"[n]}
        for n, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATA_SOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": thresholds or NO_LIMITS}, "overrides": []},
    }


def stat(title, description, unit, query, thresholds=None):
    made = panel("stat", title, description, unit, query, 4, 4, thresholds)
    made["fieldConfig"]["defaults"]["color"] = {"mode": "thresholds"}
    made["options"] = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    return made


def graph(title, description, unit, queries, thresholds=None, stacked=False, colors=None):
    made = panel("timeseries", title, description, unit, queries, 8, 8, thresholds)
    style = "dashed" if thresholds else "off"
    made["fieldConfig"]["defaults"].update({
        "color": BY_VALUE,
        "min": 0,
        "custom": {
            "drawStyle": "line",
            "lineWidth": 2,
            "fillOpacity": 30 if stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": style},
        },
    })
    made["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": word}, "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
        for word, color in (colors or {}).items()
    ]
    made["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return made


OVERVIEW = [
    stat("Ready", "Whether every instance can process rows. No: the panel *What is missing* on *Kafka and state* says why; then see the runbook SheetstreamNotReady.",
         "bool_yes_no", (f"min(sheetstream_ready{{{FROM}}})", "ready"), below(1)),
    stat("Degraded", "Whether an instance lives without a broker or with a short disk. Yes: nothing is lost; bring a broker back or make room.",
         "bool_yes_no", (f"max(sheetstream_degraded{{{FROM}}})", "degraded"), limits(1, 1)),
    stat("Behind", "How old the record processed last is while there are more: the worst partition. Above a minute and growing: add threads or instances, up to one a partition.",
         "s", (f"max(sheetstream_consumer_lag_seconds{{{OF}}})", "behind"), limits(60, 600)),
    stat("Rows", "Rows taken in each second. Zero while *Behind* grows: look at *Ready* and at paused tasks.",
         "rowsps", (f"sum({rows('topology')})", "rows")),
    stat("Rejected", "Share of rows that are rejected. Above one of twenty: another CRS or other columns than the topology expects; look at *Dead letters by reason*.",
         "percentunit", (f"sum({rate('sheetstream_node_rows_rejected_total')}) / (sum({rows('topology')}) > 0) or vector(0)", "rejected"), limits(0.01, 0.05)),
    stat("Open uploads", "Uploads that are not finished. Growing without end: publishers do not send their marker; see *Open uploads by state* on *Topology*.",
         "short", (f"sum(sheetstream_uploads_open{{{OF}}})", "open")),
    graph("Rows by topology", "Rows taken in each second. A topology that falls to zero while its lag grows stands still: see *Ready*, and *Paused tasks* on *Kafka and state*.",
          "rowsps", (rows("topology"), "{{topology}}")),
    graph("Behind by topology", "How old the record processed last is while there are more: the worst partition. Growing: add threads or instances, up to one a partition.",
          "s", (f"max by (topology) (sheetstream_consumer_lag_seconds{{{OF}}})", "{{topology}}"), limits(60, 600)),
    graph("From marker to workbook", "From the fetch with the record that completes an upload to the broker's acknowledgement of its workbook. Slow: the broker is slow to acknowledge, or workbooks have very many sheets.",
          "s", quantiles("sheetstream_eof_to_workbook_seconds"), colors=QUANTILES),
    graph("Uploads that ended", "By outcome. Failed or expired: the status topic says why and what to do. Incomplete: rows were missing at the marker.",
          "short", (f"sum by (outcome) ({increase('sheetstream_uploads_total')})", "{{outcome}}"), stacked=True, colors=OUTCOMES),
    graph("Rows by fate", "Counted when their upload ends, as its status says. Many rejected: read the dead letters by reason. Many voided: uploads fail or are begun again.",
          "rowsps", (f"sum by (result) ({rate('sheetstream_rows_total')})", "{{result}}"), stacked=True, colors=FATES),
    graph("Dead letters by reason", "What was refused each second, by the reason in ss-reason. Look the reason up in the documentation, mend the source, publish again.",
          "recps", (f"sum by (reason) ({rate('sheetstream_dead_letters_total')})", "{{reason}}")),
    graph("Processors used", "By instance; 1 is one processor. At the number of threads: processing is what limits, so add threads or instances.",
          "short", (f"sum by (instance) ({rate('process_cpu_seconds_total', FROM)})", "{{instance}}")),
    graph("Memory", "Resident memory by instance. Growing without end: tell us, for it is bounded by partitions and open sheets.",
          "bytes", (f"sum by (instance) (process_resident_memory_bytes{{{FROM}}})", "{{instance}}")),
    graph("Tasks", "Partitions that run on each instance. Fewer in all than the topics have: the group has not settled, or an instance is missing.",
          "short", (f"sum by (instance) (sheetstream_tasks{{{OF}}})", "{{instance}}")),
]

TOPOLOGY = [
    graph("Rows in by node", "Rows that went into each node. Less behind a node than before it: that node rejects or filters; see *Rejected by node*.",
          "rowsps", (f"sum by (topology, node) ({rate('sheetstream_node_rows_total')})", "{{topology}} {{node}}")),
    graph("Rejected by node", "Rows that each node rejects. The source: lines that are no rows. A map: cells that it cannot use. Read the dead letters of that node.",
          "rowsps", (f"sum by (topology, node) ({rate('sheetstream_node_rows_rejected_total')})", "{{topology}} {{node}}")),
    graph("Time by node", "Share of one processor that each node keeps busy. The highest is the one that limits: fewer columns, or more threads and partitions.",
          "percentunit", (f"sum by (topology, node) ({rate('sheetstream_node_duration_seconds_sum')})", "{{topology}} {{node}}")),
    graph("Time for a row", "Mean time that each node takes for one row. Higher than last week for the same files: wider rows, or a processor that is shared.",
          "s", (f"sum by (topology, node) ({rate('sheetstream_node_duration_seconds_sum')}) / (sum by (topology, node) ({rate('sheetstream_node_rows_total')}) > 0)", "{{topology}} {{node}}")),
    graph("Records that gave no row", "Refused: they belong to no upload or are no text; read the dead letters. Missing: retention deleted them before they were read; raise retention.ms.",
          "recps", (f"sum by (result) ({rate('sheetstream_records_unusable_total')})", "{{result}}"), stacked=True, colors=UNUSABLE),
    graph("Open uploads by state", "Stalled or incomplete: the publisher stopped half-way; publish the rest and the marker, or #ABORT.",
          "short", (f"sum by (state) (sheetstream_uploads_open{{{OF}}})", "{{state}}"), stacked=True, colors=STATES),
    graph("Age of the oldest open upload", "Hours for a file that takes minutes: its marker never came. Publish #EOF or #ABORT for it, for the log must be kept from its first row on.",
          "s", (f"time() - min by (topology) (sheetstream_oldest_open_upload_timestamp_seconds{{{OF}}})", "{{topology}}")),
    graph("Duration of uploads", "From the first record to the end, as this process saw it. Longer than usual: the publisher is slow, or we are behind.",
          "s", quantiles("sheetstream_upload_duration_seconds"), colors=QUANTILES),
    graph("Rows that wait", "For a row with a lower ss-row. Growing: a row was never sent; the status INCOMPLETE names what is missing.",
          "short", (f"sum by (topology) (sheetstream_rows_waiting{{{OF}}})", "{{topology}}")),
    graph("Pages cut", "Pages of 1,024 rows written to the state. Zero while rows come in: uploads are smaller than a page, or rows wait for one that is missing.",
          "ops", (f"sum by (topology) ({rate('sheetstream_pages_cut_total')})", "{{topology}}")),
    graph("Workbook size", "Of published workbooks, all topologies. Beyond 64 MiB Excel opens them slowly: drop columns with a select, or publish smaller uploads.",
          "bytes", quantiles("sheetstream_workbook_size_bytes", FROM), colors=QUANTILES),
    graph("Chunks published", "Records that workbooks were sent in. Far more than workbooks: raise record_bytes_max together with max.message.bytes.",
          "recps", (f"sum by (topology) ({rate('sheetstream_chunks_published_total')})", "{{topology}}")),
]

KAFKA_AND_STATE = [
    graph("Lag", "Records between the committed offset and the end, as kafka-consumer-groups --describe says. Growing: add threads or instances, up to one a partition.",
          "short", (f"sum by (consumergroup) (kafka_consumergroup_lag{{{GROUP}}})", "{{consumergroup}}")),
    graph("Largest lags of partitions", "One partition far above the others: one key has most rows, and a single upload is always on one partition. Spread uploads over more keys.",
          "short", (f"topk(10, sum by (topic, partition) (kafka_consumergroup_lag{{{GROUP}}}))", "{{topic}} {{partition}}")),
    graph("Records written and committed", "What publishers add and what is committed, each second. Committed below written: we fall behind. Both zero though publishers say that they send: another topic, or open transactions.",
          "recps", [
              (f"sum(deriv(kafka_topic_partition_current_offset{{{FROM}}}[$__rate_interval]))", "written"),
              (f"sum(deriv(kafka_consumergroup_current_offset{{{GROUP}}}[$__rate_interval]))", "committed"),
          ], colors=PROGRESS),
    graph("Fetched", "Bytes fetched by topic. Flat while the lag grows and *Waiting in memory* is near 0: the broker or the network is slow.",
          "Bps", (f"sum by (topic) ({rate('sheetstream_fetched_bytes_total', FROM)})", "{{topic}}")),
    graph("Waiting in memory", "Bytes fetched that wait for a thread, at most about 8 MiB a partition. At that limit processing is what limits; near 0 while the lag grows, the broker or the network is.",
          "bytes", (f"sum by (topology) (sheetstream_buffered_bytes{{{OF}}})", "{{topology}}")),
    graph("Records consumed", "Records taken from the input topics, those read again included. Zero while the lag grows: see *What is missing* and *Paused tasks*.",
          "recps", (f"sum by (topology) ({rate('sheetstream_records_consumed_total')})", "{{topology}}")),
    graph("Commit time", "One commit of a task: outputs acknowledged, state, offset. Above a second: the state's disk or the broker is slow.",
          "s", quantiles("sheetstream_commit_duration_seconds", FROM), limits(1, 10), colors=QUANTILES),
    graph("Commits that failed", "The task starts again from the one before. fenced passes; disk_full: make room; unavailable: look at the broker.",
          "ops", (f"sum by (reason) ({rate('sheetstream_commit_failures_total', FROM)})", "{{reason}}"), stacked=True, colors=PAUSES),
    graph("Requests", "Sent to brokers, by API. A great many Metadata or FindCoordinator: brokers come and go.",
          "reqps", (f"sum by (api) ({rate('sheetstream_kafka_requests_total', FROM)})", "{{api}}")),
    graph("Failed requests", "By API and code. Codes of authorisation: grant the right that the log names. connection or timeout for minutes: look at the broker. Others pass.",
          "reqps", (f"sum by (api, code) ({rate('sheetstream_kafka_request_errors_total', FROM)})", "{{api}} {{code}}")),
    graph("State", "Bytes of pages that the local state holds for open uploads. Growing without end: uploads are left open; see *Open uploads by state* on *Topology*.",
          "bytes", (f"sum by (topology) (sheetstream_state_size_bytes{{{OF}}})", "{{topology}}")),
    graph("Free on the state's disk", "Near the reserve of 256 MiB: make room, or tasks pause until there is some.",
          "bytes", (f"min by (instance) (sheetstream_state_disk_free_bytes{{{FROM}}})", "{{instance}}")),
    graph("Retention headroom", "Records that retention may still delete before it reaches an open upload; nothing is drawn while it has deleted none. Shrinking towards 0: raise retention.ms now, or end the upload.",
          "short", (f"min by (topology) (sheetstream_retention_headroom_records{{{OF}}})", "{{topology}}")),
    graph("Replay distance", "Records that a start without state would read again. Large: an upload is left open; end it, or lower idle_timeout.",
          "short", (f"sum by (topology) (sheetstream_replay_distance_records{{{OF}}})", "{{topology}}")),
    graph("Rows read again", "After a start, to rebuild state. Never ending: state is lost again and again; keep the state directory on a volume.",
          "rowsps", (f"sum by (topology) ({rate('sheetstream_rows_replayed_total')})", "{{topology}}")),
    graph("Rebuilds", "State built anew from the log, by reason. More than one for each restart: the state directory does not last.",
          "short", (f"sum by (reason) ({increase('sheetstream_rebuilds_total')})", "{{reason}}"), stacked=True, colors=REBUILDS),
    graph("State thrown away", "Because it cannot be trusted. damaged or hung: check the disk. power_loss: see --power-safe.",
          "short", (f"sum by (reason) ({increase('sheetstream_state_discarded_total', FROM)})", "{{reason}}"), stacked=True, colors=DISCARDS),
    graph("Paused tasks", "Tasks that wait to be started again. Above zero for minutes: for disk_full make room, for unavailable look at the broker.",
          "short", (f"sum by (reason) (sheetstream_tasks_paused{{{FROM}}})", "{{reason}}"), stacked=True, colors=PAUSES),
    graph("Tasks that paused", "How often tasks stopped for something that passes, and were to start again. Growing: mend the disk or the broker that the reason names.",
          "short", (f"sum by (reason) ({increase('sheetstream_pauses_total', FROM)})", "{{reason}}"), stacked=True, colors=PAUSES),
    graph("Last record processed", "How long ago. Long while the lag is not 0: processing stands still; see *What is missing* and *Paused tasks*.",
          "s", (f"time() - max by (topology) (sheetstream_last_record_processed_timestamp_seconds{{{OF}}})", "{{topology}}")),
    graph("What is missing", "1 for each condition that an instance does not meet. broker: check addresses. assignment: look at the group. first_fetch: look at the partition's leader.",
          "short", (f"sum by (condition) (1 - sheetstream_ready_condition{{{FROM}}})", "{{condition}}"), stacked=True, colors=CONDITIONS),
    graph("Threads last seen", "How long ago each thread went through its loop. Above a minute: it hangs in a call to the disk or a broker; restart the process.",
          "s", (f"max by (instance, thread) (time() - sheetstream_stream_thread_heartbeat_timestamp_seconds{{{FROM}}})", "{{instance}} {{thread}}"), limits(30, 60)),
    graph("Version", "Instances by version of sheetstream and PROJ. More than one line: finish the roll-out, for workbooks of different versions may differ in bytes.",
          "short", (f"sum by (version, proj_version) (sheetstream_build_info{{{FROM}}})", "{{version}}, PROJ {{proj_version}}")),
    graph("Log lines left out", "Lines that repeated too often. Growing: read the line that says how many more there were.",
          "ops", (f"sum by (instance) ({rate('sheetstream_log_events_suppressed_total', FROM)})", "{{instance}}")),
]


def variable(name, label, query):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATA_SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
    }


VARIABLES = [
    {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"selected": True, "text": "Prometheus", "value": "prometheus"},
        "options": [],
        "refresh": 1,
        "hide": 0,
    },
    variable("job", "Job", "label_values(sheetstream_build_info, job)"),
    variable("instance", "Instance", 'label_values(sheetstream_build_info{job=~"$job"}, instance)'),
    variable("topology", "Topology", f"label_values(sheetstream_tasks{{{FROM}}}, topology)"),
]


def place(panels):
    """Left to right, then down; a row of panels is 24 wide."""
    x = y = lowest = 0
    for number, made in enumerate(panels, 1):
        grid = made["gridPos"]
        if x + grid["w"] > 24:
            x, y = 0, lowest
        grid["x"], grid["y"], made["id"] = x, y, number
        x, lowest = x + grid["w"], max(lowest, y + grid["h"])
    return panels


def dashboard(uid, title, description, panels):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["sheetstream"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["sheetstream"], "title": "sheetstream", "asDropdown": False, "includeVars": True, "keepTime": True}],
        "templating": {"list": VARIABLES},
        "annotations": {"list": []},
        "panels": place(panels),
    }


DASHBOARDS = {
    "overview": dashboard("sheetstream-overview", "Overview", "Healthy? How fast? How far behind? What finished?", OVERVIEW),
    "topology": dashboard("sheetstream-topology", "Topology", "Node by node: rows in, rejected, time; and what became of uploads.", TOPOLOGY),
    "kafka-and-state": dashboard("sheetstream-kafka-and-state", "Kafka and state", "Lag, fetches, commits, rebuilds, disk, threads.", KAFKA_AND_STATE),
}

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "dashboards" / "sheetstream"
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
