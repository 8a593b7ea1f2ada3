"""What the API server's audit log says."""

import collections
import dataclasses
import datetime
import json
import statistics

Event = collections.namedtuple("Event", "user verb resource sub name code begun ended selector")


def read(path, offset):
    """The events after `offset` bytes of the log."""
    events = []
    with open(path, "rb") as log:
        log.seek(offset)
        for line in log:
            event = json.loads(line)
            if event.get("stage") not in (None, "ResponseComplete"):
                continue
            ref = event.get("objectRef", {})
            events.append(Event(event["user"].get("username", ""), event["verb"], ref.get("resource", ""),
                                ref.get("subresource", ""), ref.get("name", ""),
                                event.get("responseStatus", {}).get("code", 0), moment(event["requestReceivedTimestamp"]),
                                moment(event["stageTimestamp"]), event.get("requestURI", "")))
    return events


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def row(driver, count, took, cpu, memory, events):
    """One line of the table."""
    ours = [event for event in events if event.user == "operator-engine"]
    fixed = collections.Counter(kind for kind in map(fixed_part, ours) if kind)
    lists = sum(event.verb == "list" for event in ours)
    deletions = sum(event.verb in ("delete", "deletecollection") and event.resource != "leases" for event in ours)
    leases = sum(event.resource == "leases" and event.verb != "list" for event in ours)
    gaps = sorted(delays(events))
    return {
        "driver": driver, "workflows": count,
        "requests/wf": f"{sum(fixed.values()) / count:.2f}", "deletions/wf": f"{deletions / count:.2f}",
        "lists/s": f"{lists / took:.1f}", "renewals/s": f"{leases / took:.1f}",
        "gap p50 s": f"{percentile(gaps, 50):.3f}", "gap p99 s": f"{percentile(gaps, 99):.3f}",
        "wf/s": f"{count / took:.2f}", "CPU s/wf": f"{cpu / count:.4f}", "peak MB": memory,
        "by verb": " ".join(f"{kind}:{n / count:.2f}" for kind, n in sorted(fixed.items())),
    }


def fixed_part(event):
    """What each workflow costs by itself: lists, renewals, batched deletions and announcements are shared."""
    shared = event.verb in ("list", "deletecollection", "delete") or event.resource == "leases"
    if shared or event.name == "operator-engine-environment":
        return None
    return f"{event.verb}-{event.resource}"


def delays(events):
    """From the moment a pod is seen to have succeeded to the creation of its workflow's next pod."""
    order = ["configure", "algorithm", "filter", "publish"]
    ended, created = {}, {}
    for event in events:
        if event.resource != "pods" or not event.name or event.code >= 300:
            continue
        if event.verb in ("patch", "update") and event.sub == "status" and event.user == "kwok":
            ended[event.name] = event.ended  # The last patch of its status is the one that ends it.
        if event.verb == "create" and event.user == "operator-engine":
            created[event.name] = event.begun
    for name, begun in created.items():
        workflow, component, attempt = name.rsplit("-", 2)
        before = order.index(component) - 1
        end = ended.get(f"{workflow}-{order[before]}-0") if before >= 0 else None
        if end is not None:
            yield begun - end


def percentile(sorted_values, percent):
    if not sorted_values:
        return float("nan")
    return sorted_values[min(len(sorted_values) - 1, len(sorted_values) * percent // 100)]


def table(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names] + [[str(row.get(name, "–")) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
