"""Writes the GGUF file that the reader of such files is tested with: python gguf_expectations.py OUT.gguf

Needs gguf (0.17.1 wrote the one in tests/expected/gguf) and numpy. For each kind of block there is a tensor `kind`, and
`kind.expected` in float32: what the package itself reads out of the blocks.
"""

import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

out = sys.argv[1]
rng = np.random.default_rng(7)
writer = gguf.GGUFWriter(out, "llama")
writer.add_context_length(128)
writer.add_rope_freq_base(10000.0)
writer.add_bool("a.truth", True)
writer.add_array("a.list", ["one", "two"])
writer.add_array("some.numbers", [1, 2, 3])

values = rng.standard_normal((3, 256)).astype(np.float32)
for name, kind in [("f32", Kind.F32), ("f16", Kind.F16), ("bf16", Kind.BF16), ("q4_0", Kind.Q4_0), ("q8_0", Kind.Q8_0)]:
    stored = gguf.quants.quantize(values, kind)
    writer.add_tensor(name, stored, raw_dtype=kind)
    writer.add_tensor(f"{name}.expected", gguf.quants.dequantize(stored, kind).astype(np.float32))
# The package reads these kinds and cannot make them: any bytes will do, with scales of a common size.
for name, kind, scales in [("q4_k", Kind.Q4_K, (0, 2)), ("q6_k", Kind.Q6_K, (208,))]:
    width = gguf.GGML_QUANT_SIZES[kind][1]
    stored = rng.integers(0, 256, (3, width), dtype=np.uint8)
    for at in scales:
        halves = np.float16(rng.uniform(0.01, 0.1, 3))
        stored[:, at : at + 2] = halves.view(np.uint8).reshape(3, 2)
    writer.add_tensor(name, stored, raw_dtype=kind)
    writer.add_tensor(f"{name}.expected", gguf.quants.dequantize(stored, kind).astype(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
