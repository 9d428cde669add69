use std::path::Path;

use super::*;

/// What `tests/python/torch_checkpoint_expectations.py` wrote.
fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/expected/torch").join(name)).unwrap()
}

#[test]
fn tensors_of_every_float_type_and_order_are_read_as_torch_holds_them() {
    let bytes = file("plain.bin");
    let opened = TorchFile::open(&bytes).unwrap();
    let names: Vec<&str> = opened.names().collect();
    assert_eq!(
        names,
        ["bf16.weight", "double", "half", "parameter", "scalar", "slice", "tied", "turned", "whole"]
    );
    let read = |name: &str| opened.read(&bytes, name).unwrap();
    let count = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<_>>();
    assert_eq!(read("parameter"), (vec![2, 3], count(6)));
    assert_eq!(read("tied"), read("parameter"));
    assert_eq!(read("turned"), (vec![3, 2], vec![0., 3., 1., 4., 2., 5.]));
    assert_eq!(read("slice"), (vec![2, 2], vec![1., 2., 4., 5.]));
    assert_eq!(read("half"), (vec![3], vec![0.5, -2.0, 1024.0]));
    assert_eq!(read("bf16.weight"), (vec![2], vec![0.5, -3.0]));
    assert_eq!(read("double"), (vec![1], vec![0.1]));
    assert_eq!(read("scalar"), (vec![], vec![7.0]));
    // Whole numbers are listed and not read.
    assert!(opened.read(&bytes, "whole").is_err());
}

#[test]
fn the_parameters_of_a_run_are_found_among_all_that_it_saved() {
    let bytes = file("nested.pt");
    let opened = TorchFile::open(&bytes).unwrap();
    assert_eq!(opened.names().collect::<Vec<_>>(), ["fc1.bias", "fc1.weight"]);
    assert_eq!(opened.read(&bytes, "fc1.bias").unwrap(), (vec![2], vec![1.0, 2.0]));
}

#[test]
fn a_pickle_that_would_run_a_program_makes_nothing() {
    // os.system("true") as the value of a key.
    let program = b"\x80\x02}q\x00X\x01\x00\x00\x00acos\nsystem\nX\x04\x00\x00\x00true\x85Rs.";
    let pickle = pickle::read(program).unwrap();
    let values: Vec<_> = states(&pickle).collect();
    assert!(matches!(values[..], [("a", Value::Nothing)]));
    // One in place of a storage is no tensor.
    let storage = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85RQ.";
    assert!(pickle::read(storage).unwrap_err().contains("a storage without its name"));
}

#[test]
fn what_is_damaged_is_refused_and_never_read_past_its_end() {
    for name in ["plain.bin", "nested.pt"] {
        let whole = file(name);
        for cut in (0..whole.len()).step_by(37) {
            assert!(TorchFile::open(&whole[..cut]).is_err(), "{name} cut at {cut}");
        }
        // Any byte may be wrong: the reader says so, or reads numbers within the file.
        for at in (0..whole.len()).step_by(11) {
            let mut wrong = whole.clone();
            wrong[at] ^= 0xff;
            if let Ok(opened) = TorchFile::open(&wrong) {
                for tensor in opened.names() {
                    let _ = opened.read(&wrong, tensor);
                }
            }
        }
    }
    assert!(TorchFile::open(b"").is_err());
    assert!(TorchFile::open(b"\x80\x02}.").unwrap_err().contains("no zip archive"));
}
