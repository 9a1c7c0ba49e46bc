"""Write tests/conformance/, or the same into the folder that is the argument.

Run as `python -m tests.support.conformance.write_suite`.
"""

import json
import shutil
import sys
from pathlib import Path

from tests.support.conformance import bundles, documents
from tests.support.paths import SUITE

# What was not JSON in the text that a document was copied from.
CLEANED = {
    "config/000_04": "comments taken out",
    "config/001_03": "comments taken out",
    "config/001_04": "elision (...) taken out",
    "tokenizer/000_05": "comments taken out",
    "tokenizer/002_03": "elision (...) taken out: the vocabulary is cut",
    "training_state/000_03": "comments and an elision (...) taken out",
    "training_state/000_06": "comments taken out",
    "training_state/001_05": "elision (...) taken out",
    "training_state/001_08": "comments taken out",
}


def main(target):
    """Write documents, bundles and the index; seeds are data of their own."""
    for name in ("documents", "bundles", "files"):
        shutil.rmtree(target / name, ignore_errors=True)
    index = {
        "documents": [*seed_cases(), *document_cases(target)],
        "bundles": [*bundle_cases(target)],
        "files": [*file_cases(target)],
    }
    (target / "index.json").write_bytes(lines(index))


def seed_cases():
    for path in sorted((SUITE / "seeds").rglob("*.json")):
        name = path.relative_to(SUITE / "seeds").with_suffix("").as_posix()
        note = {"note": CLEANED[name]} if name in CLEANED else {}
        yield case(f"seeds/{name}.json", kind=path.parent.name, valid=True, **note)


def document_cases(target):
    for name, document in documents.VALID.items():
        path = write(target, f"documents/valid/{name}.json", bundles.text(document))
        yield case(path, kind=kind_of(name), valid=True)
    for name, (document, warnings) in documents.WARNED.items():
        path = write(target, f"documents/valid/{name}.json", bundles.text(document))
        yield case(path, kind=kind_of(name), valid=True, warnings=places(warnings))
    for name, (document, errors) in documents.INVALID.items():
        path = write(target, f"documents/invalid/{name}.json", bundles.text(document))
        yield case(path, kind=kind_of(name), valid=False, errors=places(errors))
    for name, data in documents.NO_JSON.items():
        path = write(target, f"documents/invalid/json/{name}.json", data)
        yield case(path, kind="config", valid=False, errors=places([("", "json")]))


def bundle_cases(target):
    for valid, cases in ((True, bundles.valid()), (False, bundles.invalid())):
        for name, found in cases.items():
            folder = f"bundles/{'valid' if valid else 'invalid'}/{name}"
            for file, data in found.files.items():
                write(target, f"{folder}/{file}", data)
            more = {"checksums": True} if found.checksums else {}
            more |= {"refused": found.refused} if found.refused else {}
            more |= {"errors": files(found.errors)} if found.errors else {}
            more |= {"warnings": files(found.warnings)} if found.warnings else {}
            yield case(folder, valid=valid, **more)


def file_cases(target):
    for name, value in bundles.version_0().items():
        yield case(write(target, f"files/{name}", bundles.pt(value)), version="0")


def case(path, **more):
    return {"path": path, **more}


def kind_of(name):
    return name.partition("/")[0]


def places(found):
    return [{"where": where, "kind": kind} for where, kind in found]


def files(found):
    return [{"file": file, "where": where, "kind": kind} for file, where, kind in found]


def write(target, path, data):
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    (target / path).write_bytes(data)
    return path


def lines(index):
    """Give JSON with a case on each line."""
    parts = []
    for name, cases in index.items():
        rows = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in cases)
        parts.append(f'  "{name}": [\n{rows}\n  ]')
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SUITE)
