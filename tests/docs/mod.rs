//! The documentation and the example files are correct.

mod chapters;
mod deploy_files;
mod manual;
