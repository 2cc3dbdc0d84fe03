#!/usr/bin/env python3
"""Writes the dashboards in grafana/dashboards/sheetstream: Overview, Uploads, Topology, Exactly once and group, Kafka and state.

A panel here is its question, what to do about a bad answer, and its queries; everything else is the same for all of them. Change this file, run
it, and commit both; tests/grafana.rs checks that they agree, and grafana/render.py draws them. Usage: grafana/dashboards.py [DIRECTORY]
"""

import json
import pathlib
import sys

# Okabe and Ito's colours, which colour-blind people can distinguish. Words of closed lists always have the same one.
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
CODES = {"2xx": BLUE, "3xx": SKY, "4xx": ORANGE, "5xx": RED}
TRAFFIC = {"received": BLUE, "sent": ORANGE}
CHANGES = {"recreated": RED, "truncated": ORANGE}
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


NOTHING_RUNS = {"type": "special", "options": {"match": "nan", "result": {"text": "nothing runs", "color": RED, "index": 0}}}


def stat(title, description, unit, query, thresholds=None, width=4):
    """A number. Where no instance reports it is NaN, which is shown as red words: an empty panel looks like a panel without trouble."""
    expr, legend = query
    made = panel("stat", title, description, unit, (f"{expr} or vector(NaN)", legend), width, 4, thresholds)
    made["fieldConfig"]["defaults"].update({"color": {"mode": "thresholds"}, "mappings": [NOTHING_RUNS]})
    made["options"] = {
        "colorMode": "background",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    return made


def table(title, description, query, width, columns):
    """The labels of the series of now: a row each, the columns in this order."""
    made = panel("table", title, description, "none", (query, ""), width, 8, None)
    for target in made["targets"]:
        target.update({"format": "table", "instant": True, "range": False})
    shown = {name: number for number, name in enumerate(columns)}
    made["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": columns}}},
        {"id": "organize", "options": {"indexByName": shown, "excludeByName": {}, "renameByName": {}}},
    ]
    return made


def row(title, panels, collapsed=False):
    return {"type": "row", "title": title, "collapsed": collapsed, "holds": panels}


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


FIRING = 'ALERTS{alertname=~"Sheetstream.*", alertstate="firing"}'

