"""Runs tests of Vector's configuration without Vector: the programs of `lines` and `kept`, for one event after the other.

python vrl.py FILE     JSON with `transforms` and `tests`
"""

import json
import sys
from pathlib import Path

import pyvrl


def told(program, event):
    return pyvrl.Transform(program).remap(event)


def main(file):
    given = json.loads(Path(file).read_text())
    lines, kept = given["transforms"]["lines"]["source"], given["transforms"]["kept"]["condition"]
    wrong = []
    for test in given["tests"]:
        name, outputs = test["name"], test.get("outputs", [])
        try:
            # By way of JSON: of an event that comes from a pod nobody knows which types it has.
            event = json.loads(told(test["inputs"][0]["source"] + "\nencode_json(.)", {}))
            if told(f"{lines}\nkept = {kept}\nkept", event) != bool(outputs):
                wrong.append(f"{name}: is kept, and should not be, or the other way round")
            for condition in (one for output in outputs for one in output["conditions"]):
                if told(f"{lines}\n{condition['source']}", event) is not True:
                    wrong.append(f"{name}: is not as expected")
        except Exception as error:
            wrong.append(f"{name}: {error}")
    print("\n".join(f"vector-tests.yaml: {one}" for one in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
