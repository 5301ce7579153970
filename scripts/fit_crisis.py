"""Fit the classifier of ``domain/safety/crisis_classifier.py`` and write its weights.

Run it after any change to its texts.

It learns from ``corpora/crisis``, and from the questions of the bots' corpora as everyday talk. The threshold is the
lowest one that keeps to the bound below on texts that were held out. The sets in ``tests/unit/crisis`` stay unseen.
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

LEAST_TEXTS: Final = 2
"""In how many texts an n-gram has to stand."""
STRENGTH: Final = 0.3
"""Inverse of the regularisation."""
EVERYDAY_WEIGHT: Final = 3.0
"""Of an ordinary text, against one of the others."""
FOLDS: Final = 5
MOST_ORDINARY: Final = 0.002
"""Share of ordinary texts that the classifier may find where the rules do not."""
LEAST_WEIGHT: Final = 2
"""Hundredths of a nat; what is smaller everywhere is left out of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What is learned from; each attribute has one entry a text.

    Attributes:
        bags: n-grams.
        labels: 0 for no crisis, else the number of the kind, from 1.
        costs: what a mistake counts.
        by_rules: whether the rules find it.
        open_ones: whether the classifier is asked at all.
        sources: the file it stands in.
    """

    bags: list[set[str]]
    labels: NDArray[np.int64]
    costs: NDArray[np.float64]
    by_rules: NDArray[np.bool_]
    open_ones: NDArray[np.bool_]
    sources: NDArray[np.str_]


def main() -> None:
    """Write the weights and print what was measured on held-out texts."""
    texts = _texts()
    threshold = _threshold(texts, _held_out(texts))
    vocabulary = _vocabulary(texts.bags)
    rows = _matrix(texts.bags, vocabulary)
    is_crisis = texts.labels > 0
    crisis = _fitted(rows, is_crisis, texts.costs)
    kinds = LogisticRegression(C=STRENGTH, max_iter=300).fit(rows[is_crisis], texts.labels[is_crisis])
    _write(np.vstack([crisis.coef_, kinds.coef_]), [*crisis.intercept_, *kinds.intercept_], vocabulary, threshold)


def training_key() -> str:
    """Hash of all texts that the weights come from."""
    digest = hashlib.sha256()
    for path in (CRISES, LOOKALIKES, ORDINARY, *SEEDS):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _texts() -> Texts:
    labels = {row["text"]: (KINDS.index(row["kind"]) + 1, "crisis") for row in _rows(CRISES, "text", "kind")}
    labels |= {row["text"]: (0, "lookalikes") for row in _rows(LOOKALIKES, "text", "kind")}
    ordinary = [row["text"] for row in _rows(ORDINARY, "text")]
    seeds = [row["question"] for path in SEEDS for row in _rows(path, "question", "answer", "topic")]
    # What the rules find among them may well be a crisis.
    labels |= {text: (0, "ordinary") for text in ordinary if find_by_rules(text) is None}
    labels |= {text: (0, "seeds") for text in seeds if find_by_rules(text) is None}
    sources = np.array([source for _, source in labels.values()])
    return Texts(
        bags=[ngrams(view_of(text).text) for text in labels],
        labels=np.array([label for label, _ in labels.values()]),
        costs=np.where(np.isin(sources, ["ordinary", "seeds"]), EVERYDAY_WEIGHT, 1.0),
        by_rules=np.array([find_by_rules(text) is not None for text in labels]),
        open_ones=np.array([not is_about_something_else(text) for text in labels]),
        sources=sources,
    )


def _rows(path: Path, *header: str) -> list[dict[str, str]]:
    return read_table(path.read_bytes(), name=str(path), header=header).records()


def _vocabulary(bags: Iterable[set[str]]) -> dict[str, int]:
    counts = Counter(ngram for bag in bags for ngram in bag)
    kept = sorted(ngram for ngram, count in counts.items() if count >= LEAST_TEXTS)
    return {ngram: column for column, ngram in enumerate(kept)}


def _matrix(bags: Sequence[set[str]], vocabulary: dict[str, int]) -> csr_matrix:
    """One row a text, one column an n-gram: 1 where it stands in the text."""
    columns = [sorted(vocabulary[ngram] for ngram in bag if ngram in vocabulary) for bag in bags]
    ends = np.cumsum([0, *map(len, columns)])
    places = np.concatenate(columns).astype(int)
    return csr_matrix((np.ones(len(places)), places, ends), shape=(len(bags), len(vocabulary)))


def _fitted(rows: csr_matrix, is_crisis: NDArray[np.bool_], costs: NDArray[np.float64]) -> LogisticRegression:
    return LogisticRegression(C=STRENGTH, max_iter=300, solver="liblinear").fit(rows, is_crisis, sample_weight=costs)


def _held_out(texts: Texts) -> NDArray[np.float64]:
    """For each text the probability that it is a crisis, by a classifier that has not seen it."""
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
    """The lowest one that keeps to the bound on ordinary texts."""
    for threshold in np.arange(0.2, 0.99, 0.01):
        by_classifier = (likely >= threshold) & texts.open_ones
        if by_classifier[texts.sources == "ordinary"].mean() <= MOST_ORDINARY:
            print(f"threshold {threshold:.2f}; found on held-out texts, by the rules alone and with the classifier:")
            for source in ("crisis", "lookalikes", "ordinary", "seeds"):
                rows = texts.sources == source
                both = (texts.by_rules | by_classifier)[rows].mean()
                print(f"  {source:<10} {rows.sum():5}  {texts.by_rules[rows].mean():.4f}  {both:.4f}")
            return float(threshold)
    raise SystemExit("no threshold keeps to the bound on held-out texts; see the constants of this script")


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
    lines += ["\t".join([ngram, *map(str, row)]) for ngram, row in kept if abs(row[0]) >= LEAST_WEIGHT]
    WEIGHTS_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} n-grams, {WEIGHTS_FILE.stat().st_size / 1e6:.1f} MB: {WEIGHTS_FILE.name}")


if __name__ == "__main__":
    main()