OVERVIEW = [
    row("Is all well?", [
        stat("Instances", "Instances that report. 0: none runs, or Prometheus does not scrape it; see the runbook SheetstreamAbsent.",
             "short", (f"count(sheetstream_build_info{{{FROM}}})", "instances"), below(1)),
        stat("Ready", "Whether every instance can process rows. No: *What is missing* on *Kafka and state* names the condition; then see the runbook SheetstreamNotReady.",
             "bool_yes_no", (f"min(sheetstream_ready{{{FROM}}})", "ready"), below(1)),
        stat("Degraded", "Whether an instance lives without a broker or with a short disk. Yes: nothing is lost; bring a broker back or make room.",
             "bool_yes_no", (f"max(sheetstream_degraded{{{FROM}}})", "degraded"), limits(1, 1)),
        stat("Behind", "How old the record processed last is while there are more: the worst partition. Above a minute and growing: add threads or instances, up to one a partition.",
             "s", (f"max(sheetstream_consumer_lag_seconds{{{OF}}})", "behind"), limits(60, 600)),
        stat("Rejected", "Share of rows that are rejected. Above one of twenty: another CRS or other columns than the topology expects; look at *Dead letters by reason*.",
             "percentunit", (f"sum({rate('sheetstream_node_rows_rejected_total')}) / (sum({rows('topology')}) > 0) or 0 * sum({rows('topology')})", "rejected"), limits(0.01, 0.05)),
        stat("Workbooks in time", "Share of workbooks that came within 5 s of their marker; the objective is 99 of 100. Below it: see the runbook SheetstreamDeliveryBurnsFast.",
             "percentunit", (f"sum(rate(sheetstream_eof_to_workbook_seconds_bucket{{{OF}, le=~\"5(\\\\.0)?\"}}[$__rate_interval])) / (sum({rate('sheetstream_eof_to_workbook_seconds_count')}) > 0) or 1 + 0 * sum({rate('sheetstream_eof_to_workbook_seconds_count')})", "in time"), below(0.99)),
        table("Firing alerts", "Alerts that fire now. Each has a section of its name in the runbooks, which the link above opens. Empty: none fires.",
              FIRING, 16, ["severity", "alertname", "topology", "instance"]),
        graph("Instances by target", "1 for a target that Prometheus reaches, 0 for one that it does not. At 0: the process is down, or its address is another; see the runbook SheetstreamTargetDown.",
              "short", ('max by (job, instance) (up{job=~"$job", instance=~"$instance"} and on (job, instance) last_over_time(sheetstream_build_info{' + FROM + '}[$__range]))', "{{instance}}")),
    ]),
    row("Rows", [
        graph("Rows by topology", "Rows taken in each second. A topology that falls to zero while its lag grows is not processed: see *Ready*, and *Paused tasks* on *Kafka and state*.",
              "rowsps", (rows("topology"), "{{topology}}")),
        graph("Behind by topology", "How old the record processed last is while there are more: the worst partition. Growing: add threads or instances, up to one a partition.",
              "s", (f"max by (topology) (sheetstream_consumer_lag_seconds{{{OF}}})", "{{topology}}"), limits(60, 600)),
        graph("Dead letters by reason", "What was refused each second, by the reason in ss-reason. Look the reason up in the documentation, mend the source, publish again. dead_letter.refused: a topic takes no record even when it is clipped; raise its max.message.bytes.",
              "recps", [(f"sum by (reason) ({rate('sheetstream_dead_letters_total')})", "{{reason}}"), (f"sum by (topic) ({rate('sheetstream_outputs_refused_total')})", "dead_letter.refused {{topic}}")]),
    ]),
    row("Uploads", [
        graph("Uploads that ended", "By outcome. Failed or expired: the status topic has the reason and the remedy. Incomplete: rows were missing at the marker.",
              "short", (f"sum by (outcome) ({increase('sheetstream_uploads_total')})", "{{outcome}}"), stacked=True, colors=OUTCOMES),
        graph("From marker to workbook", "From the fetch with the record that completes an upload to the broker's acknowledgement of its workbook. Slow: the broker is slow to acknowledge, or workbooks have very many sheets.",
              "s", quantiles("sheetstream_eof_to_workbook_seconds"), limits(5, 30), colors=QUANTILES),
        graph("Rows by fate", "Counted when their upload ends, as its status says. Many rejected: read the dead letters by reason. Many voided: uploads fail or are begun again.",
              "rowsps", (f"sum by (result) ({rate('sheetstream_rows_total')})", "{{result}}"), stacked=True, colors=FATES),
    ]),
    row("Processes", [
        graph("Processors used", "By instance; 1 is one processor. At the number of threads: processing is what limits, so add threads or instances.",
              "short", (f"sum by (instance) ({rate('process_cpu_seconds_total', FROM)})", "{{instance}}")),
        graph("Memory", "Resident memory by instance. Growing without end: report a fault, for it is bounded by partitions and open sheets.",
              "bytes", (f"sum by (instance) (process_resident_memory_bytes{{{FROM}}})", "{{instance}}")),
        graph("Open files", "By instance. Growing without end: downloads or connections are not closed; near *process_max_fds* nothing can be opened any more.".replace("*process_max_fds*", "the limit of the process"),
              "short", [(f"sum by (instance) (process_open_fds{{{FROM}}})", "{{instance}}")]),
    ]),
    row("Page and API", [
        graph("Requests by status", "Answers each second, probes and metrics left out. 5xx: 503 is the broker or the room for uploads, 507 the spool's disk.",
              "reqps", (f"sum by (class) (label_replace({rate('sheetstream_http_requests_total', FROM)}, \"class\", \"${{1}}xx\", \"code\", \"(.)..\"))", "{{class}}"), stacked=True, colors=CODES),
        graph("Time to an answer", "What only one of twenty requests exceeds, of routes that read. Above a second: the broker is slow, or every thread publishes.",
              "s", (f"histogram_quantile(0.95, sum by (le, route) (rate(sheetstream_http_request_duration_seconds_bucket{{{FROM}, method=\"GET\"}}[$__rate_interval])))", "{{route}}"), limits(1, 5)),
        graph("HTTP traffic", "Bytes of all connections. Mostly uploads in, workbooks out; far more out than usual: somebody fetches everything again.",
              "Bps", [(f"sum({rate('sheetstream_http_received_bytes_total', FROM)})", "received"), (f"sum({rate('sheetstream_http_sent_bytes_total', FROM)})", "sent")], colors=TRAFFIC),
        graph("Connections", "Open ones, of 4,096 at most. Near that: clients hold them open; put a proxy with limits in front.",
              "short", (f"sum by (instance) (sheetstream_http_connections{{{FROM}}})", "{{instance}}")),
        graph("Connections refused", "By the limit that they met. address: one client opens more than 512. all: there are more than 4,096.",
              "ops", (f"sum by (limit) ({rate('sheetstream_http_connections_refused_total', FROM)})", "{{limit}}"), stacked=True),
        graph("Uploads in the spool", "Bytes in temporary files on their way to Kafka. Near four times the largest upload: new ones are refused; brokers or clients are slow.",
              "bytes", (f"sum by (instance) (sheetstream_http_spool_bytes{{{FROM}}})", "{{instance}}")),
        graph("Free on the spool's disk", "Share of the disk. Near 0: uploads are answered with 507; make room, or give --spool-dir another disk.",
              "percentunit", (f"min by (instance) (sheetstream_http_spool_disk_free_bytes{{{FROM}}} / sheetstream_http_spool_disk_size_bytes{{{FROM}}})", "{{instance}}")),
    ], collapsed=True),
]

