//! The faults that the tests cause: how often each in one run of the suite, and what holds then.
//!
//! The table in the manual's chapter on limits contains this list, and `tests/docs/manual.rs`
//! compares the two. A test passes its count to [`Fault::tried`], which fails if the count is less
//! than in the list. So no figure of the table is larger than what was tried.

/// A kind of fault.
pub struct Fault {
    /// What is done to the program, a server, the network or a file.
    pub what: &'static str,
    /// How often at least, in one run of the suite.
    pub times: usize,
    /// What holds each time.
    pub holds: &'static str,
}

impl Fault {
    /// Checks that a test has tried the fault as often as the table lists.
    pub fn tried(&self, times: usize) {
        assert!(times >= self.times, "{}: {times} of {} tries", self.what, self.times);
    }
}

/// Declares the faults one by one, and all of them as a list.
macro_rules! faults {
    ($($name:ident: $what:literal, $times:literal, $holds:literal;)*) => {
        $(pub const $name: Fault = Fault { what: $what, times: $times, holds: $holds };)*
        /// All of them, in the order of the manual's table.
        pub const FAULTS: &[(&str, Fault)] = &[$((stringify!($name), $name)),*];
    };
}

faults! {
    PROGRAM_KILLED: "`compare` is killed (`kill -9`) and resumed", 20,
        "the last run reports what an undisturbed run reports";
    PROCESS_KILLED: "one of three processes of a run is killed and replaced", 10,
        "they report what one undisturbed process reports";
    SERVER_KILLED: "a server is killed during `compare` and restarted", 10,
        "the run continues, or is resumed, and is exact";
    ANSWER_CUT: "a connection is cut or reset, between and inside messages", 100,
        "exact, or exit 2 before the first row; no row is reported as missing";
    SERVER_SILENT: "a connection stays open and no more data arrives", 2,
        "the chunk is read again on another connection; exact";
    SERVER_GIVEN_UP: "every connection to a server stays open and no more data arrives", 2,
        "it is given up once, for all mappings; what was not read is undecided";
    SERVER_LIES: "a server sends rows, notices or settings without end, a message that is too long, or an error without a code", 12,
        "exit 2 before the first row, in at most 200 MiB of memory";
    ROWS_LIE: "the same arrives among the rows of a table", 3,
        "the range is read again or undecided, and no difference is reported";
    STANDBY_CANCELS: "a standby cancels queries that conflict with its replay", 8,
        "every run is complete and exact";
    TABLE_CHANGED: "a table is altered, renamed or replaced during `compare`", 6,
        "its mapping is incomplete with the reason, the others are complete";
    SCRIPT_KILLED: "psql is killed between two statements of a repair script", 120,
        "nothing has changed; run again, the script has its full effect";
    APPLY_CUT: "`apply` loses its connection at any message", 40,
        "it continues with another one, and each batch is applied once";
    APPLY_KILLED: "`apply` is killed at any message and started again", 40,
        "each batch is applied once";
    DEADLOCK: "eight processes of `apply` run beside writers that lock rows in the opposite order", 900,
        "no deadlock, and no update of the writers is lost";
    FILE_PLANTED: "a link, a pipe or a file with a second name is in the place of a ledger, its lock or its journal", 11,
        "it is not changed; `compare` warns and continues without a ledger";
    REPORT_KILLED: "`compare` is killed while it writes a report", 2,
        "the next report in that folder removes the incomplete file";
    REPAIR_OPEN: "others can write to a repair, or to a file in it", 8,
        "`apply` refuses it";
    MALFORMED_STRING: "a malformed connection string in a spec or a variable", 100,
        "exit 2, and no part of it is shown";
    MALFORMED_ARGUMENT: "the same as `--ledger`, as a path or as another argument", 170,
        "exit 2, no part of it is shown, and no file is made";
    KEY_REDACTED: "a ledger's raw files are searched after kills, interruptions and slices", 6,
        "a redacted key is found nowhere, as text or in binary, in a file or a database";
    CLIENT_GONE: "`compare` or `apply` is killed while a server runs its statement, also behind PgBouncer", 3,
        "the server ends the statement, and nothing has changed";
    COMMIT_WEAK: "`synchronous_commit` is `off` or `local` when a repair is applied or undone", 8,
        "it is `on` in each transaction";
    SERVER_COPIED: "a file copy replaces a server before a resume, `gate`, `repair`, `apply` or psql", 5,
        "the copy is refused; the original server after a crash is not";
    PLANNING_REFUSED: "a server has no free connection before the first row is read", 7,
        "the command waits and does its work";
    CLOCK_WRONG: "the clock of the machine or of a server is hours or days ahead or behind", 7,
        "the gate stays closed and says why; the newest run is the one that ended last";
}
