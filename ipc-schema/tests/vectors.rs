//! Golden frames: what a released version wrote must be read for ever, and written the same.
//!
//! `vectors/v1/NAME.hex` holds a frame. A new kind gets a new file (`BLESS=1 cargo test -p
//! ipc-schema` writes the ones that are missing); an existing file is never edited after a release.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, missing_docs, unreachable_pub)]
mod samples;

use std::path::PathBuf;

use ipc_schema::{Decoder, encode};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("vectors/v1")
        .join(format!("{name}.hex"))
}

fn hex(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    lines.join("\n") + "\n"
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

#[test]
fn every_kind_is_written_as_it_always_was() {
    for (name, envelope) in samples::all() {
        let frame = encode(&envelope).unwrap();
        let path = path(name);
        if std::env::var_os("BLESS").is_some() && !path.exists() {
            std::fs::write(&path, hex(&frame)).unwrap();
        }
        let golden = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(hex(&frame), golden, "{name} is written differently");
        let mut decoder = Decoder::default();
        decoder.feed(&unhex(&golden));
        assert_eq!(
            decoder.next().unwrap(),
            Some(envelope),
            "{name} is read differently"
        );
    }
}

#[test]
fn no_vector_lost_its_sample() {
    let names: Vec<&str> = samples::all().iter().map(|(name, _)| *name).collect();
    let directory = path("x").parent().unwrap().to_owned();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert!(names.contains(&name.as_str()), "{name}.hex has no sample");
    }
}