UPLOADS = [
    row("Open", [
        stat("Open uploads", "Uploads that are not finished. Growing without end: publishers do not send their marker; see *Open uploads by state*.",
             "short", (f"sum(sheetstream_uploads_open{{{OF}}})", "open"), width=6),
        stat("Stalled", "Open uploads for which nothing came for a tenth of their idle_timeout. Above 0: see the runbook SheetstreamUploadStalled.",
             "short", (f"sum(sheetstream_uploads_open{{{OF}, state=\"stalled\"}})", "stalled"), limits(1, 10), width=6),
        stat("Ended without a workbook", "Uploads that failed or expired within the hour. Above 0: the status topic has the reason and the remedy of each.",
             "short", (f"sum(round(increase(sheetstream_uploads_total{{{OF}, outcome=~\"failed|expired\"}}[1h])))", "failed"), limits(1, 10), width=6),
        stat("Largest workbook", "Upper bound of the largest workbook within the hour. Beyond 64 MiB Excel opens it slowly: drop columns with a select, or publish smaller uploads.",
             "bytes", (f"histogram_quantile(1, sum by (le) (increase(sheetstream_workbook_size_bytes_bucket{{{FROM}}}[1h])))", "largest"), limits(67108864, 268435456), width=6),
        graph("Open uploads by state", "Stalled or incomplete: the publisher stopped half-way; publish the rest and the marker, or #ABORT.",
              "short", (f"sum by (state) (sheetstream_uploads_open{{{OF}}})", "{{state}}"), stacked=True, colors=STATES),
        graph("Open uploads by topology", "Which topology they belong to. One that grows alone: its publisher does not end its uploads.",
              "short", (f"sum by (topology) (sheetstream_uploads_open{{{OF}}})", "{{topology}}"), stacked=True),
        graph("Age of the oldest open upload", "Hours for a file that takes minutes: its marker never came. Publish #EOF or #ABORT for it, for the log must be kept from its first row on.",
              "s", (f"time() - min by (topology) (sheetstream_oldest_open_upload_timestamp_seconds{{{OF}}})", "{{topology}}")),
    ]),
    row("Ended", [
        graph("Uploads that ended", "By outcome. Failed or expired: the status topic has the reason and the remedy. Incomplete: rows were missing at the marker.",
              "short", (f"sum by (outcome) ({increase('sheetstream_uploads_total')})", "{{outcome}}"), stacked=True, colors=OUTCOMES),
        graph("Uploads that ended by topology", "One that stops while its rows come in: its marker is missing, or its uploads fail; see *Open uploads by topology*.",
              "short", (f"sum by (topology) ({increase('sheetstream_uploads_total')})", "{{topology}}"), stacked=True),
        graph("Duration of uploads", "From the first record to the end, as this process saw it. Longer than usual: the publisher is slow, or we are behind.",
              "s", quantiles("sheetstream_upload_duration_seconds"), colors=QUANTILES),
    ]),
    row("Workbooks", [
        graph("From marker to workbook", "From the fetch with the record that completes an upload to the broker's acknowledgement of its workbook. The objective: 99 of 100 within 5 s.",
              "s", quantiles("sheetstream_eof_to_workbook_seconds"), limits(5, 30), colors=QUANTILES),
        graph("Late workbooks", "Share that came more than 5 s after their marker, by topology. Above 1 of 100 the error budget of the month shrinks; see the runbook SheetstreamDeliveryBurnsSlow.",
              "percentunit", (f"1 - sum by (topology) (rate(sheetstream_eof_to_workbook_seconds_bucket{{{OF}, le=~\"5(\\\\.0)?\"}}[$__rate_interval])) / (sum by (topology) ({rate('sheetstream_eof_to_workbook_seconds_count')}) > 0)", "{{topology}}"), limits(0.01, 0.144)),
        graph("Workbook size", "Of published workbooks, all topologies. Beyond 64 MiB Excel opens them slowly: drop columns with a select, or publish smaller uploads.",
              "bytes", quantiles("sheetstream_workbook_size_bytes", FROM), colors=QUANTILES),
        graph("Chunks published", "Records that workbooks were sent in. Far more than workbooks: raise record_bytes_max together with max.message.bytes.",
              "recps", (f"sum by (topology) ({rate('sheetstream_chunks_published_total')})", "{{topology}}")),
    ]),
]

