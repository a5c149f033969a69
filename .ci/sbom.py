#!/usr/bin/env python3
"""Writes the software bill of materials of the binary (CycloneDX 1.5, JSON) to target/sbom, and checks that it
lists every crate that is linked into it, each with a licence. Needs cargo-cyclonedx, and nothing beside Python."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "sbom"
# cargo-cyclonedx writes one file beside every manifest of the workspace. This name is nobody else's.
NAME = "trailsift-bill-of-materials"
BUILDS = {"trailsift.cdx.json": [], "trailsift-all-features.cdx.json": ["--all-features"]}


def run(*command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed; if it is cargo-cyclonedx that is missing, .ci/run installs it in target/ci-tools/bin")
    return done.stdout


def written(features):
    """The bill of the binary, without the paths of this machine in it."""
    made = list(ROOT.glob(f"*/{NAME}.json")) + list(ROOT.glob(f"crates/*/{NAME}.json"))
    for old in made:
        old.unlink()
    try:
        run("cargo", "cyclonedx", "--quiet", "--manifest-path", "crates/trailsift/Cargo.toml", "--format", "json",
            "--spec-version", "1.5", "--override-filename", NAME, *features)
        text = (ROOT / "crates" / "trailsift" / f"{NAME}.json").read_text()
    finally:
        for file in list(ROOT.glob(f"*/{NAME}.json")) + list(ROOT.glob(f"crates/*/{NAME}.json")):
            file.unlink()
    return json.loads(text.replace(f"file://{ROOT}/", "file:///"))


def linked(features):
    """Name and version of every crate that Cargo puts into the binary or runs to build it."""
    tree = run("cargo", "tree", "--locked", "--package", "trailsift", "--edges", "normal,build", "--prefix", "none",
               "--format", "{p}", *features)
    crates = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    return {(name, version.removeprefix("v")) for name, version in crates}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = []
    for file, features in BUILDS.items():
        bill = written(features)
        listed = {(it["name"], it["version"]) for it in bill["components"]}
        listed.add((bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]))
        wrong += [f"{file} lacks {name} {version}" for name, version in sorted(linked(features) - listed)]
        wrong += [f"{file}: {it['name']} {it['version']} has no licence"
                  for it in bill["components"] if not it.get("licenses")]
        if str(ROOT) in json.dumps(bill):
            wrong.append(f"{file} names a path of this machine")
        (FOLDER / file).write_text(json.dumps(bill, indent=1) + "\n")
        print(f"target/sbom/{file}: {len(listed)} crates")
    for what in wrong:
        print(what, file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())
