//! The rules of the crate that no type can enforce: which module may import which, where each dependency
//! may be used, how large a file may be, how files and types are named.
//!
//! Nothing in Rust keeps modules of one crate from importing each other in a cycle; only a test does.

mod contents;
mod imports;
mod modules;
mod names;
mod sources;
mod test_files;