TOPOLOGY = [
    row("Nodes", [
        graph("Rows in by node", "Rows that went into each node. Less behind a node than before it: that node rejects or filters; see *Rejected by node*.",
              "rowsps", (f"sum by (topology, node) ({rate('sheetstream_node_rows_total')})", "{{topology}} {{node}}")),
        graph("Rejected by node", "Rows that each node rejects. The source: lines that are no rows. A map: cells that it cannot use. Read the dead letters of that node.",
              "rowsps", (f"sum by (topology, node) ({rate('sheetstream_node_rows_rejected_total')})", "{{topology}} {{node}}")),
        graph("Time by node", "Share of one processor that each node keeps busy. The highest is the one that limits: fewer columns, or more threads and partitions.",
              "percentunit", (f"sum by (topology, node) ({rate('sheetstream_node_duration_seconds_sum')})", "{{topology}} {{node}}")),
        graph("Time for a row", "Mean time that each node takes for one row. Higher than last week for the same files: wider rows, or a processor that is shared.",
              "s", (f"sum by (topology, node) ({rate('sheetstream_node_duration_seconds_sum')}) / (sum by (topology, node) ({rate('sheetstream_node_rows_total')}) > 0)", "{{topology}} {{node}}")),
    ]),
    row("Rows", [
        graph("Records that gave no row", "Refused: they belong to no upload or are no text; read the dead letters. Missing: retention deleted them before they were read; raise retention.ms.",
              "recps", (f"sum by (result) ({rate('sheetstream_records_unusable_total')})", "{{result}}"), stacked=True, colors=UNUSABLE),
        graph("Rows that wait", "For a row with a lower ss-row. Growing: a row was never sent; the status INCOMPLETE names what is missing.",
              "short", (f"sum by (topology) (sheetstream_rows_waiting{{{OF}}})", "{{topology}}")),
        graph("Pages cut", "Pages of 1,024 rows written to the state. Zero while rows come in: uploads are smaller than a page, or rows wait for one that is missing.",
              "ops", (f"sum by (topology) ({rate('sheetstream_pages_cut_total')})", "{{topology}}")),
    ]),
]

