//! What builds the daemon for boards: the ways of doing it agree.

use std::fs;

#[test]
fn cross_and_make_build_for_the_same_target() {
    let text = fs::read_to_string("cross.toml").unwrap();
    assert!(text.starts_with("# CROSS_CONFIG=cross.toml "), "the tool does not find it otherwise");
    let cross: toml::Table = text.parse().unwrap();
    let targets: Vec<_> = cross["target"].as_table().unwrap().keys().collect();
    let script = fs::read_to_string(".ci/cross").unwrap();
    let ours = script.lines().find_map(|line| line.strip_prefix("target=")).unwrap();
    assert_eq!(targets, [ours]);
    assert!(text.lines().next().unwrap().ends_with(ours), "the line that people copy");
    let made = format!("target/cross/{ours}/release/holdfast");
    assert!(fs::read_to_string("Makefile").unwrap().contains(&made));
    // Both need libclang for the bindings of V4L2.
    for text in [&text, &script] {
        assert!(text.contains("libclang") && text.contains("linux-libc-dev"));
    }
}
