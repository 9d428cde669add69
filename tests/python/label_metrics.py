"""Computes tests/expected/label_metrics.json: accuracy, F1 and Jaccard of made-up labels by scikit-learn.

    pip install -r tests/python/evaluation_requirements.txt
    python tests/python/label_metrics.py > tests/expected/label_metrics.json
"""

import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, recall_score
from sklearn.preprocessing import MultiLabelBinarizer, StandardScaler

# Class 7 is said but never true; `None` (here 99) stands for no answer.
TRUTH = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4]
SAID = [0, 0, 0, 1, 7, 1, 1, 0, 2, 3, 3, 3, 99, 3, 0, 7]
WEIGHTS = [1, 2, 0, 3, 1, 1, 0, 2, 1, 1, 4, 0, 1, 1, 2, 1]
NOBODY = 99

SET_TRUTH = [[0, 1], [1, 2], [0, 3], [2, 4], [5, 1], [0, 1]]
SET_SAID = [[0, 1], [1, 3], [], [4, 2], [0, 2], [1]]


def label_figures(weights):
    classes = sorted(set(TRUTH))
    seen = [c for c in classes if sum(w for t, w in zip(TRUTH, weights) if t == c)]
    kwargs = {"labels": seen, "zero_division": 0, "sample_weight": weights}
    return {
        "accuracy": accuracy_score(TRUTH, SAID, sample_weight=weights),
        "balanced_accuracy": recall_score(TRUTH, SAID, average="macro", **kwargs),
        "f1_weighted": f1_score(TRUTH, SAID, average="weighted", **kwargs),
        "f1_macro": f1_score(TRUTH, SAID, average="macro", **kwargs),
    }


def set_figures():
    binarizer = MultiLabelBinarizer(classes=range(6))
    truth, said = binarizer.fit_transform(SET_TRUTH), binarizer.transform(SET_SAID)
    return {
        "subset_accuracy": accuracy_score(truth, said),
        "jaccard": jaccard_score(truth, said, average="samples", zero_division=0),
        "f1_weighted": f1_score(truth, said, average="weighted", zero_division=0),
        "f1_macro": f1_score(truth, said, average="macro", zero_division=0),
    }


def logistic_figures():
    """A made-up problem of three classes in four dimensions, and scikit-learn's probabilities of twelve of its rows."""
    # Whole numbers by a rule, so that Rust can make the same ones.
    rows = [[((i * 7 + j * 5 + i * j) % 11) - 5 for j in range(4)] for i in range(60)]
    classes = [0 if r[0] + r[1] > 2 else 1 if r[2] > 0 else 2 for r in rows]
    x = StandardScaler().fit_transform(np.array(rows, dtype=float))
    model = LogisticRegression(C=1.0, tol=1e-8, max_iter=2000).fit(x, classes)
    return {"classes": classes, "probabilities": model.predict_proba(x[:12]).tolist()}


def main():
    none = [None if s == NOBODY else s for s in SAID]
    json.dump(
        {
            "labels": {
                "truth": TRUTH,
                "said": none,
                "weights": WEIGHTS,
                "plain": label_figures([1] * len(TRUTH)),
                "weighted": label_figures(WEIGHTS),
            },
            "sets": {"truth": SET_TRUTH, "said": SET_SAID, **set_figures()},
            "logistic": logistic_figures(),
        },
        sys.stdout,
        indent=1,
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