EXACTLY_ONCE = [
    row("Who owns what", [
        graph("Tasks by instance", "Partitions that run on each instance. Fewer in all than the topics have: the group has not settled, or an instance is missing.",
              "short", (f"sum by (instance) (sheetstream_tasks{{{OF}}})", "{{instance}}"), stacked=True),
        graph("Standbys behind", "Records between standbys and the end of their partitions: what a take-over has to read. Growing: a standby is slower than the owner. Empty without standby = 1.",
              "short", (f"max by (topology) (sheetstream_standby_lag{{{OF}}})", "{{topology}}")),
        graph("Foreign members", "Members of our consumer groups that are not sheetstream. Above 0: the rows of their partitions reach no workbook; see the runbook SheetstreamForeignMember.",
              "short", (f"max by (topology) (sheetstream_group_foreign_members{{{OF}}})", "{{topology}}"), limits(1, 1)),
        graph("Topologies that have stopped", "1 for each topology that does not run while the others do, by reason. See the runbook SheetstreamTopologyFailed.",
              "short", (f"max by (topology, reason) (sheetstream_topology_failed{{{OF}}})", "{{topology}} {{reason}}"), limits(1, 1)),
    ]),
    row("Commits", [
        graph("Commit time", "One commit of a task: outputs acknowledged, state, offset. Above a second: the state's disk or the broker is slow.",
              "s", quantiles("sheetstream_commit_duration_seconds", FROM), limits(1, 10), colors=QUANTILES),
        graph("Commits that failed", "The task starts again from the one before. fenced passes; disk_full: make room; unavailable: look at the broker.",
              "ops", (f"sum by (reason) ({rate('sheetstream_commit_failures_total', FROM)})", "{{reason}}"), stacked=True, colors=PAUSES),
        graph("Transactions", "Requests of transactions by API, none with at_least_once. Many InitProducerId: transactions end unclear or are fenced again and again.",
              "reqps", (f"sum by (api) (rate(sheetstream_kafka_requests_total{{{FROM}, api=~\".*Txn.*|InitProducerId\"}}[$__rate_interval]))", "{{api}}")),
        graph("Tasks that paused", "How often tasks stopped for something that passes, and were to start again. Growing: mend the disk or the broker that the reason names.",
              "short", (f"sum by (reason) ({increase('sheetstream_pauses_total', FROM)})", "{{reason}}"), stacked=True, colors=PAUSES),
    ]),
    row("The log", [
        graph("Logs that changed", "recreated: the topic was deleted and created again. truncated: an unclean election cut its end. See the runbook SheetstreamLogChanged.",
              "short", (f"sum by (topology, change) ({increase('sheetstream_log_changes_total')})", "{{topology}} {{change}}"), stacked=True, colors=CHANGES),
        graph("Rebuilds", "State built anew from the log, by reason. More than one for each restart: the state directory does not last.",
              "short", (f"sum by (reason) ({increase('sheetstream_rebuilds_total')})", "{{reason}}"), stacked=True, colors=REBUILDS),
        graph("Rows read again", "After a start, to rebuild state. Never ending: state is lost again and again; keep the state directory on a volume.",
              "rowsps", (f"sum by (topology) ({rate('sheetstream_rows_replayed_total')})", "{{topology}}")),
        graph("Replay distance", "Records that a start without state would read again. Large: an upload is left open; end it, or lower idle_timeout.",
              "short", (f"sum by (topology) (sheetstream_replay_distance_records{{{OF}}})", "{{topology}}")),
        graph("Came again", "Rows that are counted once though they came twice, and uploads whose content was there already. Some after each restart of a producer are usual.",
              "rowsps", [(f"sum(rate(sheetstream_rows_total{{{OF}, result=\"duplicate\"}}[$__rate_interval]))", "duplicate"),
                         (f"sum(rate(sheetstream_uploads_total{{{OF}, outcome=\"republished\"}}[$__rate_interval]))", "republished")], colors={"duplicate": ORANGE, "republished": SKY}),
    ]),
]

