use super::*;

/// Pieces packed by c-blosc: see tests/python/blosc_pieces.py.
const PIECES: &[u8] = include_bytes!("../../../tests/expected/blosc_pieces.bin");

fn pieces() -> Vec<(usize, usize, &'static [u8])> {
    let mut rest = PIECES;
    let mut pieces = Vec::new();
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let (packed, behind) = behind.split_at(number(8));
        pieces.push((number(0), number(4), packed));
        rest = behind;
    }
    pieces
}

fn plain(width: usize, n: usize) -> Vec<u8> {
    let value = |i: u64| i * i / 64 % 251 + if width > 1 && i.is_multiple_of(7) { 1000 } else { 0 };
    let bytes: Vec<u8> = (0..n as u64).flat_map(|i| value(i).to_le_bytes()[..width].to_vec()).collect();
    if n == 9000 { [&bytes[..17000], &bytes[..19000]].concat() } else { bytes }
}

#[test]
fn what_any_packer_and_shuffle_of_blosc_packed_comes_back() {
    let pieces = pieces();
    assert!(pieces.len() > 100, "{}", pieces.len());
    for (at, (width, n, packed)) in pieces.into_iter().enumerate() {
        let expected = plain(width, n);
        let flags = packed[2];
        let found = unpack_blosc(packed, expected.len());
        assert!(found.as_deref() == Some(&expected), "piece {at}: width {width}, n {n}, flags {flags:08b}");
        assert_eq!(unpack_blosc(packed, expected.len() - 1), None);
    }
}

#[test]
fn damaged_blosc_is_refused_or_gives_no_more_than_its_size() {
    for (_, n, packed) in pieces().into_iter().filter(|(_, n, _)| *n < 1500) {
        for cut in [0, 3, 15, 16, 20, packed.len() / 2, packed.len() - 1] {
            let _ = unpack_blosc(&packed[..cut.min(packed.len())], 40_000);
        }
        for at in (0..packed.len()).step_by(1 + packed.len() / 60) {
            for change in [1, 0x80, 0xff] {
                let mut bad = packed.to_vec();
                bad[at] ^= change;
                let found = unpack_blosc(&bad, 40_000);
                assert!(found.is_none_or(|found| found.len() <= 40_000), "{n} {at}");
            }
        }
    }
}
