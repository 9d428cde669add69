//! The blocks in which ggml's files hold numbers, to float32. Layouts are those of ggml's `block_*` structures.

use half::{bf16, f16};

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::nn) enum Kind {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q8_0,
    Q4K,
    Q6K,
}

impl Kind {
    /// By the number that stands in the file; `None` of a kind that is not read here.
    pub(super) fn numbered(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Numbers in a block, and the bytes it takes.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q6K => (256, 210),
        }
    }

    /// The numbers of whole blocks.
    pub(super) fn values(self, bytes: &[u8]) -> Vec<f32> {
        let (numbers, width) = self.block();
        let mut out = vec![0f32; bytes.len() / width * numbers];
        for (block, out) in bytes.chunks_exact(width).zip(out.chunks_exact_mut(numbers)) {
            match self {
                Self::F32 => out.fill(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
                Self::F16 => out.fill(half_at(block, 0)),
                Self::Bf16 => out.fill(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
                Self::Q4_0 => {
                    let scale = half_at(block, 0);
                    let (low, high) = out.split_at_mut(16);
                    for ((low, high), byte) in low.iter_mut().zip(high).zip(&block[2..]) {
                        *low = scale * (f32::from(byte & 15) - 8.0);
                        *high = scale * (f32::from(byte >> 4) - 8.0);
                    }
                }
                Self::Q8_0 => {
                    let scale = half_at(block, 0);
                    for (out, byte) in out.iter_mut().zip(&block[2..]) {
                        *out = scale * f32::from(*byte as i8);
                    }
                }
                Self::Q4K => four_bits(block, out),
                Self::Q6K => six_bits(block, out),
            }
        }
        out
    }
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Eight parts of 32 numbers of 4 bits, each with a scale and a least value of 6 bits.
fn four_bits(block: &[u8], out: &mut [f32]) {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let (packed, numbers) = (&block[4..16], &block[16..144]);
    let part = |i: usize| {
        let (s, m) = if i < 4 {
            (packed[i] & 63, packed[i + 4] & 63)
        } else {
            (packed[i + 4] & 15 | packed[i - 4] >> 6 << 4, packed[i + 4] >> 4 | packed[i] >> 6 << 4)
        };
        (scale * f32::from(s), least * f32::from(m))
    };
    for (i, (numbers, out)) in numbers.chunks_exact(32).zip(out.chunks_exact_mut(64)).enumerate() {
        let ((low_scale, low_least), (high_scale, high_least)) = (part(2 * i), part(2 * i + 1));
        let (low, high) = out.split_at_mut(32);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(numbers) {
            *low = low_scale * f32::from(byte & 15) - low_least;
            *high = high_scale * f32::from(byte >> 4) - high_least;
        }
    }
}

/// Sixteen parts of 16 numbers of 6 bits, each with a scale of 8 bits.
fn six_bits(block: &[u8], out: &mut [f32]) {
    let scale = half_at(block, 208);
    let halves = block[..128].chunks_exact(64).zip(block[128..192].chunks_exact(32));
    let scales = block[192..208].chunks_exact(8);
    for (((low, high), scales), out) in halves.zip(scales).zip(out.chunks_exact_mut(128)) {
        for i in 0..32 {
            let number = |low: u8, shift: u8| f32::from((low & 15 | (high[i] >> shift & 3) << 4) as i8 - 32);
            let part = |quarter: usize| scale * f32::from(scales[2 * quarter + i / 16] as i8);
            out[i] = part(0) * number(low[i], 0);
            out[i + 32] = part(1) * number(low[i + 32], 2);
            out[i + 64] = part(2) * number(low[i] >> 4, 4);
            out[i + 96] = part(3) * number(low[i + 32] >> 4, 6);
        }
    }
}
