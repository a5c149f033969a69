"""Validates events of one format, one JSON value a line, by what others published about that format.

    trailsift sift --format ocsf PATH | python tests/validators/validate.py ocsf

Writes a line per violation: {"line", "path", "message"}. Exits with 0 if there is none, 1 if there are, 2 on wrong usage.
"""

import hashlib
import ipaddress
import json
import math
import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import jsonschema_rs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OCSF_VERSION = "1.8.0"
ECS_VERSION = "9.4.0"


class Schema:
    """A JSON Schema, its formats included."""

    def __init__(self, schema):
        jsonschema_rs.meta.validate(schema)
        self.validator = jsonschema_rs.validator_for(schema, validate_formats=True)

    def violations(self, value):
        """Path and message of each violation."""
        try:
            errors = list(self.validator.iter_errors(value))
        except (ValueError, OverflowError, UnicodeError):
            # Python's JSON holds more than the validator takes: depth, half surrogate pairs, infinities.
            errors = list(self.validator.iter_errors(tamed(value)))
        for error in errors:
            yield pointer(error.instance_path), error.message


def tamed(value, depth=0):
    """The value with whatever the validator cannot take replaced by something of the same type."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return 2**63 if value > 0 else -(2**63)
    if isinstance(value, float) and not math.isfinite(value):
        return 1.5
    if isinstance(value, list):
        return [tamed(it, depth + 1) for it in value] if depth < 100 else []
    if isinstance(value, dict):
        members = {tamed(name): tamed(it, depth + 1) for name, it in value.items()}
        return members if depth < 100 else {}
    return value


def pointer(path):
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def read(text):
    """The value, and the objects that name a member twice with its name: consumers take whichever they like."""
    twice = []

    def members(pairs):
        made = dict(pairs)
        if len(made) < len(pairs):
            name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            twice.append((made, name))
        return made

    return json.loads(text, object_pairs_hook=members), twice


def repeated(twice, value):
    """A violation if the value is an object that names a member twice."""
    for object_, name in twice:
        if object_ is value:
            yield "", f"the member {name!a} stands there twice"


class Envelope:
    """trailsift's own format, by the schema that it publishes."""

    def __init__(self):
        path = ROOT / "crates/trailsift-route/schemas/envelope.schema.json"
        self.schema = Schema(json.loads(path.read_text(encoding="utf-8")))

    def violations(self, text):
        value, twice = read(text)
        yield from self.schema.violations(value)
        about = value.get("trailsift") if isinstance(value, dict) else None
        actor = about.get("actor") if isinstance(about, dict) else None
        # The record is embedded as it is, so only it may name a member twice.
        for part in (value, about, actor):
            yield from repeated(twice, part)


class CloudEvents:
    """CloudEvents 1.0 in structured mode: the specification's JSON Schema, its SDK, and its type system."""

    def __init__(self):
        from cloudevents.core.formats.json import JSONFormat
        from cloudevents.core.v1.event import CloudEvent

        path = HERE / "cloudevents-1.0.2.schema.json"
        self.schema = Schema(json.loads(path.read_text(encoding="utf-8")))
        self.sdk = lambda text: JSONFormat().read(CloudEvent, text)

    def violations(self, text):
        value, twice = read(text)
        yield from self.schema.violations(value)
        yield from repeated(twice, value)
        try:
            self.sdk(text)
        except Exception as error:  # whatever the SDK raises is its verdict
            yield "", f"the SDK refuses it: {error}"
        for name, attribute in value.items() if isinstance(value, dict) else ():
            if name in ("data", "data_base64"):
                continue
            if len(name) > 20:
                yield f"/{name}", "a name should not be longer than 20 characters"
            is_integer = isinstance(attribute, int) and -(2**31) <= attribute < 2**31
            if not isinstance(attribute, (str, bool)) and not is_integer:
                yield f"/{name}", "an attribute is a string, a boolean or an integer of 32 bits"
            if isinstance(attribute, str) and not all(map(self.may_stand, attribute)):
                yield f"/{name}", "a string holds a character that the specification forbids"

    @staticmethod
    def may_stand(character):
        """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#type-system"""
        is_noncharacter = "\ufdd0" <= character <= "\ufdef" or ord(character) & 0xFFFE == 0xFFFE
        return unicodedata.category(character) not in ("Cc", "Cs") and not is_noncharacter


