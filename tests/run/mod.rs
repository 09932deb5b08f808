//! Runs under real conditions: faults, interruptions, many processes, changes under way.

mod edge_cases;
mod many_machines;
mod network_faults;
mod orphan_statements;
mod process_kills;
mod recheck;
mod resume;
mod samples;
mod schema_changes;
mod server_faults;
mod since;
mod slices;
mod standbys;
mod throttle;
mod transaction_age;
