use std::path::Path;

use super::*;

/// What `tests/python/gguf_expectations.py` wrote.
fn file() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/expected/gguf/blocks.gguf")).unwrap()
}

#[test]
fn blocks_of_every_kind_are_read_as_the_gguf_package_reads_them() {
    let bytes = file();
    let gguf = Gguf::open(&bytes).unwrap();
    for kind in ["f32", "f16", "bf16", "q4_0", "q8_0", "q4_k", "q6_k"] {
        let read = |name: &str| {
            let entry = &gguf.tensors[name];
            assert_eq!(entry.shape, [3, 256], "{name}");
            gguf.values(&bytes, entry)
        };
        let (ours, theirs) = (read(kind), read(&format!("{kind}.expected")));
        let top = theirs.iter().fold(0f32, |top, v| top.max(v.abs()));
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(top > 0.1 && worst <= 1e-6 * top, "{kind}: {worst} of {top}");
    }
}

#[test]
fn settings_of_every_type_are_read() {
    let bytes = file();
    let gguf = Gguf::open(&bytes).unwrap();
    let setting = |name: &str| gguf.settings[name].clone();
    assert_eq!(setting("general.architecture"), Setting::Text("llama".into()));
    assert_eq!(setting("llama.context_length"), Setting::Int(128));
    assert_eq!(setting("llama.rope.freq_base"), Setting::Float(10000.0));
    assert_eq!(setting("a.truth"), Setting::Bool(true));
    assert_eq!(setting("a.list"), Setting::Texts(vec!["one".into(), "two".into()]));
    assert_eq!(setting("some.numbers"), Setting::Numbers(vec![1.0, 2.0, 3.0]));
}

#[test]
fn a_file_that_ends_early_or_says_what_is_not_so_is_refused() {
    let whole = file();
    for cut in (4..whole.len()).step_by(101) {
        assert!(Gguf::open(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for at in (4..2000.min(whole.len())).step_by(3) {
        let mut wrong = whole.clone();
        wrong[at] ^= 0xff;
        if let Ok(gguf) = Gguf::open(&wrong) {
            for entry in gguf.tensors.values() {
                assert!(gguf.bytes(&wrong, entry).len() == entry.bytes);
            }
        }
    }
}
