//! The faults that the tests try: how often each is tried in one run of the suite, and what holds.
//!
//! The README's table of faults is made from this list, and `tests/readme.rs` compares the two. A test
//! passes what it has counted to [`Fault::tried`], which fails if that is less than the list says: so no
//! figure of the table is larger than what was tried.

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
    /// Checks that a test has tried the fault as often as the table says.
    pub fn tried(&self, times: usize) {
        assert!(times >= self.times, "{}: {times} of {} tries", self.what, self.times);
    }
}

/// Declares the faults one by one, and all of them as a list.
macro_rules! faults {
    ($($name:ident: $what:literal, $times:literal, $holds:literal;)*) => {
        $(pub const $name: Fault = Fault { what: $what, times: $times, holds: $holds };)*
        /// All of them, in the order of the README's table.
        pub const FAULTS: &[(&str, Fault)] = &[$((stringify!($name), $name)),*];
    };
}

faults! {
    PROGRAM_KILLED: "`compare` is killed (`kill -9`) and resumed", 20,
        "the last run says what an undisturbed one says";
    PROCESS_KILLED: "one of three processes of a run is killed and replaced", 10,
        "they say what one undisturbed process says";
    SERVER_KILLED: "a server is killed under `compare` and comes back", 10,
        "the run goes on, or is resumed, and is exact";
    ANSWER_CUT: "a connection is cut or reset, between and inside messages", 100,
        "exact, or exit 2 before the first row; no row is called missing";
    SERVER_SILENT: "a connection stays open and nothing comes any more", 2,
        "the chunk is read again on another connection; exact";
    TABLE_CHANGED: "a table is altered, renamed or replaced under `compare`", 6,
        "its mapping is incomplete with the reason, the others are whole";
    SCRIPT_KILLED: "psql is killed between two statements of a repair script", 120,
        "nothing has changed; run again, the script has its full effect";
    APPLY_CUT: "`apply` loses its connection at any message", 40,
        "it goes on with another one, and each batch is applied once";
    APPLY_KILLED: "`apply` is killed at any message and started again", 40,
        "each batch is applied once";
    DEADLOCK: "eight `apply` run beside writers that lock rows in the opposite order", 900,
        "no deadlock, and no update of the writers is lost";
    FILE_PLANTED: "a link, a pipe or a second name of a file is in the place of a ledger, its lock or its journal", 11,
        "it stays as it is; `compare` warns and goes on without a ledger";
    REPORT_KILLED: "`compare` is killed while it writes a report", 2,
        "the next report in that folder removes the rest";
    REPAIR_OPEN: "others can write to a repair, or to a file in it", 8,
        "`apply` refuses it";
    MALFORMED_STRING: "a malformed connection string in a spec or a variable", 100,
        "exit 2, and no part of it is shown";
    MALFORMED_ARGUMENT: "the same as `--ledger`, as a path or as another argument", 170,
        "exit 2, no part of it is shown, and no file is made";
}
