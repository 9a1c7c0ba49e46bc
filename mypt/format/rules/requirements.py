"""What the documents of a checkpoint require of whoever reads them: features, plugins among them.

A document names in `requires` each feature beyond the base format that changes what it means. A
plugin is the feature `plugin/<package>` of the document whose part, tokenizer, optimizer or guard
it offers; what a manifest says of it in `needed_for` follows from that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from mypt.format.documents.config_parts.adapter import FEATURE as ADAPTER
from mypt.format.documents.manifest import GENERATE, PURPOSES, TRAIN
from mypt.format.errors import Problem
from mypt.format.layout import used_slots
from mypt.format.names.packages import normalize_package_name
from mypt.format.rules.config import MISSING, explain_lack
from mypt.format.rules.plugin_settings import (
    BUILT_IN_TOKENIZERS,
    GUARDS,
    NEEDS_PLUGIN,
    PLUGINS,
    RUN_CHOICES,
    TOKEN_KIND,
    TOKENIZER_PLUGIN,
    clash_problems,
    knows_plugins,
    list_unusable,
)
from mypt.format.storage import files
from mypt.format.version import DISTRIBUTION, FORMAT_VERSION, MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.convert import Document
    from mypt.format.documents.training import TrainingConfig
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind

    Needs = Mapping[str, Mapping[str, Any]]

REQUIRES = "requires"
# The features of the format beyond its base, by the kind of document, each with the version that
# brought it: the registry in section 1.1 of the specification.
FEATURES: Mapping[Kind, Mapping[str, str]] = {
    "config": {ADAPTER: FORMAT_VERSION},
    "tokenizer": {},
    "training_state": {},
}
# The kind of a feature that this version does not know.
UNKNOWN = "feature.unknown"
# The kinds of problems that another plugin, a sound one, or another version of mypt would end.
LACKING = NEEDS_PLUGIN | {UNKNOWN}
_PLUGIN = "plugin/"


@frozen
class Scope:
    """What cannot be done without a feature that a document requires.

    Attributes:
        file: The document.
        purposes: The same as `needed_for` of a manifest has it.
        meaning: The same in words.
    """

    file: str
    purposes: tuple[str, ...]
    meaning: str


SCOPES: Mapping[Kind, Scope] = {
    "config": Scope(files.CONFIG, PURPOSES, "its weights cannot be read"),
    "tokenizer": Scope(files.TOKENIZER, (GENERATE,), "text can be neither encoded nor decoded"),
    "training_state": Scope(files.TRAINING_STATE, (TRAIN,), "its training cannot go on"),
}


@frozen(kw_only=True)
class Requirements:
    """The plugins that a checkpoint requires.

    Attributes:
        features: By kind of document, those that it requires.
        plugins: By package, what a manifest says of them.
    """

    features: Mapping[Kind, tuple[str, ...]] = field(factory=dict)
    plugins: Needs = field(factory=dict)

    def complete(self, kind: Kind, before: Iterable[str]) -> tuple[str, ...]:
        """Return the `requires` of a document that is written.

        Args:
            kind: The kind of document.
            before: What it required when it was read, of which the features of the format stay.
        """
        kept = (feature for feature in before if package_of(feature) is None)
        return (*kept, *self.features.get(kind, ()))


def make_feature(package: str) -> str:
    """Return the name of the feature that a package of plugins is."""
    return f"{_PLUGIN}{normalize_package_name(package)}"


def list_features(document: Document) -> list[str]:
    """Return the features of the format that a document requires, sorted."""
    return sorted(f for f in document.get(REQUIRES, ()) if package_of(f) is None)


def package_of(feature: str) -> str | None:
    """Return the package of a feature that is a plugin; None for a feature of the format."""
    package = feature.removeprefix(_PLUGIN)
    return normalize_package_name(package) if package not in ("", feature) else None


def feature_problems(kind: Kind, document: Document, file: str) -> list[Problem]:
    """Return a problem for each feature of the format that this version does not know.

    Args:
        kind: The kind of document.
        document: Its fields, of which the schema accepts `requires`.
        file: Its name, for messages.
    """
    problems = []
    for index, feature in enumerate(document.get(REQUIRES, ())):
        if package_of(feature) is not None or feature in FEATURES[kind]:
            continue
        version = document.get("format_version", FORMAT_VERSION)
        what = f'is "{feature}", which is no feature of format {FORMAT_VERSION}'
        fix = "use the program that wrote it"
        if version != FORMAT_VERSION:
            what = f'is "{feature}", a feature of format {version} that mypt {MYPT_VERSION} lacks'
            fix = f"upgrade mypt: pip install --upgrade {DISTRIBUTION}"
        what += f": {SCOPES[kind].meaning}"
        problems.append(Problem(file, f"/{REQUIRES}/{index}", what, fix, kind=UNKNOWN))
    return problems


def explain_by_features(
    kind: Kind, document: Document, file: str, found: list[Problem]
) -> list[Problem]:
    """Return what is wrong with a document, in the light of the features that it requires.

    What else a document must be, whose features are not all known, nobody here knows: its schema
    may have become another one.

    Args:
        kind: The kind of document.
        document: Its fields.
        file: Its name, for messages.
        found: Its problems by the schema.

    Returns:
        A problem for each feature that is not known where the schema rejects the document for other
        reasons than its version or the form of `requires`; else `found`.
    """
    own = ("/format_version", f"/{REQUIRES}")
    errors = [problem for problem in found if problem.severity == "error"]
    if kind not in SCOPES or not errors or any(error.where.startswith(own) for error in errors):
        return found
    return feature_problems(kind, document, file) or found


def soften_features(kind: Kind, problems: list[Problem]) -> list[Problem]:
    """Return problems of a bundle's document: an unknown feature of its tokenizer is a warning.

    The weights can be used without it.
    """
    return [
        evolve(p, severity="warning") if kind == "tokenizer" and p.kind == UNKNOWN else p
        for p in problems
    ]


def lacking_plugin_problems(
    kind: Kind, document: Document, file: str, settings: Settings
) -> list[Problem]:
    """Return a warning for each plugin that a document requires and that cannot be used here.

    Args:
        kind: "config" or "tokenizer".
        document: Fields accepted by their schema.
        file: Its name, for messages.
        settings: What the plugins say; nothing is said where none is known, not even mypt's own.
    """
    problems = []
    for index, feature in enumerate(document.get(REQUIRES, ())):
        package = package_of(feature)
        if package is None or not knows_plugins(settings) or _is_here(package, settings):
            continue
        why, fix = _explain_absence(package, settings)
        what = f'is "{feature}", a plugin which {why}: {SCOPES[kind].meaning}'
        slug = MISSING if kind == "config" else TOKENIZER_PLUGIN
        place = f"/{REQUIRES}/{index}"
        problems.append(Problem(file, place, what, fix, kind=slug, severity="warning"))
    return problems


def tokenizer_plugin_problems(
    tokenizer: Document, file: str, settings: Settings, needs: Needs
) -> list[Problem]:
    """Return a warning of a tokenizer that no plugin here offers; the weights open without it.

    Args:
        tokenizer: Fields that their schema has accepted.
        file: Its name, for messages.
        settings: What the plugins say; nothing is said where none is known, not even mypt's own.
        needs: Packages that the bundle says it needs, as its manifest has them.
    """
    kind = tokenizer[TOKEN_KIND]
    if kind in BUILT_IN_TOKENIZERS or not knows_plugins(settings):
        return lacking_plugin_problems("tokenizer", tokenizer, file, settings)
    if (TOKEN_KIND, kind) in settings:
        found = clash_problems([(TOKEN_KIND, kind)], file, settings)
        clashes = [evolve(problem, severity="warning") for problem in found]
        return clashes or lacking_plugin_problems("tokenizer", tokenizer, file, settings)
    packages = sorted(filter(None, map(package_of, tokenizer.get(REQUIRES, ()))))
    if not packages:
        named = [name for name, need in needs.items() if GENERATE in need["needed_for"]]
        packages = sorted({*named, *tokenizer.get("plugins", {})})
    what = f'is "{kind}", which no installed plugin offers'
    fix = "install the plugin that brings it; without it texts are written as ids"
    slug = "tokenizer.unknown"
    if packages:
        unusable = list_unusable(packages, settings)
        names, fix = explain_lack(dict(zip(packages, packages, strict=True)), unusable)
        what += f": it is of {' or '.join(names)}" if unusable else ""
        slug = TOKENIZER_PLUGIN
    return [Problem(file, f"/{TOKEN_KIND}", what, fix, kind=slug, severity="warning")]


def _is_here(package: str, settings: Settings) -> bool:
    found = settings.get((PLUGINS, package))
    return found is not None and found.unusable is None


def _explain_absence(package: str, settings: Settings) -> tuple[str, str]:
    unusable = list_unusable([package], settings)
    return unusable.get(package, ("is not installed", f"install it: pip install {package}"))


def merge_needs(listed: Needs, requires: Mapping[Kind, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """Return the plugins that a checkpoint requires, by package, as a manifest has them.

    Args:
        listed: The `plugins` of its manifest.
        requires: By kind of document, the features that it requires.
    """
    needs = {
        normalize_package_name(package): {**need, "needed_for": [*need["needed_for"]]}
        for package, need in listed.items()
    }
    for kind, features in requires.items():
        for package in filter(None, map(package_of, features)):
            need = needs.setdefault(package, {"version": None, "needed_for": []})
            wanted = {*need["needed_for"], *SCOPES[kind].purposes}
            need["needed_for"] = [purpose for purpose in PURPOSES if purpose in wanted]
    return needs


def disagreement_problems(
    listed: Needs, requires: Mapping[Kind, Iterable[str]], file: str
) -> Iterator[Problem]:
    """Yield a warning for each plugin of which manifest and documents do not say the same.

    Args:
        listed: The `plugins` of the manifest.
        requires: By kind of document, the features that it requires.
        file: Name of the manifest, for messages.
    """
    ours = {p: need["needed_for"] for p, need in merge_needs(listed, {}).items()}
    theirs = {p: need["needed_for"] for p, need in merge_needs({}, requires).items()}
    for package in {**ours, **theirs}:
        said, wanted = ours.get(package, ()), theirs.get(package, ())
        if set(said) != set(wanted):
            what = (
                f"says that {package} is needed to {_list_words(said)}, and by `requires` of the"
                f" documents it is needed to {_list_words(wanted)}"
            )
            fix = "save the checkpoint anew; until then both count"
            kind = "manifest.requires"
            yield Problem(file, "/plugins", what, fix, kind=kind, severity="warning")


def _list_words(purposes: Iterable[str]) -> str:
    return ", ".join(purposes) or "do nothing"


def find_requirements(
    config: GPTConfig,
    token_kind: str | None,
    training: TrainingConfig | None,
    *,
    layouts: Layouts,
    settings: Settings,
    version_of: Callable[[str], str | None],
    before: Needs,
) -> Requirements:
    """Return the plugins that a checkpoint requires that is about to be written.

    Args:
        config: Its architecture.
        token_kind: Its tokenizer; None if it has none, or none that can be used here.
        training: Hyperparameters of its run, whose optimizer and guards are required to go on with
            it; None if it has none.
        layouts: The known architecture parts.
        settings: What the plugins say.
        version_of: Returns the version of a package whose plugins are available; otherwise None.
        before: What it required when it was opened. A plugin that is not available stays required
            as long as there may be something of it.
    """
    chosen: dict[Kind, list[tuple[str, str]]] = {
        "config": [(slot, getattr(config, slot)) for slot in used_slots(config, layouts)],
        "tokenizer": [] if token_kind is None else [(TOKEN_KIND, token_kind)],
        "training_state": [] if training is None else list_run_choices(training),
    }
    may_be_of_lost: dict[Kind, bool] = {
        "config": True,
        "tokenizer": token_kind is None,
        "training_state": any(
            is_of_other(key, settings, before) for key in chosen["training_state"]
        ),
    }
    packages: dict[Kind, set[str]] = {
        kind: {settings[key].package for key in keys if key in settings} - {DISTRIBUTION}
        for kind, keys in chosen.items()
    }
    for package, need in before.items():
        if version_of(package) is None:
            for kind in filter(may_be_of_lost.__getitem__, _list_kinds(need)):
                packages[kind].add(package)
    features: dict[Kind, tuple[str, ...]] = {
        kind: tuple(map(make_feature, sorted(found))) for kind, found in packages.items()
    }
    needs = merge_needs({}, features)
    for package, need in needs.items():
        need["version"] = version_of(package) or before.get(package, need)["version"]
    return Requirements(features=features, plugins=needs)


def list_run_choices(training: TrainingConfig) -> list[tuple[str, str]]:
    """Return what a run chooses of plugins, as the keys of `Settings`."""
    return [
        *((choice.field, getattr(training, choice.field)) for choice in RUN_CHOICES),
        *((GUARDS, name) for name, options in training.gold_guards.items() if options is not False),
    ]


def is_of_other(choice: tuple[str, str], settings: Settings, needs: Needs) -> bool:
    """Return whether neither mypt nor a plugin that a checkpoint requires offers something here.

    Args:
        choice: A key of `settings`.
        settings: What the plugins say.
        needs: The plugins that the checkpoint requires, by package.
    """
    return choice not in settings or settings[choice].package not in {DISTRIBUTION, *needs}


def _list_kinds(need: Mapping[str, Any]) -> Iterator[Kind]:
    """Yield the kinds of documents that require a plugin of which a manifest says this."""
    left = {*need["needed_for"]}
    for kind, scope in SCOPES.items():
        if scope.purposes[0] in left:
            yield kind
            left -= {*scope.purposes}


def list_version_changes(before: Needs, now: Needs) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the packages whose plugins may do something else now.

    A package that only a guard needs is no change where the guard begins or ceases to be used:
    `gold_guards` says so, and no weight depends on it. Of a version that is not known nothing can
    be said.

    Args:
        before: Plugins by package, as `plugins` of a manifest has them.
        now: The same of those that are used now.

    Yields:
        The package, its version before and its version now; None where it was or is not used.
    """
    for package in sorted({*before, *now}):
        was, here = before.get(package), now.get(package)
        if was is not None and here is not None:
            if was["version"] != here["version"] and None not in (was["version"], here["version"]):
                yield package, was["version"], here["version"]
        elif was is not None and GENERATE in was["needed_for"]:
            yield package, was["version"], None
        elif here is not None and GENERATE in here["needed_for"]:
            yield package, None, here["version"]
