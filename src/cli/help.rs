//! `help`: shows a chapter of the manual, or the help of a verb.
//!
//! It replaces the `help` that clap would make, which shows verbs only.

use std::io::Write;

use clap::{Args, Command};

use super::args::When;
use super::exit::Exit;
use super::manual::CHAPTERS;
use super::markdown;
use super::ui::Ui;
use crate::spec::did_you_mean;

/// The width of a page: what clap's help has at the most.
const WIDTH: usize = 80;

/// Show a chapter of the manual or the help of a command; without a name, list both
#[derive(Args, Clone, Debug)]
pub(super) struct Help {
    /// A chapter or a command
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Whether to use colour
    #[arg(long, value_name = "WHEN", env = "PGRECONCILE_COLOR", default_value = "auto")]
    color: When,
}

/// Shows a verb's help, a chapter, or the list of both. A verb of this name comes before a chapter.
pub(super) fn run(help: &Help, command: &mut Command) -> Exit {
    let ui = Ui::coloured(help.color);
    command.build();
    let Some(name) = &help.name else {
        return show(&ui, &command.render_long_help().ansi().to_string());
    };
    if let Some(verb) = command.find_subcommand_mut(name) {
        return show(&ui, &verb.render_long_help().ansi().to_string());
    }
    if let Some(chapter) = CHAPTERS.iter().find(|chapter| chapter.name == name) {
        let width = WIDTH.min(ui.width().into());
        return show(&ui, &markdown::page(chapter.text, width, ui.stdout_has_colour()));
    }
    let mut verbs: Vec<&Command> = command.get_subcommands().collect();
    verbs.sort_by_key(|verb| verb.get_display_order());
    let verbs: Vec<&str> = verbs.into_iter().map(Command::get_name).collect();
    let chapters: Vec<&str> = CHAPTERS.iter().map(|chapter| chapter.name).collect();
    let near = did_you_mean(name, verbs.iter().chain(&chapters).copied());
    let near = near.map_or(String::new(), |near| format!("Did you mean \"{near}\"? "));
    let (verbs, chapters) = (verbs.join(", "), chapters.join(", "));
    let hint = format!("{near}Commands are {verbs}. Chapters are {chapters}.");
    ui.error(&format!("there is no command or chapter \"{name}\""), Some(&hint));
    Exit::Trouble
}

/// Writes a text to stdout.
fn show(ui: &Ui, text: &str) -> Exit {
    // If the stream is gone, there is nowhere to report it.
    let _ = write!(ui.stdout(), "{text}");
    Exit::Clean
}
