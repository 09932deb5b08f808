//! The README and the manual's chapters as files: their size, links and paths, and how `help` shows
//! them.

use crate::support::Program;
use crate::support::documents::set;
use crate::support::documents::{Document, MANUAL, code, documents};
use crate::support::quickstart::repository;

#[test]
fn every_block_is_of_a_kind_that_a_test_runs() {
    let known = ["toml", "console", "sh", "sql", "json", "crontab"];
    for block in documents().flat_map(Document::blocks) {
        assert!(known.contains(&block.language.as_str()), "{}", block.place);
    }
}

#[test]
fn lines_are_no_wider_than_a_hundred() {
    for document in documents() {
        let prose = document.prose();
        for line in prose.lines().filter(|line| !line.starts_with('|')) {
            assert!(line.chars().count() <= 100, "{}: {line}", document.path.display());
        }
    }
    assert!(MANUAL[0].text.lines().count() <= 300, "the README is a summary");
}

/// `help` indents code by four columns. A line that it breaks would be another program.
#[test]
fn files_in_chapters_are_not_broken_by_help() {
    let blocks = MANUAL[1..].iter().flat_map(Document::blocks);
    for block in blocks.filter(|block| block.language != "console") {
        let wide = block.text.lines().find(|line| line.chars().count() > 76);
        assert_eq!(wide, None, "{}", block.place);
    }
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut links = 0;
    for document in documents() {
        let folder = document.path.parent().unwrap();
        for link in document.links().iter().filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let full = repository().join(folder).join(file);
            let target = if file.is_empty() { repository().join(&document.path) } else { full };
            let place = format!("{}: {link}", document.path.display());
            let target = target.canonicalize().unwrap_or_else(|_| panic!("{place}"));
            let is_target = |other: &&Document| repository().join(&other.path) == target;
            let anchors = documents().find(is_target).map(Document::anchors).unwrap_or_default();
            assert!(anchor.is_empty() || anchors.iter().any(|known| known == anchor), "{place}");
            links += 1;
        }
    }
    assert!(links > 40, "links are not seen");
}

/// A renamed file would leave a wrong path in the text. Names of files and folders are recognized
/// by their beginning; other words between backticks are not paths.
#[test]
fn paths_in_the_text_exist() {
    let places = ["src/", "tests/", "examples/", "specs/", ".ci/"];
    let mut paths = 0;
    for document in documents() {
        for word in code(&document.prose()) {
            if places.iter().any(|place| word.starts_with(place)) {
                let place = format!("{}: {word}", document.path.display());
                assert!(repository().join(&word).exists(), "{place}");
                paths += 1;
            }
        }
    }
    assert!(paths > 20, "paths are not seen");
}

#[test]
fn every_chapter_is_linked_and_shown_by_help() {
    let folder = std::fs::read_dir(repository().join("src/manual")).unwrap();
    let files = set(folder.map(|file| file.unwrap().file_name().into_string().unwrap()));
    let path =
        |document: &Document| document.path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(set(MANUAL[1..].iter().map(path)), files);
    let listed = Program::new().arg("help").run().exits(0).stdout.clone();
    let (_, listed) = listed.split_once("Chapters of the manual").unwrap();
    for file in files {
        let chapter = file.trim_end_matches(".md");
        assert!(MANUAL[0].links().contains(&format!("src/manual/{file}")), "{file}");
        assert!(listed.contains(&format!("\n  {chapter} ")), "{listed}");
        let shown = Program::new().args(&["help", chapter]).run().exits(0).stdout.clone();
        assert!(!shown.contains('\x1b'), "{chapter}");
        // A CSV value cannot be wrapped.
        let wide = |line: &&str| line.chars().count() > 80;
        let wide = shown.lines().filter(wide).filter(|line| !line.contains(",confirmed,"));
        assert_eq!(wide.collect::<Vec<_>>(), Vec::<&str>::new(), "{chapter}");
        let coloured = Program::new().args(&["help", chapter, "--color", "always"]).run();
        assert!(coloured.exits(0).stdout.contains('\x1b'), "{chapter}");
    }
}

#[test]
fn help_of_an_unknown_name_suggests_one() {
    for (name, near) in [("ledgr", "ledger"), ("comapre", "compare")] {
        let refused = Program::new().args(&["help", name]).run();
        let stderr = &refused.exits(2).stderr;
        assert!(stderr.contains(&format!("Did you mean \"{near}\"?")), "{stderr}");
        assert!(stderr.contains("check, plan") && stderr.contains("spec, types"), "{stderr}");
        assert_eq!(refused.stdout, "");
    }
}