KAFKA_AND_STATE = [
    row("Stopped processing, and why", [
        graph("What is missing", "1 for each condition that an instance does not meet. broker: check addresses. assignment: look at the group. first_fetch: look at the partition's leader.",
              "short", (f"sum by (condition) (1 - sheetstream_ready_condition{{{FROM}}})", "{{condition}}"), stacked=True, colors=CONDITIONS),
        graph("Paused tasks", "Tasks that wait to be started again, and topologies that somebody has paused. Above zero for minutes: for disk_full make room, for unavailable look at the broker, for a topology: sheetstream resume.",
              "short", [(f"sum by (reason) (sheetstream_tasks_paused{{{FROM}}})", "{{reason}}"),
                        (f"sum by (topology) (sheetstream_topology_paused{{{FROM}}})", "{{topology}} by hand")], stacked=True, colors=PAUSES),
        graph("Threads last seen", "How long ago each thread went through its loop. Above a minute: it hangs in a call to the disk or a broker; restart the process.",
              "s", (f"max by (instance, thread) (time() - sheetstream_stream_thread_heartbeat_timestamp_seconds{{{FROM}}})", "{{instance}} {{thread}}"), limits(30, 60)),
        graph("Failed requests", "By API and code. Codes of authorisation: grant the right that the log names. connection or timeout for minutes: look at the broker. Others pass.",
              "reqps", (f"sum by (api, code) ({rate('sheetstream_kafka_request_errors_total', FROM)})", "{{api}} {{code}}")),
        graph("Free on the state's disk", "Near the reserve of 256 MiB: make room, or tasks pause until there is some.",
              "bytes", (f"min by (instance) (sheetstream_state_disk_free_bytes{{{FROM}}})", "{{instance}}")),
        graph("Retention headroom", "Records that retention may still delete before it reaches an open upload; nothing is drawn while it has deleted none. Shrinking towards 0: raise retention.ms now, or end the upload.",
              "short", (f"min by (topology) (sheetstream_retention_headroom_records{{{OF}}})", "{{topology}}")),
    ]),
    row("Lag", [
        graph("Lag", "Records between the committed offset and the end, as kafka-consumer-groups --describe says. Growing: add threads or instances, up to one a partition.",
              "short", (f"sum by (consumergroup) (kafka_consumergroup_lag{{{GROUP}}})", "{{consumergroup}}")),
        graph("Largest lags of partitions", "One partition far above the others: one key has most rows, and a single upload is always on one partition. Spread uploads over more keys.",
              "short", (f"topk(10, sum by (topic, partition) (kafka_consumergroup_lag{{{GROUP}}}))", "{{topic}} {{partition}}")),
        graph("Last record processed", "How long ago. Long while the lag is not 0: nothing is processed; see *What is missing* and *Paused tasks*.",
              "s", (f"time() - max by (topology) (sheetstream_last_record_processed_timestamp_seconds{{{OF}}})", "{{topology}}")),
        graph("Waiting in memory", "Bytes fetched that wait for a thread, at most about 8 MiB a partition. At that limit processing is what limits; near 0 while the lag grows, the broker or the network is.",
              "bytes", (f"sum by (topology) (sheetstream_buffered_bytes{{{OF}}})", "{{topology}}")),
        graph("Records written and committed", "What publishers add and what is committed, each second. Committed below written: we fall behind. Both zero though publishers say that they send: another topic, or open transactions.",
              "recps", [
                  (f"sum(deriv(kafka_topic_partition_current_offset{{{FROM}}}[$__rate_interval]))", "written"),
                  (f"sum(deriv(kafka_consumergroup_current_offset{{{GROUP}}}[$__rate_interval]))", "committed"),
              ], colors=PROGRESS),
        graph("Throttled by quotas", "Seconds in each second for which brokers told our connections to be silent, by request. Above 0 while the lag grows: raise consumer_byte_rate (Fetch) or producer_byte_rate (Produce) of our client id.",
              "s", (f"sum by (api) ({rate('sheetstream_kafka_throttle_seconds_total', FROM)})", "{{api}}")),
    ]),
    row("Fetches and requests", [
        graph("Fetched", "Bytes fetched by topic. Flat while the lag grows and *Waiting in memory* is near 0: the broker or the network is slow.",
              "Bps", (f"sum by (topic) ({rate('sheetstream_fetched_bytes_total', FROM)})", "{{topic}}")),
        graph("Records consumed", "Records taken from the input topics, those read again included. Zero while the lag grows: see *What is missing* and *Paused tasks*.",
              "recps", (f"sum by (topology) ({rate('sheetstream_records_consumed_total')})", "{{topology}}")),
        graph("Requests", "Sent to brokers, by API. A great many Metadata or FindCoordinator: brokers come and go.",
              "reqps", (f"sum by (api) ({rate('sheetstream_kafka_requests_total', FROM)})", "{{api}}")),
    ], collapsed=True),
    row("State", [
        graph("State", "Bytes of pages that the local state holds for open uploads. Growing without end: uploads are left open; see *Open uploads by state* on *Uploads*.",
              "bytes", (f"sum by (topology) (sheetstream_state_size_bytes{{{OF}}})", "{{topology}}")),
        graph("Share of the state's disk that is free", "Of the file system of the state directory. Below a fifth and falling: enlarge it before tasks pause.",
              "percentunit", (f"min by (instance) (sheetstream_state_disk_free_bytes{{{FROM}}} / sheetstream_state_disk_size_bytes{{{FROM}}})", "{{instance}}")),
        graph("State thrown away", "Because it cannot be trusted. damaged or hung: check the disk. power_loss: see --power-safe.",
              "short", (f"sum by (reason) ({increase('sheetstream_state_discarded_total', FROM)})", "{{reason}}"), stacked=True, colors=DISCARDS),
    ], collapsed=True),
    row("Versions and logs", [
        table("Versions", "Instances by version of sheetstream and PROJ. More than one version: finish the roll-out, for workbooks of different versions may differ in bytes.",
              f"sheetstream_build_info{{{FROM}}}", 16, ["instance", "version", "proj_version"]),
        graph("Log lines left out", "Lines that repeated too often. Growing: read the line that says how many more there were.",
              "ops", (f"sum by (instance) ({rate('sheetstream_log_events_suppressed_total', FROM)})", "{{instance}}")),
    ], collapsed=True),
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
    # Where docs/ is read; the service `alerts` of docker-compose.yml shows it under this address.
    {"name": "docs", "label": "Documentation", "type": "constant", "query": "http://localhost:9095", "hide": 2, "skipUrlSync": True},
]


