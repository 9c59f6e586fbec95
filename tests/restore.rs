//! The float network that a model file stands for: that which the file was made of, but for the rounding of its weights.

use fixformer::Model;
use fixformer::host::reference::AttentionKind;
use fixformer::host::report::relative_l2;
use fixformer::host::{calibrate::calibrate, quantize::integers, restore};
use fixformer_fuzz::random::kinds::{KINDS, kinds, options};
use fixformer_fuzz::random::{Source, all_wide, length, mask, network};

#[test]
fn every_file_stands_for_its_network() {
    let mut source = Source(29);
    for i in 0..KINDS {
        for causal in [false, true] {
            let options = options(i, causal);
            let mut network = network(&mut source, options);
            for (layer, block) in network.blocks.iter_mut().enumerate() {
                let width = options.width / options.heads;
                block.attention.kind = kinds(&mut source, options.heads, width, layer).swap_remove(i);
            }
            let rows: Vec<_> =
                (1..8).map(|i| source.recording(length(&network, 20 * i), &network.input)).collect();
            let ranges = calibrate(&network, &rows, || {}).unwrap();
            let words = integers(&network, &ranges, &all_wide()).unwrap().words();
            let restored = restore::network(&Model::parse(&words).unwrap());
            // A file knows raw units alone, and every network has a horizon there.
            assert_eq!(restored.horizon(), network.horizon());
            assert_eq!((restored.max_tokens, restored.width()), (network.max_tokens, network.width()));
            let row = rows.last().unwrap();
            let mask = mask(i, network.tokens(row).unwrap());
            for mask in [None, Some(&*mask)] {
                let scores = |network: &_| forward(network, row, mask);
                let error = relative_l2(&scores(&restored), &scores(&network));
                // Where rounding moves a token to another bucket nothing is left to compare.
                let lsh = matches!(network.blocks[0].attention.kind, AttentionKind::Lsh { .. });
                println!("mechanism {i}, causal {causal}: {error:.6}");
                assert!(error < if lsh { 0.3 } else { 2e-3 }, "mechanism {i}, causal {causal}: {error}");
            }
        }
    }
}

fn forward(network: &fixformer::host::reference::Network, row: &[i16], mask: Option<&[bool]>) -> Vec<f64> {
    network.forward(row, mask, &mut |_, _| {}).unwrap()
}
