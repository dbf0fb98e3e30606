"""Words for dashboards: what Grafana wants to be told of a panel again and again stands here, once."""

import json

SCHEMA = 41
COLUMNS = 24
WIDTH = 160
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# A unit is one of Grafana's, or it is shown as text behind every number.
UNITS = {"short", "percentunit", "s", "reqps", "ops", "bytes", "bool", "none", "dateTimeAsIso", "d", "cps", "wps"}


def target(expression, legend="", *, table=False, instant=False):
    made = {"expr": expression, "legendFormat": legend or "__auto", "range": not instant, "instant": instant}
    return made | ({"format": "table"} if table else {})


def panel(kind, title, targets, unit, about, options, custom=None, **defaults):
    if unit not in UNITS:
        raise ValueError(f"{title}: {unit} is no unit that is meant")
    if isinstance(targets, dict):
        targets = [targets]
    fields = {"unit": unit, **defaults} | ({"custom": custom} if custom else {})
    made = {"title": title, "type": kind} | ({"description": about} if about else {})
    made |= {"datasource": SOURCE, "gridPos": {}, "fieldConfig": {"defaults": fields, "overrides": []}, "options": options}
    made["targets"] = [{"refId": chr(ord("A") + number)} | one for number, one in enumerate(targets)]
    return made


def steps(*given):
    """Colours from a value on: `steps("green", (0.8, "orange"))`."""
    first, *more = given
    listed = [{"color": first, "value": None}, *({"color": color, "value": value} for value, color in more)]
    return {"mode": "absolute", "steps": listed}


def lines(title, targets, unit="short", about="", *, stacked=False, least=0, most=None, limit=None):
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if stacked else 5, "showPoints": "never", "spanNulls": False}
    custom["stacking"] = {"mode": "normal" if stacked else "none", "group": "A"}
    defaults = {} if least is None else {"min": least}
    if most is not None:
        defaults["max"] = most
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        defaults["thresholds"] = steps("green", (limit, "red"))
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, targets, unit, about, options, custom, **defaults)


def number(title, expression, unit="short", about="", *, colors=None, decimals=None):
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    options = {"reduceOptions": reduced, "colorMode": "value" if colors else "none", "graphMode": "none", "textMode": "auto"}
    defaults = {"thresholds": colors or steps("text")} | ({} if decimals is None else {"decimals": decimals})
    return panel("stat", title, target(expression, instant=True), unit, about, options, **defaults)


def bars(title, expression, legend, unit="short", about="", decimals=2):
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    options = {"reduceOptions": reduced, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": True}
    return panel(
        "bargauge", title, target(expression, legend, instant=True), unit, about, options, min=0, decimals=decimals, thresholds=steps("blue")
    )


def table(title, expression, unit="short", about="", hidden=(), renamed=None):
    made = panel("table", title, target(expression, table=True, instant=True), unit, about, {"showHeader": True, "cellHeight": "sm"})
    excluded = {name: True for name in ("Time", "__name__", *hidden)}
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": excluded, "renameByName": renamed or {}}}]
    return made


def chosen(name, label, query):
    """A variable of several values, all of them at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def written(name, label, value):
    """A variable that whoever looks writes down."""
    option = {"text": value, "value": value, "selected": True}
    return {"name": name, "label": label, "type": "textbox", "query": value, "current": option, "options": [option]}


def board(name, title, about, rows, variables=(), since="now-6h"):
    """Rows are a heading, or a height and panels that share the width."""
    panels, top = [], 0
    for row in rows:
        if isinstance(row, str):
            panels.append({"title": row, "type": "row", "collapsed": False, "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top}, "panels": []})
            top += 1
            continue
        height, *beside = row
        for index, one in enumerate(beside):
            left, right = COLUMNS * index // len(beside), COLUMNS * (index + 1) // len(beside)
            panels.append(one | {"gridPos": {"h": height, "w": right - left, "x": left, "y": top}})
        top += height
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1, "current": {}}
    others = [
        {"asDropdown": True, "includeVars": False, "keepTime": True, "tags": ["rampart"], "title": "Rampart", "type": "dashboards"},
    ]
    return {
        "uid": f"rampart-{name}",
        "title": f"Rampart: {title}",
        "description": about,
        "tags": ["rampart"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timezone": "browser",
        "links": others,
        "annotations": {
            "list": [
                mark("Pages", "red", 'ALERTS{alertname=~"Rampart.+",alertstate="firing",severity="page"}', "{{alertname}}"),
                mark("Emergency stops", "orange", 'max(rampart_emergency_stops{namespace="rampart"}) > 0', "a stop holds"),
            ]
        },
        "templating": {"list": [source, *variables]},
        "panels": [{"id": number} | one for number, one in enumerate(panels, 1)],
    }


def mark(name, color, expression, title):
    return {"name": name, "enable": True, "iconColor": color, "datasource": SOURCE, "expr": expression, "titleFormat": title, "step": "60s"}


def written_out(value, indent=0):
    """JSON that people can read and compare: whatever fits into a line stands in one."""
    short = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or not value or len(short) + indent <= WIDTH:
        return short
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{pad}{json.dumps(key)}: {written_out(one, indent + 2)}" for key, one in value.items()]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + written_out(one, indent + 2) for one in value) + "\n" + " " * indent + "]"
