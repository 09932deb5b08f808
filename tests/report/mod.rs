//! Reports: formats, files, hints, and what must not appear in them.

mod diagnosis;
mod formats;
mod output_files;
mod secrets;
