#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eat::config_document::eat(bytes));
