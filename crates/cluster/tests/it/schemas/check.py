"""Checks Kubernetes manifests, such as `kustomize build` writes them, against the schemas of their kinds.

    PLACE/bin/python check.py FILE...

PLACE is a virtual environment with what requirements.txt names, and beside its `bin` the `node_modules` of package-lock.json.
Prints a line per defect, `KIND/NAMESPACE/NAME: path: what is wrong` with `-` where there is no namespace, and before it the file
where several are given. Exits with 1 if there is any defect, with 2 if it cannot check.

- Built-in kinds: the published schemas of each of KUBERNETES, from the package kubernetes-validate, with no unknown fields. They
  have no enums, so the validators of the npm package kubernetes-models are asked, too.
- Custom resources: the npm packages @kubernetes-models/*, see models.mjs.
- own/*.json: for kinds that no package has, and for rules that a package lacks.

Rules in CEL, of custom resource definitions as of admission, are not evaluated, nor what only the API server or a controller
checks.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

KUBERNETES = ["1.35", "1.36", "1.37"]
HERE = Path(__file__).parent


class Loader(yaml.CSafeLoader):
    """Reads scalars as Kubernetes does, which is YAML 1.1 less dates and times of day, and with `1e3` as a number."""


TAG = "tag:yaml.org,2002:"
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(TAG) not in ("timestamp", "int", "float")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
for name, pattern in (
    ("int", r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)$"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
):
    Loader.add_implicit_resolver(TAG + name, re.compile(pattern), list("-+.0123456789"))


def read(file):
    """The documents of a file, each with the defects of its keys."""
    loader = Loader(file.read_bytes())
    while loader.check_node():
        node = loader.get_node()
        wrong = list(key_defects(node))
        # By way of JSON, as Kubernetes does: what JSON does not have, such as sets, is refused.
        document = json.loads(json.dumps(loader.construct_document(node)))
        if document is not None:
            yield document, wrong


def key_defects(node, path=()):
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from key_defects(item, (*path, str(index)))
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            inner = (*path, str(key.value))
            if key.tag not in (TAG + "str", TAG + "merge"):
                yield inner, "key is not a string"
            elif key.value in seen:
                yield inner, f"duplicate key in line {key.start_mark.line + 1}"
            seen.add(key.value)
            yield from key_defects(value, inner)


def schema_defects(validator, document):
    for error in validator.iter_errors(document):
        path = tuple(map(str, error.absolute_path))
        if error.validator == "additionalProperties" and error.validator_value is False:
            for key in set(error.instance) - set(error.schema.get("properties", ())):
                yield (*path, key), "unknown field"
        elif error.validator == "required":
            for key in set(error.validator_value) - set(error.instance):
                yield (*path, key), "missing"
        elif error.validator == "not" and error.validator_value == {}:
            yield path, "unknown field"
        elif error.validator == "enum":
            yield path, f"must be one of: {', '.join(map(str, error.validator_value))}"
        elif error.validator == "type":
            types = {error.validator_value} if isinstance(error.validator_value, str) else {*error.validator_value} - {"null"}
            yield path, f"must be {' or '.join(sorted(types))}"
        else:
            yield path, error.message


def built_in():
    """For each version the validators by `apiVersion` and `kind`, and the definitions that they share."""
    schemas = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    for version in KUBERNETES:
        definitions = json.loads((schemas / f"v{version}.0-local-strict" / "_definitions.json").read_bytes())
        registry = Resource.from_contents(definitions) @ Registry()
        kinds = {}
        for name, definition in definitions["$defs"].items():
            for of in definition.get("x-kubernetes-group-version-kind", ()):
                api_version = "/".join(filter(None, (of["group"], of["version"])))
                schema = {"$ref": f"{definitions['$id']}#/$defs/{name}"}
                kinds[api_version, of["kind"]] = Draft202012Validator(schema, registry=registry)
        yield version, kinds, registry


def built_in_defects(versions, kind, document):
    """What each version says; where not all say the same, with the versions that do."""
    said = {}
    for version, kinds, _ in versions:
        wrong = schema_defects(kinds[kind], document) if kind in kinds else [((), "no schema for this kind")]
        for defect in wrong:
            said.setdefault(defect, []).append(version)
    for (path, message), by in said.items():
        yield path, message if len(by) == len(versions) else f"{message} (Kubernetes {', '.join(by)})"


def own(registry):
    """The validators in `own`, which may refer to the definitions of Kubernetes."""
    for file in sorted((HERE / "own").glob("*.json")):
        schema = json.loads(file.read_bytes())
        Draft202012Validator.check_schema(schema)
        fields = schema["properties"]
        for kind in fields["kind"]["enum"]:
            yield (fields["apiVersion"]["const"], kind), Draft202012Validator(schema, registry=registry)


def model_defects(asked):
    """What the npm packages say of each of (document, whether its kind is built in): None where they do not know it."""
    command = ["node", HERE / "models.mjs", Path(sys.prefix) / "node_modules"]
    try:
        answer = subprocess.run(command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the npm packages cannot be asked: {error}", file=sys.stderr)
        sys.exit(2)
    for wrong in json.loads(answer):
        if wrong is None:
            yield None
            continue
        by_path = {}
        for path, message in wrong:
            by_path.setdefault(tuple(map(unescape, path.split("/")[1:])), {})[message] = None
        # Alternatives of which none fits are one defect.
        yield [(path, "; ".join(messages)) for path, messages in by_path.items()]


def unescape(segment):
    return segment.replace("~1", "/").replace("~0", "~")


def show(path):
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path).lstrip(".") or "."


def check(documents):
    """The defects of each document, in their order."""
    versions = list(built_in())
    own_kinds = dict(own(versions[-1][2]))
    asked, found = [], []
    for document in documents:
        kind = document["apiVersion"], document["kind"]
        is_built_in = any(kind in kinds for _, kinds, _ in versions)
        asked.append((document, is_built_in))
        wrong = list(built_in_defects(versions, kind, document)) if is_built_in else []
        is_own = False
        if kind in own_kinds:
            # One that is open only adds to what a package has.
            is_own = own_kinds[kind].schema.get("additionalProperties") is False
            wrong += schema_defects(own_kinds[kind], document)
        found.append((is_built_in or is_own, wrong))
    for (known, wrong), of_models in zip(found, model_defects(asked), strict=True):
        if of_models:
            # A wrong value that has been told of needs no second line.
            wrong += [(path, message) for path, message in of_models if path not in dict(wrong)]
        elif of_models is None and not known:
            wrong.append(((), "no schema for this kind"))
        yield wrong


def is_object(document):
    match document:
        case {"apiVersion": str(), "kind": str(), "metadata": {"name": str()}}:
            return True
    return False


def main(files):
    # Renders have most objects in common: each is checked once.
    lines, objects, checked = [], [], {}
    for file in map(Path, files):
        start = f"{file}: " if len(files) > 1 else ""
        count = 0
        try:
            for count, (document, wrong) in enumerate(read(file), 1):
                if is_object(document):
                    text = json.dumps(document)
                    checked.setdefault(text, document)
                    objects.append((start, document, wrong, text))
                else:
                    lines.append(f"{start}document {count}: not an object with apiVersion, kind and metadata.name")
        except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
            lines.append(f"{start}cannot be read: {' '.join(str(error).split())}")
        else:
            if not count:
                lines.append(f"{start}no documents")
    defects = dict(zip(checked, check(checked.values())))
    for start, document, wrong, text in objects:
        metadata = document["metadata"]
        name = f"{document['kind']}/{metadata.get('namespace', '-')}/{metadata['name']}"
        lines += [f"{start}{name}: {show(path)}: {message}" for path, message in sorted({*wrong, *defects[text]})]
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(f"usage: {sys.argv[0]} FILE...", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(sys.argv[1:]))
