//! The documentation and the example files are true.

mod chapters;
mod deploy_files;
mod manual;