class Ocsf:
    """OCSF, class API Activity: the compiled schema, and what its server checks beyond it."""

    def __init__(self):
        from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

        self.source = get_ocsf_schema(version=OCSF_VERSION)
        self.ocsf = OcsfJsonSchemaEmbedded(self.source)
        self.schemas = {}
        # The type of an observable that an attribute of some type is.
        types = self.source["dictionary"]["types"]["attributes"]
        self.kinds = {name: it.get("observable") for name, it in types.items()}

    def schema(self, profiles):
        if profiles not in self.schemas:
            self.schemas[profiles] = Schema(self.ocsf.get_class_schema("api_activity", list(profiles)))
        return self.schemas[profiles]

    def violations(self, text):
        value, twice = read(text)
        for _, name in twice:
            yield "", f"the member {name!a} stands there twice"
        metadata = value.get("metadata") if isinstance(value, dict) else None
        metadata = metadata if isinstance(metadata, dict) else {}
        profiles = metadata.get("profiles", [])
        known = self.source["classes"]["api_activity"]["profiles"]
        if not isinstance(profiles, list) or any(profile not in known for profile in profiles):
            yield "/metadata/profiles", f"{profiles} are not profiles of the class"
            profiles = []
        yield from self.schema(tuple(sorted(profiles))).violations(value)
        if metadata.get("version") != OCSF_VERSION:
            yield "/metadata/version", f"not {OCSF_VERSION}"
        if isinstance(value, dict):
            uids = [value.get(name) for name in ("class_uid", "activity_id", "type_uid")]
            if all(isinstance(uid, int) for uid in uids) and uids[0] * 100 + uids[1] != uids[2]:
                yield "/type_uid", "not class_uid * 100 + activity_id"
            yield from self.rules(value, self.source["classes"]["api_activity"], "")
            yield from self.raw_data(value)
            yield from self.observables(value)

    def raw_data(self, value):
        """The size and the digest are those of the text."""
        raw, digest = value.get("raw_data"), value.get("raw_data_hash")
        if isinstance(raw, str):
            raw = raw.encode("utf-8", "surrogatepass")
            if value.get("raw_data_size", len(raw)) != len(raw):
                yield "/raw_data_size", f"not {len(raw)}"
            if isinstance(digest, dict) and digest.get("value") != hashlib.sha256(raw).hexdigest():
                yield "/raw_data_hash/value", "not the SHA-256 of raw_data"

    def observables(self, value):
        """An observable names an attribute, of a type that may be observed so, and repeats its value."""
        observables = value.get("observables")
        for index, observable in enumerate(observables if isinstance(observables, list) else ()):
            here, attribute, kind = value, {}, self.source["classes"]["api_activity"]
            for name, element in re.findall(r"([^.\[\]]+)(?:\[(\d+)\])?", str(observable.get("name"))):
                attribute = kind.get("attributes", {}).get(name, {}) if kind else {}
                here = here.get(name) if isinstance(here, dict) else None
                if element:
                    here = here[int(element)] if isinstance(here, list) and int(element) < len(here) else None
                kind = self.source["objects"].get(attribute.get("object_type"))
            if here is None or here != observable.get("value"):
                yield f"/observables/{index}", f"{observable.get('name')!a} is {here!a}"
            captions = self.source["objects"]["observable"]["attributes"]["type_id"]["enum"]
            expected = attribute.get("observable", self.kinds.get(attribute.get("type")))
            if expected is not None and observable.get("type_id") != expected:
                yield f"/observables/{index}", f"is of type {captions[str(expected)]['caption']!a}"

    def rules(self, value, kind, path):
        """What an id's sibling says must be its caption, and nothing deprecated is used."""
        for name, member in value.items():
            attribute = kind["attributes"].get(name)
            if attribute is None:
                continue
            here = f"{path}/{name}"
            if "@deprecated" in attribute:
                yield here, f"deprecated: {attribute['@deprecated'].get('message', '')}"
            sibling, enum = attribute.get("sibling"), attribute.get("enum")
            if sibling in value and enum and isinstance(member, int):
                caption = enum.get(str(member), {}).get("caption")
                if member != 99 and value[sibling] != caption:
                    yield f"{path}/{sibling}", f"{value[sibling]!a} is not the caption {caption!a} of {name} {member}"
            inner = self.source["objects"].get(attribute.get("object_type"))
            if inner is None:
                continue
            elements = enumerate(member) if isinstance(member, list) else [(None, member)]
            for index, element in elements:
                if isinstance(element, dict):
                    at = here if index is None else f"{here}/{index}"
                    yield from self.rules(element, inner, at)


