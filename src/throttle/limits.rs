//! Whether the limits of `[pace]` can be kept, checked before the first row is read.

use std::time::Duration;

use crate::schema::{BySide, Server, Side};
use crate::spec::{Diagnostic, Spec};

/// Returns why the limits cannot be kept, and what is worth knowing about them. An ordinary role
/// sees only that other sessions and standbys exist: a limit would look kept whatever happens.
pub(crate) fn check_limits(
    spec: &Spec,
    servers: &BySide<Server>,
    settle: Duration,
) -> Vec<Diagnostic> {
    let pace = &spec.pace;
    let mut problems = Vec::new();
    for side in Side::BOTH {
        let server = &servers[side];
        let needs = if pace.max_active_sessions.is_some() {
            Some("\"max_active_sessions\" needs to see the sessions of other roles")
        } else if pace.max_replica_lag.is_some() && !server.standby {
            Some("\"max_replica_lag\" needs to see the standbys of a primary")
        } else {
            None
        };
        if let Some(needs) = needs.filter(|_| !server.monitors) {
            let role = &server.role;
            let message = format!("{needs}, and role \"{role}\" of the {side} may not");
            let hint = format!("GRANT pg_monitor TO {role};");
            problems.push(Diagnostic::error(&pace.span, message).with_hint(hint));
        }
        if let Some(lag) = pace.max_replica_lag
            && server.standby
            && lag >= settle
            && !settle.is_zero()
        {
            let message = format!("the {side} may lag for as long as a difference must not change");
            let hint = "What it has not replayed may then look like divergence: let \"settle\" be \
                        longer than \"max_replica_lag\".";
            problems.push(Diagnostic::warning(&pace.span, message).with_hint(hint));
        }
    }
    problems
}
