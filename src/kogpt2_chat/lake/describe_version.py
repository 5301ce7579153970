"""Write a version's model card into the registry, and its dataset's counts as metrics of its run."""

from kogpt2_chat.domain.gate.model_card import CardFacts, Judged, model_card
from kogpt2_chat.domain.learning.dataset import Manifest
from kogpt2_chat.errors import InvalidInput, NotFound, Unavailable
from kogpt2_chat.lake.manifests import read_manifest
from kogpt2_chat.ports import Files, ModelVersion, Registry


def describe_version(
    version: ModelVersion, registry: Registry, files: Files, root: str, judged: Judged | None = None
) -> None:
    """Replace the description of a version.

    Args:
        version: with its tags.
        registry: the model registry.
        files: the lake, for the manifest of the version's dataset.
        root: the lake's root folder.
        judged: what the gate found out; None before that.
    """
    manifest = _manifest(version, files, root)
    if manifest is not None:
        registry.log_metrics(version.run_id, _counts(manifest))
    parent = version.tags.get("parent", "")
    card = model_card(
        CardFacts(
            bot=version.bot,
            version=version.version,
            tags=version.tags,
            manifest=manifest,
            run_page=registry.run(version.run_id).page,
            parent_page=_page(version.bot, parent, registry),
            judged=judged,
        )
    )
    registry.describe(version.bot, version.version, card)


def _manifest(version: ModelVersion, files: Files, root: str) -> Manifest | None:
    """Return the manifest; None if it is missing or damaged, or if the lake is away: the card then says so."""
    dataset = version.tags.get("dataset", "")
    try:
        return read_manifest(files, root, version.bot, dataset) if dataset else None
    except (NotFound, Unavailable, InvalidInput, ValueError, TypeError, AttributeError):
        return None


def _counts(manifest: Manifest) -> dict[str, float]:
    rows = {f"rows_{name}": float(count) for name, count in manifest.sources.items()}
    return rows | {"pairs_new": float(manifest.new_pairs), "pairs_withdrawn": float(manifest.withdrawn_pairs)}


def _page(bot: str, number: str, registry: Registry) -> str:
    try:
        return registry.get(bot, int(number)).page if number.isdecimal() else ""
    except NotFound:  # deleted in the meantime
        return ""