class Ecs:
    """The Elastic Common Schema's fields and types, with those of the integration for CloudTrail, and what
    Elasticsearch refuses."""

    REQUIRED = ("@timestamp", "ecs.version")
    # https://www.elastic.co/docs/reference/elasticsearch/mapping-reference/flattened
    FLATTENED_DEPTH = 20
    LONGEST_TERM = 32766
    TEXTS = ("keyword", "constant_keyword", "wildcard", "match_only_text", "text")
    DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")

    def __init__(self):
        self.fields = {}
        for name in (f"ecs-{ECS_VERSION}.tsv", "aws-cloudtrail.tsv"):
            lines = (HERE / name).read_text(encoding="utf-8").splitlines()
            for line in lines:
                if not line.startswith("#"):
                    field, kind, array, allowed = (line.split("\t") + ["", ""])[:4]
                    self.fields[field] = (kind, array, allowed.split())
        groups = (field.split(".")[:end] for field in self.fields for end in range(1, field.count(".") + 1))
        self.groups = {".".join(group) for group in groups}

    def violations(self, text):
        value, twice = read(text)
        for _, name in twice:
            yield "", f"the member {name!a} stands there twice"
        if not isinstance(value, dict):
            yield "", "an event is an object"
            return
        seen = set()
        yield from self.members(value, "", seen)
        for name in self.REQUIRED:
            if name not in seen:
                yield "", f"the field {name} is missing"
        if value.get("ecs") != {"version": ECS_VERSION}:
            yield "/ecs/version", f"not {ECS_VERSION}"

    def members(self, value, prefix, seen):
        for name, member in value.items():
            field = prefix + name
            seen.add(field)
            path = "/" + field.replace(".", "/")
            if "." in name:
                yield path, "a name with a dot in it"
            kind, array, allowed = self.fields.get(field, ("group", "", []))
            if field not in self.fields and field not in self.groups:
                yield path, "no field of the schema"
                continue
            if isinstance(member, list) != (array == "array") and not (array == "any" and isinstance(member, list)):
                yield path, "not an array" if array == "array" else "an array"
                continue
            for element in member if isinstance(member, list) else [member]:
                if kind == "group" and isinstance(element, dict):
                    if not element:
                        yield path, "an empty object"
                    yield from self.members(element, field + ".", seen)
                    continue
                for problem in self.problems(kind, element):
                    yield path, problem
                if allowed and element not in allowed:
                    yield path, f"{element!a} is not one of {' '.join(allowed)}"

    def problems(self, kind, value):
        match kind:
            case kind if kind in self.TEXTS:
                is_right = isinstance(value, str)
            case "date":
                is_right = isinstance(value, str) and self.DATE.fullmatch(value) and is_time(value)
            case "ip":
                is_right = isinstance(value, str) and is_address(value)
            case "boolean":
                is_right = isinstance(value, bool)
            case "long" | "integer":
                is_right = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
            case "float" | "double" | "scaled_float":
                is_right = isinstance(value, (int, float)) and not isinstance(value, bool)
            case "flattened":
                is_right = isinstance(value, dict)
                yield from self.flattened(value, []) if is_right else ()
            case _:
                is_right = isinstance(value, dict)
        if not is_right:
            yield f"{str(value)[:80]!a} is no {kind}"

    def flattened(self, value, path):
        for name, member in value.items():
            keys = [*path, name]
            if "\0" in name:
                yield f"a key with a null character: {name!a}"
            leaves, objects = spread(member)
            for inner in objects:
                if len(keys) + 1 > self.FLATTENED_DEPTH:
                    yield f"objects nested more than {self.FLATTENED_DEPTH} deep"
                else:
                    yield from self.flattened(inner, keys)
            for leaf in leaves:
                said = leaf if isinstance(leaf, str) else json.dumps(leaf)
                if len(".".join(keys).encode(errors="replace")) + 1 + len(said.encode(errors="replace")) > self.LONGEST_TERM:
                    yield f"the value of {name[:80]!a} is longer than {self.LONGEST_TERM} bytes"


def spread(value):
    """The leaves and the objects in a value, arrays looked through."""
    leaves, objects, rest = [], [], [value]
    while rest:
        it = rest.pop()
        if isinstance(it, list):
            rest.extend(it)
        elif isinstance(it, dict):
            objects.append(it)
        elif it is not None:
            leaves.append(it)
    return leaves, objects


def is_address(text):
    try:
        return ipaddress.ip_address(text) is not None
    except ValueError:
        return False


def is_time(text):
    """Whether there is such a moment; a leap second is one."""
    months = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    year, month, day, hour, minute, second = (int(text[a:b]) for a, b in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = months[month - 1] if 1 <= month <= 12 else 0
    longest -= month == 2 and not leap
    return 1 <= day <= longest and hour < 24 and minute < 60 and second <= 60


class Other:
    """Anything, by the JSON Schema in this file."""

    def __init__(self, path):
        self.schema = Schema(json.loads(Path(path).read_text(encoding="utf-8")))

    def violations(self, text):
        yield from self.schema.violations(json.loads(text))


FORMATS = {"envelope": Envelope, "cloudevents": CloudEvents, "ocsf": Ocsf, "ecs": Ecs}


def main(arguments):
    if len(arguments) != 1 or not (arguments[0] in FORMATS or arguments[0].endswith(".json")):
        print(f"usage: validate.py {'|'.join(FORMATS)}|SCHEMA.json < events.jsonl", file=sys.stderr)
        return 2
    sys.setrecursionlimit(20_000)
    # The interpreter refuses to read integers beyond 4,300 digits; a record may hold one.
    getattr(sys, "set_int_max_str_digits", lambda _: None)(0)
    judge = FORMATS[arguments[0]]() if arguments[0] in FORMATS else Other(arguments[0])
    lines = found = 0
    for lines, line in enumerate(sys.stdin.buffer, start=1):
        try:
            violations = list(judge.violations(line.decode("utf-8")))
        except ValueError as error:
            violations = [("", f"{type(error).__name__}: {error}")]
        for path, message in violations:
            found += 1
            print(json.dumps({"line": lines, "path": path, "message": message}))
    print(f"{arguments[0]}: {lines} events, {found} violations", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
