"""Makes of the AlertmanagerConfig the configuration that the operator makes of it for Alertmanager: for installations without the
operator, and for tools that read nothing else. Secrets are files there, as the operator's Alertmanager mounts them."""

import re
import sys
from pathlib import Path

import yaml

SOURCE = Path(__file__).parent.parent / "kubernetes/components/monitoring-alerts/alertmanager.yaml"
NAMESPACE = {"name": "namespace", "value": "rampart"}
SECRETS = "/etc/alertmanager/secrets"
HEAD = """\
# Made of deploy/kubernetes/components/monitoring-alerts/alertmanager.yaml by `deploy/monitoring/check --write`.
"""


def snake(name):
    return re.sub(r"([a-z])([A-Z]+)", lambda match: f"{match[1]}_{match[2].lower()}", name)


def matchers(given):
    return [f'{one["name"]}{one.get("matchType", "=")}"{one["value"]}"' for one in given]


def receiver(given):
    """A list of `key` and `value` is a map in Alertmanager, and a secret's key a file."""
    made = {}
    for name, value in given.items():
        name = snake(name)
        if isinstance(value, dict) and set(value) == {"name", "key"}:
            made[f"{name}_file"] = f"{SECRETS}/{value['name']}/{value['key']}"
        elif isinstance(value, list) and all(isinstance(one, dict) and set(one) == {"key", "value"} for one in value):
            made[name] = {one["key"]: one["value"] for one in value}
        elif isinstance(value, list):
            made[name] = [receiver(one) for one in value]
        else:
            made[name] = value
    return made


def route(given):
    made = {snake(name): value for name, value in given.items() if name not in ("matchers", "routes")}
    if "matchers" in given:
        made["matchers"] = matchers(given["matchers"])
    if "routes" in given:
        made["routes"] = [route(one) for one in given["routes"]]
    return made


def inhibition(given):
    made = {
        "source_matchers": matchers([NAMESPACE, *given["sourceMatch"]]),
        "target_matchers": matchers([NAMESPACE, *given["targetMatch"]]),
    }
    return made | ({"equal": given["equal"]} if "equal" in given else {})


def made(source=SOURCE):
    """The configuration as a value."""
    spec = yaml.safe_load(source.read_text())["spec"]
    own = {"matchers": matchers([NAMESPACE]), "continue": True} | route(spec["route"])
    return {
        # What is of no namespace of ours is somebody else's to route.
        "route": {"receiver": "nobody", "routes": [own]},
        "inhibit_rules": [inhibition(one) for one in spec["inhibitRules"]],
        "receivers": [{"name": "nobody"}, *(receiver(one) for one in spec["receivers"])],
    }


def text():
    return HEAD + yaml.safe_dump(made(), sort_keys=False, width=140, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(text())