def place(rows):
    """Left to right, then down; a row of panels is 24 wide. The panels of a collapsed row are inside of it."""
    placed, number, y = [], 0, 0
    for heading in rows:
        held = heading.pop("holds")
        number += 1
        heading.update({"id": number, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        placed.append(heading)
        x, y = 0, y + 1
        lowest = y
        for made in held:
            number += 1
            grid = made["gridPos"]
            if x + grid["w"] > 24:
                x, y = 0, lowest
            grid["x"], grid["y"], made["id"] = x, y, number
            x, lowest = x + grid["w"], max(lowest, y + grid["h"])
        (heading["panels"] if heading["collapsed"] else placed).extend(held)
        y = lowest
    return placed


def annotation(name, color, expr, title, start_at_value=False):
    made = {"name": name, "datasource": DATA_SOURCE, "enable": True, "iconColor": color, "expr": expr, "titleFormat": title, "step": "60s"}
    return made | {"useValueForTime": "on"} if start_at_value else made


# What explains a step in the lines below it.
ANNOTATIONS = [
    annotation("Starts", GREY, f"process_start_time_seconds{{{FROM}}} * 1000", "{{instance}} started", start_at_value=True),
    annotation("Versions", BLUE, f"sum by (version) (sheetstream_build_info{{{FROM}}}) unless sum by (version) (sheetstream_build_info{{{FROM}}} offset 2m)", "version {{version}}"),
    annotation("Rebuilds", ORANGE, f"sum by (topology, reason) (increase(sheetstream_rebuilds_total{{{OF}}}[1m])) > 0", "{{topology}}: state rebuilt, {{reason}}"),
    annotation("Logs that changed", RED, f"sum by (topology, change) (increase(sheetstream_log_changes_total{{{OF}}}[1m])) > 0", "{{topology}}: topic {{change}}"),
]


def link(title, url):
    return {"type": "link", "title": title, "url": url, "targetBlank": True, "icon": "doc", "tooltip": "", "tags": [], "asDropdown": False, "includeVars": False, "keepTime": False}


def dashboard(uid, title, description, rows):
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
        "links": [
            {"type": "dashboards", "tags": ["sheetstream"], "title": "sheetstream", "asDropdown": False, "includeVars": True, "keepTime": True},
            link("Runbooks", "${docs}/runbooks"),
            link("Metrics", "${docs}/metrics"),
        ],
        "templating": {"list": VARIABLES},
        "annotations": {"list": ANNOTATIONS},
        "panels": place(rows),
    }


DASHBOARDS = {
    "overview": dashboard("sheetstream-overview", "Overview", "Healthy? How fast? How far behind? What finished?", OVERVIEW),
    "uploads": dashboard("sheetstream-uploads", "Uploads", "Which are open, what became of the others, and how soon their workbooks came.", UPLOADS),
    "topology": dashboard("sheetstream-topology", "Topology", "Node by node: rows in, rejected, time.", TOPOLOGY),
    "exactly-once-and-group": dashboard("sheetstream-exactly-once", "Exactly once and group", "Who owns which partition, commits and transactions, and whether the log is the one it was.", EXACTLY_ONCE),
    "kafka-and-state": dashboard("sheetstream-kafka-and-state", "Kafka and state", "Stopped processing, lag, fetches, state, disk, threads.", KAFKA_AND_STATE),
}

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "dashboards" / "sheetstream"
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
