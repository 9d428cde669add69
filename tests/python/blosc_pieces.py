"""Packs numbers with every packer and shuffle of Blosc: what `unpack` must undo.

pip install numcodecs==0.16.6; python blosc_pieces.py ../expected/blosc_pieces.bin

Each piece is its bytes a value and its values (4 bytes each), the length of what is packed (4 bytes), and that. Value `i`
is `i * i // 64 % 251`; those at multiples of 7 are larger by 1000 where there is room for that.
"""

import struct
import sys

import numpy as np
from numcodecs import blosc

with open(sys.argv[1], "wb") as out:
    for width, n, block in [(4, 800, 0), (8, 300, 1024), (1, 2000, 1024), (2, 1003, 512), (4, 5, 0), (3, 500, 0), (4, 9000, 0)]:
        i = np.arange(n, dtype=np.int64)
        values = i * i // 64 % 251 + (1000 * (i % 7 == 0) if width > 1 else 0)
        plain = b"".join(int(v).to_bytes(width, "little") for v in values)
        if n == 9000:  # repeats from far back
            plain = plain[:17000] + plain[:19000]
        data = np.frombuffer(plain, dtype=f"V{width}") if width == 3 else np.frombuffer(plain, dtype=f"<u{width}")
        for packer in ["blosclz"] if n == 9000 else ["blosclz", "lz4", "lz4hc", "zlib", "zstd"]:
            for shuffle in [blosc.NOSHUFFLE, blosc.SHUFFLE, blosc.BITSHUFFLE]:
                for level in [0, 9] if packer == "lz4" else [5]:
                    packed = blosc.compress(data, packer.encode(), level, shuffle, block, width)
                    out.write(struct.pack("<III", width, n, len(packed)) + packed)
