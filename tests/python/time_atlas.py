"""Times what anndata takes, backed, for what the program does with a large file. Prints `name seconds` lines.

python time_atlas.py FILE [look]        with "look" no more than the first
"""

import sys
import time
import warnings

warnings.simplefilter("ignore")
import anndata


def timed(name, work):
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(name, time.perf_counter() - start, flush=True)
    print(f"{name}_cpu", time.process_time() - cpu, flush=True)
    return result


def first_look():
    data = anndata.read_h5ad(sys.argv[1], backed="r")
    data.obsm["X_umap"][:]
    data.obs["cell_type"].cat.codes.to_numpy()
    return data


data = timed("python_open", first_look)
if sys.argv[2:] == ["look"]:
    sys.exit()
timed("python_cell", lambda: data.X[data.n_obs * 2 // 3])
timed("python_gene", lambda: data[:, data.var_names[4321]].X)
