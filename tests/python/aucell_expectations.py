"""AUCell scores of decoupler and of pySCENIC on a few real cells, as JSON on standard output.

    python aucell_expectations.py CELLS.h5ad SETS.gmt > ../expected/aucell_pbmc3k.json

CELLS is pbmc3k_seurat.h5ad and SETS the 50 Hallmark sets. Each set is cut to the genes that the file names, so that
no synonym comes between the tools. Four runs: each tool with the columns in the order of the file, decoupler as its
users call it (`empty=False` keeps columns without a count), and pySCENIC's own shuffle with the seed 42.
See aucell_requirements.txt.
"""

import json
import sys
import warnings

import anndata
import decoupler
import numpy as np
import pandas as pd
from ctxcore.genesig import GeneSignature
from decoupler.mt._aucell import _func_aucell
from decoupler.pp.net import idxmat, prune
from pyscenic.aucell import create_rankings, enrichment

warnings.filterwarnings("ignore")
N_CELLS = 8

path, gmt = sys.argv[1:]
data = anndata.read_h5ad(path)
there = set(data.var_names)
sets = {}
for line in open(gmt):
    name, _, *genes = line.rstrip("\n").split("\t")
    sets[name] = [gene for gene in dict.fromkeys(genes) if gene in there]
names = sorted(sets)
net = pd.DataFrame(
    [(name, gene) for name in names for gene in sets[name]], columns=["source", "target"]
)
cells = [int(cell) for cell in np.linspace(0, data.n_obs - 1, N_CELLS).round()]
part = data[cells].copy()
dense = pd.DataFrame(part.X.toarray(), index=part.obs_names, columns=part.var_names)

columns = np.asarray(part.var_names, dtype="U")
sources, connections, starts, offsets = idxmat(features=columns, net=prune(columns, net))
in_order, _ = _func_aucell(dense.values.astype(float), connections, starts, offsets)
by_decoupler, _ = decoupler.mt.aucell(dense, net, empty=False)


def by_pyscenic(rankings):
    return pd.concat(
        [
            enrichment(rankings, GeneSignature(name=name, gene2weight=sets[name])).droplevel("Regulon")["AUC"]
            for name in names
        ],
        axis=1,
        keys=names,
    )


unshuffled = dense.rank(axis=1, ascending=False, method="first", na_option="bottom").astype("uint32") - 1
runs = {
    "decoupler, columns in order": pd.DataFrame(in_order, columns=sources),
    "decoupler": by_decoupler,
    "pyscenic, columns in order": by_pyscenic(unshuffled),
    "pyscenic, seed 42": by_pyscenic(create_rankings(dense, seed=42)),
}
json.dump(
    {
        "cells": cells,
        "sets": names,
        "scores": {
            run: [[round(float(x), 8) for x in row] for row in scores[names].values]
            for run, scores in runs.items()
        },
    },
    sys.stdout,
    separators=(",", ":"),
)
print()
