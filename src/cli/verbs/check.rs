//! `check`: validates a spec against both databases.

use clap::Args;

use crate::cli::args::{CommonArgs, SpecArgs};
use crate::cli::exit::Exit;
use crate::cli::specs;
use crate::cli::ui::Ui;
use crate::run::Options;
use crate::schema::Side;

/// Check specs against both catalogs: names, types, keys, indexes, privileges; no table row is read
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) specs: SpecArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Plans every spec and reports that it can be run.
pub(crate) async fn run(args: &CheckArgs, ui: &Ui) -> Exit {
    let Some(specs) = specs::read(&args.specs, ui) else { return Exit::Trouble };
    specs::warn_of_leftovers(&specs, ui);
    let options = |spec: &crate::spec::Spec| Options {
        mappings: args.specs.mappings.clone(),
        ..Options::of(&spec.compare)
    };
    let Some(prepared) = specs::prepare_all(specs, options, ui).await else { return Exit::Trouble };
    for (prepared, _) in &prepared {
        for plan in &prepared.plans {
            for note in &plan.notes {
                ui.warning(&format!("{}: {note}", plan.name), None);
            }
            for pair in &plan.pairs {
                let terms = pair.settings.to_string();
                if !terms.is_empty() {
                    ui.status(&format!("{}: pair \"{}\": {terms}", plan.name, pair.name));
                }
            }
        }
        let servers = Side::BOTH.map(|side| {
            let server = &prepared.servers[side];
            let standby = if server.standby { ", a standby" } else { "" };
            format!("{side} PostgreSQL {}{standby}", server.version_text())
        });
        ui.status(&format!(
            "{}: ok, {} mapping{}; {}",
            prepared.spec.text.path.display(),
            prepared.plans.len(),
            if prepared.plans.len() == 1 { "" } else { "s" },
            servers.join("; ")
        ));
    }
    Exit::Clean
}
