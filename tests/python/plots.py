"""Numbers that the plots of the window must agree with, from numpy and scipy.

    python tests/python/plots.py > tests/expected/plots.json

Packages: tests/python/requirements.txt.
"""

import json

import numpy as np
from scipy import stats


def values(n, seed):
    """Zeros and a skewed rest, from a linear congruential generator that Rust repeats."""
    out, state = [], seed
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        u = (state >> 33) / 2**31
        out.append(0.0 if u < 0.4 else 3.0 * (u - 0.4) * (u - 0.4) + 0.5)
    return np.array(out, dtype=np.float32).astype(float)


N = 2000
x, y = values(N, 7), values(N, 11)
cell = np.arange(N)
groups = {"a": cell % 4 == 0, "b": (cell % 4 == 1) & (cell != 1), "c": cell % 4 == 2}
counts = np.any(list(groups.values()), axis=0)

out = {"spread": {}}
means = []
for name, inside in groups.items():
    v = x[inside]
    kde = stats.gaussian_kde(v)
    grid = np.linspace(v.min(), v.max(), 65)
    means.append(v.mean())
    out["spread"][name] = {
        "mean_share_mean": [v.mean(), (v > 0).mean(), v.mean()],
        "quartiles": np.quantile(v, [0, 0.25, 0.5, 0.75, 1]).tolist(),
        "bandwidth": float(np.sqrt(kde.covariance[0, 0])),
        "density": kde(grid).tolist(),
    }
hist, edges = np.histogram(x[counts], bins=25)
out["histogram"] = {"edges": edges.tolist(), "counts": hist.tolist()}
out["correlation"] = float(np.corrcoef(x[counts], y[counts])[0, 1])
out["both"] = int(((x > 0) & (y > 0) & counts).sum())
out["z_scores"] = stats.zscore(means).tolist()
print(json.dumps(out, indent=1))
