"""Cell sentences as Cell2Sentence makes them, out of a few made-up cells, as JSON for the tests of the engine.

    python sentence_expectations.py FOLDER

writes cell_sentences.json into FOLDER, `tests/expected` of this repository. Packages: analysis_requirements.txt.
Counts are brought to their median total by scanpy, as that project does, and to log10(1 + x); the line from the place of a
gene in its sentence to its value is fitted by numpy over all genes above zero whose log10(1 + place) is below 3.
"""

import json
import pathlib
import sys

import anndata
import numpy as np
import scanpy as sc

CELLS, GENES = 8, 40


def main(folder):
    rng = np.random.default_rng(20)
    rate = rng.lognormal(0.0, 1.5, size=GENES)
    depth = rng.uniform(0.5, 3.0, size=(CELLS, 1))
    counts = rng.poisson(depth * rate).astype(np.float32)
    counts[5] = 0  # a cell of nothing
    data = anndata.AnnData(counts.copy())
    sc.pp.normalize_total(data)
    values = np.log10(1 + data.X.astype(np.float64))
    names = [f"G{i}" for i in range(GENES)]
    sentences, x, y = [], [], []
    for row in values:
        # Ties stand in the order of the columns: the project itself breaks them at random.
        order = [i for i in np.argsort(-row, kind="stable") if row[i] > 0]
        sentences.append(" ".join(names[i] for i in order))
        for place, gene in enumerate(order):
            if np.log10(1 + place) < 3:
                x.append(np.log10(1 + place))
                y.append(row[gene])
    slope, intercept = np.polyfit(x, y, 1)
    back = []
    for sentence in sentences:
        row = np.zeros(GENES)
        for place, name in enumerate(sentence.split()):
            row[names.index(name)] = intercept + slope * np.log10(1 + place)
        back.append(row)
    result = {
        "counts": counts.astype(int).tolist(),
        "values": np.round(values, 9).tolist(),
        "sentences": sentences,
        "slope": slope,
        "intercept": intercept,
        "back": np.round(np.asarray(back), 9).tolist(),
    }
    pathlib.Path(folder, "cell_sentences.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
