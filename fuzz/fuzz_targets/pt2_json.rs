//! The JSON of a program, with weights that are always there.

#![no_main]

use cotangent_fuzz::{archive, read};

const WEIGHTS: &[u8] = br#"{"config": {"w": {"path_name": "weight_0", "use_pickle": false, "tensor_meta":
    {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 3}], "strides": [{"as_int": 3}, {"as_int": 1}], "storage_offset": {"as_int": 0}}}}}"#;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    read(&archive(&[
        ("archive/models/model.json", data),
        ("archive/data/weights/model_weights_config.json", WEIGHTS),
        ("archive/data/weights/weight_0", &[0; 24]),
        ("archive/data/constants/model_constants_config.json", br#"{"config": {}}"#),
    ]));
});
