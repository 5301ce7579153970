"""Fit the classifier of ``domain/safety/crisis_classifier.py`` and write its weights.

Run it after any change to its texts.

It is trained on ``corpora/crisis`` and, as ordinary texts, on the questions of the bots' corpora. The threshold is the
lowest one that satisfies ``MAX_ORDINARY_SHARE`` on held-out texts. The sets in ``tests/unit/crisis`` are not used.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from kogpt2_chat.domain.safety.crisis import KINDS, find_by_rules, is_about_something_else
from kogpt2_chat.domain.safety.crisis_classifier import WEIGHTS_FILE, ngrams
from kogpt2_chat.domain.text.csv_text import read_table
from kogpt2_chat.domain.text.view import view_of

CHECKOUT: Final = Path(__file__).parents[1]
FOLDER: Final = CHECKOUT / "corpora/crisis"
CRISES: Final = FOLDER / "crisis.csv"
LOOKALIKES: Final = FOLDER / "lookalikes.csv"
ORDINARY: Final = FOLDER / "ordinary.csv"
SEEDS: Final = tuple(sorted((CHECKOUT / "corpora").glob("Chatbot?/seed.csv")))

MIN_TEXTS: Final = 2
"""Minimum number of texts that contain an n-gram."""
STRENGTH: Final = 0.3
"""Inverse regularisation strength (scikit-learn's ``C``)."""
EVERYDAY_WEIGHT: Final = 3.0
"""Sample weight of ordinary texts and seed questions; other texts have weight 1."""
FOLDS: Final = 5
MAX_ORDINARY_SHARE: Final = 0.002
"""Maximum share of held-out ordinary texts that the classifier may flag."""
MIN_WEIGHT: Final = 2
"""In hundredths of a nat. N-grams whose absolute crisis weight is smaller are left out of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The training texts; each attribute has one entry per text.

    Attributes:
        bags: n-grams of the text.
        labels: 0 for no crisis, else the number of the kind, starting at 1.
        costs: sample weight.
        by_rules: whether the rules find a crisis.
        classified: whether the classifier is used for the text; it is not for texts about something else.
        sources: where the text is from: ``crisis``, ``lookalikes``, ``ordinary`` or ``seeds``.
    """

    bags: list[set[str]]
    labels: NDArray[np.int64]
    costs: NDArray[np.float64]
    by_rules: NDArray[np.bool_]
    classified: NDArray[np.bool_]
    sources: NDArray[np.str_]


def main() -> None:
    """Fit the classifier, write its weights, and print the results on held-out texts."""
    texts = _texts()
    threshold = _threshold(texts, _held_out(texts))
    vocabulary = _vocabulary(texts.bags)
    rows = _matrix(texts.bags, vocabulary)
    is_crisis = texts.labels > 0
    crisis = _fitted(rows, is_crisis, texts.costs)
    kinds = LogisticRegression(C=STRENGTH, max_iter=300).fit(rows[is_crisis], texts.labels[is_crisis])
    _write(np.vstack([crisis.coef_, kinds.coef_]), [*crisis.intercept_, *kinds.intercept_], vocabulary, threshold)


def training_key() -> str:
    """Return a hash of all training texts."""
    digest = hashlib.sha256()
    for path in (CRISES, LOOKALIKES, ORDINARY, *SEEDS):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _texts() -> Texts:
    labels = {row["text"]: (KINDS.index(row["kind"]) + 1, "crisis") for row in _rows(CRISES, "text", "kind")}
    labels |= {row["text"]: (0, "lookalikes") for row in _rows(LOOKALIKES, "text", "kind")}
    ordinary = [row["text"] for row in _rows(ORDINARY, "text")]
    seeds = [row["question"] for path in SEEDS for row in _rows(path, "question", "answer", "topic")]
    # Leave out texts in which the rules find a crisis: they may really be about one.
    labels |= {text: (0, "ordinary") for text in ordinary if find_by_rules(text) is None}
    labels |= {text: (0, "seeds") for text in seeds if find_by_rules(text) is None}
    sources = np.array([source for _, source in labels.values()])
    return Texts(
        bags=[ngrams(view_of(text).text) for text in labels],
        labels=np.array([label for label, _ in labels.values()]),
        costs=np.where(np.isin(sources, ["ordinary", "seeds"]), EVERYDAY_WEIGHT, 1.0),
        by_rules=np.array([find_by_rules(text) is not None for text in labels]),
        classified=np.array([not is_about_something_else(text) for text in labels]),
        sources=sources,
    )


def _rows(path: Path, *header: str) -> list[dict[str, str]]:
    return read_table(path.read_bytes(), name=str(path), header=header).records()


def _vocabulary(bags: Iterable[set[str]]) -> dict[str, int]:
    counts = Counter(ngram for bag in bags for ngram in bag)
    kept = sorted(ngram for ngram, count in counts.items() if count >= MIN_TEXTS)
    return {ngram: column for column, ngram in enumerate(kept)}


def _matrix(bags: Sequence[set[str]], vocabulary: dict[str, int]) -> csr_matrix:
    """Return a matrix (texts, n-grams) of float64 that is 1 where the text contains the n-gram, else 0."""
    columns = [sorted(vocabulary[ngram] for ngram in bag if ngram in vocabulary) for bag in bags]
    ends = np.cumsum([0, *map(len, columns)])
    indices = np.concatenate(columns).astype(int)
    return csr_matrix((np.ones(len(indices)), indices, ends), shape=(len(bags), len(vocabulary)))


def _fitted(rows: csr_matrix, is_crisis: NDArray[np.bool_], costs: NDArray[np.float64]) -> LogisticRegression:
    return LogisticRegression(C=STRENGTH, max_iter=300, solver="liblinear").fit(rows, is_crisis, sample_weight=costs)


def _held_out(texts: Texts) -> NDArray[np.float64]:
    """Return each text's crisis probability by a classifier that was not trained on it: (texts,) float64."""
    found, is_crisis = np.zeros(len(texts.bags)), texts.labels > 0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(found, is_crisis)
    for fold, (seen, unseen) in enumerate(folds, 1):
        print(f"fold {fold} of {FOLDS}", flush=True)
        bags = [texts.bags[row] for row in seen]
        vocabulary = _vocabulary(bags)
        model = _fitted(_matrix(bags, vocabulary), is_crisis[seen], texts.costs[seen])
        found[unseen] = model.predict_proba(_matrix([texts.bags[row] for row in unseen], vocabulary))[:, 1]
    return found


def _threshold(texts: Texts, likely: NDArray[np.float64]) -> float:
    """Return the lowest threshold that satisfies ``MAX_ORDINARY_SHARE``, and print the results for it."""
    for threshold in np.arange(0.2, 0.99, 0.01):
        by_classifier = (likely >= threshold) & texts.classified
        if by_classifier[texts.sources == "ordinary"].mean() <= MAX_ORDINARY_SHARE:
            print(
                f"threshold {threshold:.2f}; share of held-out texts found by the rules alone, and with the classifier:"
            )
            for source in ("crisis", "lookalikes", "ordinary", "seeds"):
                rows = texts.sources == source
                both = (texts.by_rules | by_classifier)[rows].mean()
                print(f"  {source:<10} {rows.sum():5}  {texts.by_rules[rows].mean():.4f}  {both:.4f}")
            return float(threshold)
    raise SystemExit("no threshold satisfies MAX_ORDINARY_SHARE on held-out texts; see the constants of this script")


def _write(
    weights: NDArray[np.float64], intercepts: Sequence[float], vocabulary: dict[str, int], threshold: float
) -> None:
    header = {
        "kinds": KINDS,
        "threshold": round(threshold, 2),
        "intercepts": [round(100 * value) for value in intercepts],
        "training": training_key(),
    }
    hundredths = np.rint(100 * weights).astype(int)
    kept = [(ngram, hundredths[:, column]) for ngram, column in vocabulary.items()]
    lines = [json.dumps(header)]
    lines += ["\t".join([ngram, *map(str, row)]) for ngram, row in kept if abs(row[0]) >= MIN_WEIGHT]
    WEIGHTS_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} n-grams, {WEIGHTS_FILE.stat().st_size / 1e6:.1f} MB: {WEIGHTS_FILE.name}")


if __name__ == "__main__":
    main()
