//! Reading only the first states.

use super::*;

/// Token ids, two rows of nine.
fn batch(device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i64> = (0..18).map(|i| i * 7 % 23).collect();
    Tensor::from_data(TensorData::new(ids, [2, 9]), device)
}

fn encoder(layers: usize, device: &Device) -> Encoder {
    let config = EncoderConfig {
        model_type: "bert".into(),
        hidden_size: 16,
        num_hidden_layers: layers,
        num_attention_heads: 2,
        intermediate_size: 24,
        max_position_embeddings: 9,
        vocab_size: 23,
        type_vocab_size: 2,
        hidden_act: "relu".into(),
        layer_norm_eps: 1e-12,
        pad_token_id: 0,
    };
    Encoder::new(&config, &mut Params::random(5, 0.3, device)).unwrap()
}

/// The furthest that two tensors are apart.
fn apart(a: Tensor<3>, b: Tensor<3>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b).abs().max().into_scalar::<f32>()
}

#[test]
fn the_first_states_of_one_layer_are_those_of_the_whole_reading() {
    let device = Device::flex();
    let encoder = encoder(1, &device);
    let lengths = [9, 6];
    let whole = encoder.hidden_state(batch(&device), &lengths, HiddenState(-1)).unwrap();
    let first = encoder.first_states(batch(&device), &lengths, HiddenState(-1), 4).unwrap();
    assert!(apart(whole.narrow(1, 0, 4), first) < 1e-5);
}

#[test]
fn first_states_that_are_all_states_are_the_whole_reading_and_fewer_are_not() {
    let device = Device::flex();
    let encoder = encoder(3, &device);
    let lengths = [9, 9];
    let whole = encoder.hidden_state(batch(&device), &lengths, HiddenState(-1)).unwrap();
    let first = |n| encoder.first_states(batch(&device), &lengths, HiddenState(-1), n).unwrap();
    assert!(apart(whole.clone(), first(9)) < 1e-5);
    // Deeper layers no longer see the other genes themselves.
    assert!(apart(whole.narrow(1, 0, 4), first(4)) > 1e-3);
}

#[test]
fn first_states_of_no_layer_are_the_embeddings() {
    let device = Device::flex();
    let encoder = encoder(2, &device);
    let whole = encoder.hidden_state(batch(&device), &[9, 9], HiddenState(0)).unwrap();
    let first = encoder.first_states(batch(&device), &[9, 9], HiddenState(0), 2).unwrap();
    assert!(apart(whole.narrow(1, 0, 2), first) < 1e-6);
    assert!(encoder.first_states(batch(&device), &[9, 9], HiddenState(5), 2).is_err());
}
